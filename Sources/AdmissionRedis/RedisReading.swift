import Admission

/// Reads a store's keys one after the other and puts together what they say.
struct RedisReading {
    private let visit: RedisVisit
    private var serverKeys = 0
    private var now: Int64 = 0
    private var wall: Int64 = 0
    private var documentHash: UInt64 = 0
    private var names: [Int64: RedisLimitName] = [:]
    /// The numbers in force, by a limit's id.
    private var loaded: [Int64: [Int64]] = [:]
    private var rows: [Int64: [RedisInspection.KeyRow]] = [:]
    private var leases: [RedisInspection.Lease] = []
    private var shards: [RedisInspection.ShardRow] = []
    private var faults: [String] = []

    /// Scopes that one call of the script looks at: so long the server serves nobody else.
    private static let batch = 64
    /// Leases that are read of one set.
    private static let leasesBound = 10_000
    private static let faultsBound = 1_000

    /// The keys of one scope.
    private struct Scope {
        var state: [UInt8]?
        var cells: [UInt8]?
        var leases: [(id: Int64, key: [UInt8])] = []
    }

    init(_ visit: RedisVisit) { self.visit = visit }

    mutating func read(isCheck: Bool) throws(StoreError) {
        if case .integer(let count) = try visit.ask(RedisCommand("DBSIZE")) {
            serverKeys = Int(clamping: count)
        }
        let keys = try visit.keys()
        var found: [[UInt8]: [[UInt8]: Scope]] = [:]
        for key in keys {
            guard let name = RedisKeyName(key) else {
                fault(key, "no key of a store")
                continue
            }
            var scope = found[name.shard, default: [:]][name.scope] ?? Scope()
            switch name.role {
            case .clock: continue
            case .loads:
                try readLoads(key)
                continue
            case .shard: scope = Scope()
            case .state: scope.state = key
            case .cells: scope.cells = key
            case .leases(let id): scope.leases.append((id, key))
            }
            found[name.shard, default: [:]][name.scope] = scope
        }
        // Where nothing lies, the server's time is told all the same.
        if found.isEmpty { found[RedisShard(value: nil).prefix] = [:] }
        for (shard, scopes) in found.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let named = scopes.filter { !$0.key.isEmpty }
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            var left = named[...]
            repeat {
                let part = left.prefix(Self.batch)
                left = left.dropFirst(Self.batch)
                try readScopes(Array(part), shard: shard)
            } while !left.isEmpty
        }
        if isCheck { try readExpiries(keys) }
    }

    private mutating func fault(_ key: [UInt8], _ what: String) {
        guard faults.count < Self.faultsBound else { return }
        faults.append("\(Self.text(key)): \(what)")
    }

    /// A key in words: its bytes hold lengths that nobody reads.
    private static func text(_ key: [UInt8]) -> String {
        guard let name = RedisKeyName(key), let scope = RedisScopeName(name.scope) else {
            return String(decoding: key, as: UTF8.self)
        }
        let place = ([scope.policy] + scope.attributes.map { "\($0.name)=\($0.value)" })
            .joined(separator: " ")
        return switch name.role {
        case .cells: "cells of \(place)"
        case .leases(let id): "leases \(id) of \(place)"
        default: "state of \(place)"
        }
    }

    private mutating func readLoads(_ key: [UInt8]) throws(StoreError) {
        guard
            case .array(let parts) = try visit.ask(RedisCommand([Array("HGETALL".utf8), key]))
        else { return }
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            guard case .bytes(let field) = parts[index], case .bytes(let value) = parts[index + 1]
            else { continue }
            if field.elementsEqual("document".utf8) {
                documentHash = UInt64(String(decoding: value, as: UTF8.self), radix: 16) ?? 0
            }
            guard field.first == UInt8(ascii: "l") else { continue }
            let identity = Array(field.dropFirst())
            guard let name = RedisLimitName(identity: identity),
                let words = RedisWords.unpack(value), words.count == 6,
                RedisLimit.kind(Array(words.dropFirst()), like: name.kind) != nil
            else {
                fault(key, "a limit that no version loads")
                continue
            }
            let id = RedisDigest.word(of: identity)
            names[id] = name
            loaded[id] = Array(words.dropFirst())
        }
    }

    // MARK: Scopes

    private mutating func readScopes(
        _ scopes: [(key: [UInt8], value: Scope)], shard: [UInt8]
    ) throws(StoreError) {
        var keys = [shard + Array("shard".utf8)]
        // For each triple of keys the scope, and the limit whose leases are the third.
        var triples: [(scope: Int, limit: Int64?)] = []
        for (index, scope) in scopes.enumerated() {
            let state = scope.value.state ?? shard + scope.key + Array(":s".utf8)
            // Where there are no leases the state is named again.
            var sets: [(id: Int64?, key: [UInt8])] = scope.value.leases.map { ($0.id, $0.key) }
            if sets.isEmpty { sets = [(nil, state)] }
            for (place, set) in sets.enumerated() {
                keys += [state, place == 0 ? scope.value.cells ?? state : state, set.key]
                triples.append((index, set.id))
            }
        }
        let inspect = RedisScripts.visiting(isClockManual: visit.isClockManual).inspect
        let command = inspect.prepared(keys: keys, variableCount: 1)
            .command([Array("\(Self.leasesBound)".utf8)])
        guard case .array(let reply) = try visit.call(inspect, command),
            reply.count == 2 + 3 * triples.count, case .bytes(let instants) = reply[0],
            let times = RedisWords.unpack(instants), times.count == 2
        else { throw StoreError.corrupted(path: visit.url, what: "the reply to a look") }
        (now, wall) = (times[0], times[1])
        readShard(reply[1], keys[0])
        var found = [Look](repeating: Look(), count: scopes.count)
        for (index, triple) in triples.enumerated() {
            let at = 2 + 3 * index
            if case .bytes(let value) = reply[at] { found[triple.scope].state = value }
            if case .bytes(let value) = reply[at + 1] { found[triple.scope].cells = value }
            if let limit = triple.limit, case .array(let entries) = reply[at + 2] {
                found[triple.scope].leases[limit] = Self.leases(entries)
            }
        }
        for (scope, look) in zip(scopes, found) { note(scope.key, scope.value, look) }
    }

    /// What one scope's keys hold.
    private struct Look {
        var state: [UInt8]?
        var cells: [UInt8]?
        var leases: [Int64: [(member: [UInt8], expiry: Int64)]] = [:]
    }

    private static func leases(_ entries: [RedisReply]) -> [(member: [UInt8], expiry: Int64)] {
        stride(from: 0, to: entries.count - 1, by: 2).compactMap { index in
            guard case .bytes(let member) = entries[index],
                case .bytes(let value) = entries[index + 1],
                let words = RedisWords.unpack(value), words.count == 1
            else { return nil }
            return (member, words[0])
        }
    }

    private mutating func readShard(_ reply: RedisReply, _ key: [UInt8]) {
        guard case .bytes(let value) = reply else { return }
        guard let words = RedisWords.unpack(value), words.count == 6, words[0] == 1 else {
            return fault(key, "no shard that this version wrote")
        }
        let name = RedisKeyName(key)?.shardValue ?? ""
        guard words[2] > 0 || words[4] > 0, shards.last?.name != name else { return }
        // A reset is noted by steady time alone.
        shards.append(
            RedisInspection.ShardRow(
                name: name, lostAt: words[2] > 0 ? Self.instant(words[3]) : nil,
                resetAt: words[4] > 0 ? Self.instant(wall - (now - words[4])) : nil))
    }

    private static func instant(_ microseconds: Int64) -> WallInstant {
        WallInstant(unixNanoseconds: RedisWords.nanoseconds(microseconds))
    }

    private mutating func note(_ bytes: [UInt8], _ keys: Scope, _ look: Look) {
        guard let scope = RedisScopeName(bytes) else {
            if let key = keys.state { fault(key, "the name of no scope") }
            return
        }
        guard let value = look.state, let key = keys.state else {
            // Behind a reset, or where it expired since its name was read.
            return noteLeases(look, scope)
        }
        guard let state = RedisStoredState(value) else {
            fault(key, "no state that this version wrote")
            return noteLeases(look, scope)
        }
        let cells = look.cells.flatMap { RedisStoredCells($0, of: state) }
        if look.cells != nil, cells == nil, let name = keys.cells {
            fault(name, "no cells of its state")
        }
        let now = max(now, state.steady)
        for part in state.parts { note(part, look, cells, scope, now) }
    }

    /// Leases that lie there without a state count from the next decision on.
    private mutating func noteLeases(_ look: Look, _ scope: RedisScopeName) {
        for id in look.leases.keys.sorted() {
            guard let words = loaded[id] else { continue }
            let part = RedisStoredState.Part(
                id: id, kind: .concurrency, parameters: words, fields: [0, 0, 0], rollingIndex: 0)
            note(part, look, nil, scope, now)
        }
    }

    private mutating func note(
        _ part: RedisStoredState.Part, _ look: Look, _ cells: RedisStoredCells?,
        _ scope: RedisScopeName, _ now: Int64
    ) {
        guard let name = names[part.id], let bound = part.bound(like: name.kind) else { return }
        let leases = look.leases[part.id] ?? []
        let use = part.use(now: now, wall: wall, cells: cells, expiries: leases.map(\.expiry))
        // What is untouched is a key that only waits for its expiry.
        if use.used > 0 {
            rows[part.id, default: []].append(
                RedisInspection.KeyRow(
                    attributes: scope.attributes, used: use.used,
                    remaining: max(0, bound.capacity - use.used),
                    fullAgainNanoseconds: use.fullAgainMicroseconds.map(RedisWords.nanoseconds)))
        }
        for lease in leases where lease.expiry > now {
            note(lease, name, scope.attributes, part, now)
        }
    }

    private mutating func note(
        _ lease: (member: [UInt8], expiry: Int64), _ name: RedisLimitName,
        _ attributes: [Attribute], _ part: RedisStoredState.Part, _ now: Int64
    ) {
        let owner = lease.member.prefix(8).reversed().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        let left = lease.expiry - now
        leases.append(
            RedisInspection.Lease(
                policy: name.policy, limit: name.limit, attributes: attributes, owner: owner,
                renewedNanoseconds: RedisWords.nanoseconds(max(0, part.parameters[1] - left)),
                runsOutNanoseconds: RedisWords.nanoseconds(left)))
    }

    private mutating func readExpiries(_ keys: [[UInt8]]) throws(StoreError) {
        let commands = keys.map { RedisCommand([Array("PTTL".utf8), $0]) }
        for (key, reply) in zip(keys, try visit.ask(commands)) where reply == .integer(-1) {
            fault(key, "it never expires")
        }
    }

    // MARK: Putting together

    func inspection(maximumKeys: Int) -> RedisInspection {
        let ids = loaded.keys.sorted { one, other in
            let (one, other) = (names[one], names[other])
            return (one?.policy ?? "", one?.limit ?? "") < (other?.policy ?? "", other?.limit ?? "")
        }
        var omitted = max(0, leases.count - maximumKeys)
        var limits: [RedisInspection.LimitRow] = []
        var left = maximumKeys
        for id in ids {
            guard let name = names[id], let words = loaded[id],
                let bound = RedisLimit.kind(words, like: name.kind)
            else { continue }
            let all = (rows[id] ?? []).sorted {
                ($1.used, $0.remaining) < ($0.used, $1.remaining)
            }
            let listed = all.prefix(left)
            left -= listed.count
            omitted += all.count - listed.count
            limits.append(
                RedisInspection.LimitRow(
                    policy: name.policy, limit: name.limit, bound: bound, keyCount: all.count,
                    keys: Array(listed)))
        }
        let first = leases.sorted { $0.runsOutNanoseconds < $1.runsOutNanoseconds }
        return RedisInspection(
            url: visit.url, isManualClock: visit.isClockManual,
            wall: Self.instant(wall), serverKeys: serverKeys, documentHash: documentHash,
            limits: limits, leases: Array(first.prefix(maximumKeys)), shards: shards,
            omitted: omitted, faults: faults)
    }
}
