import Admission

/// A gate's limits as one call reaches them.
final class RedisPlan: Sendable {
    let shard: RedisShard
    let scopes: [RedisScope]
    /// For each step of the plan its limit.
    let limits: [RedisLimit]
    let leaseCount: Int
    let acquire: RedisForm
    let settle: RedisForm

    /// What the plan was made from.
    let sources: [RemoteLimit]
    /// For each scope what the process holds of it; empty where all is decided by the server.
    let holdings: [RedisHolding]
    /// For each scope what the process holds of it for an outage; empty where it holds nothing.
    let reserves: [RedisReserve]
    /// For each step its scope, and its place among the scope's limits.
    let positions: [(scope: Int, limit: Int)]

    init(
        shard: RedisShard, scopes: [RedisScope], sources: [RemoteLimit], scripts: RedisScripts,
        holdings: [RedisHolding] = [], reserves: [RedisReserve] = []
    ) {
        self.shard = shard
        self.reserves = reserves
        self.holdings = holdings
        var positions = [(scope: Int, limit: Int)](repeating: (0, 0), count: sources.count)
        for (index, scope) in scopes.enumerated() {
            for (limit, step) in scope.steps.enumerated() { positions[step] = (index, limit) }
        }
        self.positions = positions
        self.sources = sources
        self.scopes = scopes
        var limits = [(Int, RedisLimit)]()
        for scope in scopes { limits += zip(scope.steps, scope.limits).map { ($0, $1) } }
        self.limits = limits.sorted { $0.0 < $1.0 }.map(\.1)
        let keys = [shard.key] + scopes.flatMap(\.keys)
        // The lease's name and an ask of each scope.
        let count = 1 + scopes.count
        let deciding = scripts.deciding(RedisShape(scopes: scopes.map(\.shape)))
        acquire = RedisForm(deciding.acquire, keys: keys, count: count)
        settle = RedisForm(deciding.settle, keys: keys, count: count)
        leaseCount = self.limits.count { $0.kind == .concurrency }
    }

    /// The keys of each concurrency limit's state and leases, with its step.
    var leaseSets: [(step: Int, state: [UInt8], leases: [UInt8], limit: RedisLimit)] {
        scopes.flatMap { scope in
            let slots = zip(scope.limits, scope.steps).filter { $0.0.kind == .concurrency }
            // The sets stand behind the state and the cells, in the same order.
            return zip(slots, scope.keys.suffix(slots.count)).map { slot, leases in
                (slot.1, scope.keys[0], leases, slot.0)
            }
        }
    }
}

/// A deciding script on a gate's keys: the constant part of its calls, without and with the rare part.
struct RedisForm: Sendable {
    let script: RedisScript
    private let brief: RedisCommand.Prepared
    private let whole: RedisCommand.Prepared

    init(_ script: RedisScript, keys: [[UInt8]], count: Int) {
        self.script = script
        brief = script.prepared(keys: keys, variableCount: count)
        whole = script.prepared(keys: keys, variableCount: count + 1)
    }

    func command(_ arguments: [[UInt8]], _ rarePart: [UInt8]?) -> RedisCommand {
        guard let rarePart else { return brief.command(arguments) }
        return whole.command(arguments + [rarePart])
    }
}

/// What this process remembers of a shard. Lock: its own. Threads: any.
final class RedisShard: Sendable {
    struct Known: Sendable {
        var birth: Int64 = 0
        var seen: Int64 = 0
        var until: Int64 = 0
    }

    /// For people: the value of the document's `shard` attribute.
    let name: String
    /// Of its words, in the server.
    let key: [UInt8]
    /// In front of the keys of its scopes.
    let prefix: [UInt8]
    /// Of all its keys, in a cluster.
    let slot: Int
    private let state = ForkableLock(Known(), rank: .redisMemory)
    private let words = OwnWords(count: 1)

    /// The largest steady instant that a decision or an answer of this process had, ns.
    @inline(__always)
    var steady: Int64 { Int64(bitPattern: words[0].loadRelaxed()) }

    @inline(__always)
    func noteSteady(_ instant: Int64) { words[0].raise(UInt64(bitPattern: max(0, instant))) }

    /// - Parameter value: of the document's `shard` attribute; nil: there is but one shard.
    init(value: String?) {
        name = value ?? ""
        let digits = Array("0123456789abcdef".utf8)
        let tag = value.map { value in
            [UInt8(ascii: "x")]
                + value.utf8.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        }
        prefix = Array("admission:{".utf8) + (tag ?? Array("admission".utf8)) + Array("}:".utf8)
        key = prefix + Array("shard".utf8)
        slot = RedisSlots.slot(ofKey: key)
    }

    var known: Known { state.withLock { $0 } }

    /// Notes that the life which is known was seen.
    func see(_ instant: Int64, lifetime: Int64) {
        state.withLock { known in
            known.seen = max(known.seen, instant)
            known.until = max(known.until, instant.addingSaturated(lifetime))
        }
    }

    func note(birth: Int64, seen: Int64, lifetime: Int64) {
        state.withLock { known in
            let until = known.birth == birth ? known.until : 0
            known = Known(
                birth: birth, seen: max(seen, known.birth == birth ? known.seen : 0),
                until: max(until, seen.addingSaturated(lifetime)))
        }
    }
}
