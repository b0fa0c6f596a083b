#if Redis
    import Foundation
    import Testing

    @testable import Admission
    @testable import AdmissionRedis

    /// Looking into a store in Redis from outside, beside what its gates say.
    @Suite struct RedisInspectionTests {
        private static let second: Int64 = 1_000_000_000
        private static let start: Int64 = 1_700_000_000_000_000_000

        private static let document =
            #"{"admission": 1, "policies": [{"name": "p", "match": {"project": "*"}, "#
            + #""per": ["project"], "limits": [{"name": "tpm", "count": "input_tokens", "#
            + #""limit": 1000, "window": "1m"}, {"name": "day", "count": "requests", "limit": 500, "#
            + #""window": "day", "zone": "America/Los_Angeles"}, {"name": "pace", "#
            + #""count": "requests", "rate": "7/3s", "burst": 40}, {"name": "slots", "#
            + #""count": "concurrency", "limit": 9, "lease": "30s"}]}]}"#

        private static func open(_ url: String) throws -> Limiter {
            try Limiter(
                policyJSON: document,
                options: Limiter.Options(
                    anyStore: url, clock: .manual(startUnixNanoseconds: start),
                    heartbeat: .manual))
        }

        private static func used(_ store: RedisInspection, _ project: String) -> [String: Int64] {
            var found: [String: Int64] = [:]
            for limit in store.limits {
                found[limit.limit] =
                    limit.keys.first { $0.attributes == [Attribute("project", project)] }?.used ?? 0
            }
            return found
        }

        @Test("what it shows is what gates explain, at every step of a random run")
        func sameAsExplained() throws {
            let url = try SharedRedis.freshURL()
            let limiter = try Self.open(url)
            var random = SplitMix64(seed: 20_261_122)
            let projects = ["acme", "béta", ""]
            let gates = try projects.map { try limiter.gate([Attribute("project", $0)]) }
            for step in 0..<150 {
                let gate = gates[Int(random.next() % 3)]
                if case .admitted(let permit) = try gate.tryAcquire(
                    Cost(inputTokens: Int64(random.next() % 90)))
                {
                    switch random.next() % 4 {
                    case 0: _ = try permit.complete(Usage(inputTokens: 1))
                    case 1: _ = permit.abandon()
                    case 2: _ = permit.drop()
                    default: break  // Dropped where the scope ends.
                    }
                }
                let steps: [Int64] = [0, 1_000, 333_000, Self.second, 7 * Self.second]
                var span = steps[Int(random.next() % 5)]
                if step % 50 == 49 { span = 70 * Self.second }
                try limiter.advance(nanoseconds: span)
                let store = try RedisInspection.read(store: url)
                #expect(store.faults.isEmpty && store.omitted == 0)
                for (project, gate) in zip(projects, gates) {
                    let explained = try gate.explain().limits
                    let wanted = Dictionary(
                        uniqueKeysWithValues: explained.map { ($0.limit, $0.used) })
                    #expect(Self.used(store, project) == wanted, "step \(step) \(project)")
                    for row in explained where row.used > 0 {
                        let limit = store.limits.first { $0.limit == row.limit }
                        let key = limit?.keys.first {
                            $0.attributes == [Attribute("project", project)]
                        }
                        #expect(key?.remaining == row.remaining, "step \(step) \(row.limit)")
                        #expect(
                            key?.fullAgainNanoseconds == row.fullAgainNanoseconds,
                            "step \(step) \(row.limit)")
                    }
                }
            }
        }

        @Test("limits, leases and shards are named as documents name them")
        func named() throws {
            let url = try SharedRedis.freshURL()
            let limiter = try Self.open(url)
            let gate = try limiter.gate([Attribute("project", "acme")])
            guard case .admitted(let permit) = try gate.tryAcquire(Cost(inputTokens: 10)) else {
                Issue.record("refused")
                return
            }
            try limiter.advance(nanoseconds: 20 * Self.second)
            var store = try RedisInspection.read(store: url)
            #expect(store.limits.map(\.limit) == ["day", "pace", "slots", "tpm"])
            #expect(store.limits.allSatisfy { $0.policy == "p" && $0.keyCount <= 1 })
            #expect(
                store.limits[1].bound
                    == .tokenBucket(units: 7, periodNanoseconds: 3 * Self.second, burst: 40))
            #expect(
                store.limits[0].bound
                    == .calendarWindow(
                        limit: 500, unit: .day, zone: "America/Los_Angeles", guardNanoseconds: 0))
            let lease = try #require(store.leases.first)
            #expect(store.leases.count == 1 && lease.limit == "slots")
            #expect(lease.attributes == [Attribute("project", "acme")])
            #expect(lease.renewedNanoseconds == 20 * Self.second)
            #expect(lease.runsOutNanoseconds == 10 * Self.second)
            #expect(permit.renew() == .settled)
            store = try RedisInspection.read(store: url, maximumKeys: 0)
            // Three counters that are not full again, and the lease.
            #expect(store.leases.isEmpty && store.omitted == 4)
            #expect(permit.complete() == .settled)
        }

        @Test("a reset gives everything back but leases, and no settlement gives it back again")
        func reset() throws {
            let url = try SharedRedis.freshURL()
            let limiter = try Self.open(url)
            let gate = try limiter.gate([Attribute("project", "acme")])
            try limiter.advance(nanoseconds: Self.second)
            guard case .admitted(let permit) = try gate.tryAcquire(Cost(inputTokens: 900)) else {
                Issue.record("refused")
                return
            }
            let report = try RedisReset.run(store: url)
            #expect(report.scopes == 1 && report.shards == 1)
            var store = try RedisInspection.read(store: url)
            #expect(Self.used(store, "acme") == ["tpm": 0, "day": 0, "pace": 0, "slots": 1])
            #expect(store.leases.count == 1)
            #expect(
                store.shards.first?.resetAt
                    == WallInstant(unixNanoseconds: Self.start + Self.second))
            guard case .admitted(let other) = try gate.tryAcquire(Cost(inputTokens: 900)) else {
                Issue.record("refused behind a reset")
                return
            }
            #expect(try permit.complete(Usage(inputTokens: 1)) == .settled)
            store = try RedisInspection.read(store: url)
            #expect(Self.used(store, "acme") == ["tpm": 900, "day": 1, "pace": 1, "slots": 1])
            #expect(!limiter.events().contains { $0.kind == .stateLost })
            #expect(other.drop() == .settled)
        }

        @Test("what no version writes is named, and a key without an expiry")
        func faults() throws {
            let server = try RedisServer()
            let url = "redis://127.0.0.1:\(server.port)?clock=manual"
            let limiter = try Self.open(url)
            let gate = try limiter.gate([Attribute("project", "acme")])
            _ = try gate.tryAcquire(Cost(inputTokens: 9))
            #expect(try RedisInspection.read(store: url, isCheck: true).faults == [])
            let pipeline = RedisPipeline(server.endpoint)
            guard case .array(let names) = try pipeline.call("KEYS", "admission:*:s"),
                case .bytes(let state)? = names.first
            else {
                Issue.record("no state")
                return
            }
            let spoil = RedisCommand([Array("SET".utf8), state, Array("spoiled".utf8)])
            _ = try pipeline.call(spoil, until: .generous)
            _ = try pipeline.call("SET", "admission:{admission}:other", "x")
            let faults = try RedisInspection.read(store: url, isCheck: true).faults
            #expect(faults.contains("state of p project=acme: no state that this version wrote"))
            #expect(faults.contains("state of p project=acme: it never expires"))
            #expect(faults.contains("admission:{admission}:other: no key of a store"))
            _ = try RedisReset.run(store: url)
            #expect(try gate.explain().limits.first?.used == 0)
        }
    }
#endif
