import Admission

/// A gate's limits as one call reaches them.
final class RedisPlan: Sendable {
    let shard: RedisShard
    let scopes: [RedisScope]
    /// For each step of the plan its limit.
    let limits: [RedisLimit]
    /// The keys of a call on all scopes.
    let keys: [[UInt8]]
    let leaseCount: Int

    init(shard: RedisShard, scopes: [RedisScope]) {
        self.shard = shard
        self.scopes = scopes
        var limits = [(Int, RedisLimit)]()
        for scope in scopes { limits += zip(scope.steps, scope.limits).map { ($0, $1) } }
        self.limits = limits.sorted { $0.0 < $1.0 }.map(\.1)
        keys = [shard.key] + scopes.flatMap(\.keys)
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
    private let state = ForkableLock(Known(), rank: .redisMemory)

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
