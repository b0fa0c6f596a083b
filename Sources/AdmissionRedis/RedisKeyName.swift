import Admission

/// What the name of one of the store's keys says: docs/redis-protocol.md, *Keys*.
struct RedisKeyName: Hashable {
    enum Role: Hashable {
        case shard, state, cells
        /// Leases of the limit with this id.
        case leases(Int64)
        /// The documents' loads, and a manual clock.
        case loads, clock
    }

    let role: Role
    /// In front of the keys of one shard, with its hash tag.
    let shard: [UInt8]
    /// In front of the keys of one scope: policy and attributes.
    let scope: [UInt8]

    private static let start = Array("admission:".utf8)

    /// Nil for what is no key of a store.
    init?(_ name: [UInt8]) {
        guard name.starts(with: Self.start) else { return nil }
        let rest = name.dropFirst(Self.start.count)
        if rest.elementsEqual("clock".utf8) {
            (role, shard, scope) = (.clock, [], [])
            return
        }
        guard rest.first == UInt8(ascii: "{"),
            let end = rest.firstIndex(of: UInt8(ascii: "}")),
            rest[end...].dropFirst().first == UInt8(ascii: ":")
        else { return nil }
        shard = Array(name[...(end + 1)])
        let place = rest[(end + 2)...]
        if place.elementsEqual("shard".utf8) || place.elementsEqual("load".utf8) {
            (role, scope) = (place.first == UInt8(ascii: "s") ? .shard : .loads, [])
            return
        }
        guard let colon = place.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let text = String(decoding: place[(colon + 1)...], as: UTF8.self)
        scope = Array(place[..<colon])
        switch text {
        case "s": role = .state
        case "c": role = .cells
        default:
            guard text.first == "l", let id = Int64(text.dropFirst()) else { return nil }
            role = .leases(id)
        }
    }

    /// The document's `shard` attribute's value; nil where everything is one shard.
    var shardValue: String? {
        let tag = shard.dropFirst(Self.start.count + 1).dropLast(2)
        guard tag.first == UInt8(ascii: "x") else { return nil }
        var bytes: [UInt8] = []
        var digits = tag.dropFirst()
        while digits.count >= 2 {
            bytes.append(UInt8(String(decoding: digits.prefix(2), as: UTF8.self), radix: 16) ?? 0)
            digits = digits.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The policy and the attributes that a scope's bytes name.
struct RedisScopeName: Hashable {
    let policy: String
    let attributes: [Attribute]

    init?(_ bytes: [UInt8]) {
        guard let fields = RedisFieldList.read(bytes), fields.count % 2 == 1 else { return nil }
        let texts = fields.map { String(decoding: $0, as: UTF8.self) }
        policy = texts[0]
        attributes = stride(from: 1, to: texts.count, by: 2).map {
            Attribute(texts[$0], texts[$0 + 1])
        }
    }
}

/// A limit as the loads name it: its identity without the values of its key.
struct RedisLimitName: Hashable {
    let policy: String
    let limit: String
    /// How it bounds, with numbers that mean nothing.
    let kind: LimitKind

    init?(identity: [UInt8]) {
        guard let fields = RedisFieldList.read(identity), fields.count >= 4 else { return nil }
        policy = String(decoding: fields[0], as: UTF8.self)
        limit = String(decoding: fields[1], as: UTF8.self)
        switch String(decoding: fields[2], as: UTF8.self) {
        case "bucket": kind = .tokenBucket(units: 1, periodNanoseconds: 1_000, burst: 1)
        case "concurrency":
            kind = .concurrency(limit: 1, leaseNanoseconds: 1_000, maxHoldNanoseconds: .max)
        case "rolling":
            guard fields[3].count == 16 else { return nil }
            let (window, guarding) = (
                Self.number(fields[3].prefix(8)), Self.number(fields[3].suffix(8))
            )
            guard window > 0, guarding >= 0 else { return nil }
            kind = .rollingWindow(
                limit: 1, windowNanoseconds: window, guardNanoseconds: guarding)
        case "calendar":
            guard let shape = RedisFieldList.read(fields[3]), shape.count == 2,
                let unit = CalendarUnit(name: String(decoding: shape[0], as: UTF8.self))
            else { return nil }
            kind = .calendarWindow(
                limit: 1, unit: unit, zone: String(decoding: shape[1], as: UTF8.self),
                guardNanoseconds: 0)
        default: return nil
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int64 {
        bytes.reversed().reduce(0) { $0 << 8 | Int64($1) }
    }
}

/// Runs of bytes, each behind its length in four bytes, as identities are made of.
enum RedisFieldList {
    /// Nil where the bytes are none.
    static func read(_ bytes: some Collection<UInt8>) -> [[UInt8]]? {
        var fields: [[UInt8]] = []
        var left = Array(bytes)[...]
        while !left.isEmpty {
            let length = left.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            guard left.count >= 4 + length else { return nil }
            fields.append(Array(left.dropFirst(4).prefix(length)))
            left = left.dropFirst(4 + length)
        }
        return fields
    }
}
