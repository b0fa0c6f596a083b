#if Redis
    import Foundation
    import Testing

    @testable import Admission
    import AdmissionRedis

    /// What a store in Redis does beyond what every store does.
    @Suite struct RedisStoreTests {
        private static let start: Int64 = 1_700_000_000_000_000_000
        private static let second: Int64 = 1_000_000_000

        private static func json(_ limits: String, _ store: String = "{}") -> String {
            #"{"admission": 1, "store": \#(store), "policies": [{"name": "p", "limits": [\#(limits)]}]}"#
        }

        private static let rpm =
            #"{"name": "rpm", "count": "requests", "limit": 3, "window": "1m"}"#
        private static let slots =
            #"{"name": "slots", "count": "concurrency", "limit": 2, "lease": "10s"}"#

        private static func open(
            _ url: String, _ limits: String, store: String = "{}", isManual: Bool = true
        ) throws -> Limiter {
            try Limiter(
                policyJSON: json(limits, store),
                options: Limiter.Options(
                    anyStore: url,
                    clock: isManual ? .manual(startUnixNanoseconds: start) : .system,
                    heartbeat: .manual))
        }

        private static func acquire(_ gate: Gate) throws -> PermitBox? {
            guard case .admitted(let permit) = try gate.tryAcquire() else { return nil }
            return PermitBox(permit)
        }

        private static func refusal(_ gate: Gate) throws -> Rejection? {
            guard case .rejected(let rejection) = try gate.tryAcquire() else { return nil }
            return rejection
        }

        final class PermitBox {
            private var permit: Permit?
            init(_ permit: consuming Permit) { self.permit = consume permit }

            func end(_ body: (consuming Permit) throws -> Settlement) rethrows -> Settlement? {
                guard let permit = permit.take() else { return nil }
                return try body(permit)
            }
        }

        @Test("two limiters on one server share one limit, and a decision says how it was made")
        func shared() throws {
            let url = try SharedRedis.freshURL()
            let (one, two) = (try Self.open(url, Self.rpm), try Self.open(url, Self.rpm))
            let gates = [try one.gate([]), try two.gate([])]
            var kept: [PermitBox] = []
            for index in 0..<3 { kept.append(try #require(try Self.acquire(gates[index % 2]))) }
            for gate in gates {
                let rejection = try #require(try Self.refusal(gate))
                #expect(rejection.reason == .exhausted && rejection.binding.storeMode == .redis)
            }
            #expect(kept.removeLast().end { $0.abandon() } == .settled)
            #expect(try gates[1].explain().limits.first?.used == 2)
        }

        @Test("slots of a process that is gone come back with their lease, none before, none twice")
        func leases() throws {
            let url = try SharedRedis.freshURL()
            let (gone, here) = (try Self.open(url, Self.slots), try Self.open(url, Self.slots))
            let lost = [try Self.acquire(try gone.gate([])), try Self.acquire(try gone.gate([]))]
            #expect(lost.allSatisfy { $0 != nil })
            let gate = try here.gate([])
            try here.advance(nanoseconds: 10 * Self.second - 1_000)
            #expect(try Self.refusal(gate)?.reason == .concurrency)
            try here.advance(nanoseconds: 1_000)
            let mine = [try Self.acquire(gate), try Self.acquire(gate)]
            #expect(mine.allSatisfy { $0 != nil })
            #expect(try Self.refusal(gate)?.reason == .concurrency)
            // The late end of a lease that ran out says so and touches nobody's slot.
            #expect(lost[0]?.end { $0.drop() } == .leaseExpired)
            #expect(try Self.refusal(gate)?.reason == .concurrency)
            #expect(mine[0]?.end { $0.drop() } == .settled)
            #expect(try Self.acquire(gate) != nil)
        }

        @Test("a renewed lease lives on")
        func renewal() throws {
            let url = try SharedRedis.freshURL()
            let limiter = try Self.open(url, Self.slots)
            let gate = try limiter.gate([])
            guard case .admitted(let permit) = try gate.tryAcquire() else {
                Issue.record("refused")
                return
            }
            for _ in 0..<3 {
                try limiter.advance(nanoseconds: 6 * Self.second)
                #expect(permit.renew() == .settled)
            }
            #expect(permit.complete() == .settled)
        }

        @Test("the document loaded last owns the limits' numbers, for every process")
        func loads() throws {
            let url = try SharedRedis.freshURL()
            let first = try Self.open(url, Self.rpm)
            let gate = try first.gate([])
            for _ in 0..<2 { #expect(try Self.acquire(gate) != nil) }
            let larger = Self.rpm.replacing("3", with: "5")
            let second = try Self.open(url, larger)
            let other = try second.gate([])
            for _ in 0..<2 { #expect(try Self.acquire(other) != nil) }
            // By its own document it would refuse.
            #expect(try Self.acquire(gate) != nil)
            #expect(try Self.refusal(gate)?.binding.limit == 5)
            #expect(first.events().contains { $0.kind == .loadedElsewhere })
        }

        @Test("a permit that is open over another's load settles into the limits that stay")
        func openOverLoad() throws {
            let url = try SharedRedis.freshURL()
            let tokens = #"{"name": "tpm", "count": "input_tokens", "limit": 10, "window": "1m"}"#
            let first = try Self.open(url, tokens + ", " + Self.slots)
            guard case .admitted(let permit) = try first.gate([]).tryAcquire(Cost(inputTokens: 9))
            else {
                Issue.record("refused")
                return
            }
            let second = try Self.open(url, tokens.replacing("10", with: "20") + ", " + Self.slots)
            let gate = try second.gate([])
            guard case .admitted(let other) = try gate.tryAcquire(Cost(inputTokens: 1)) else {
                Issue.record("refused")
                return
            }
            #expect(try permit.complete(Usage(inputTokens: 2)) == .settled)
            #expect(try gate.explain().limits.map(\.used) == [3, 1])
            #expect(other.drop() == .settled)
        }

        @Test("counters that are lost count as full until they would have recovered, or begin anew")
        func loss() throws {
            for (setting, holds) in [("hold", true), ("reset", false)] {
                let server = try RedisServer()
                let limiter = try Self.open(
                    "redis://127.0.0.1:\(server.port)?clock=manual", Self.rpm,
                    store: #"{"on_loss": "\#(setting)"}"#)
                let gate = try limiter.gate([])
                // An instant of 0 would be none that anything was seen at.
                try limiter.advance(nanoseconds: Self.second)
                #expect(try Self.acquire(gate) != nil)
                let pipeline = RedisPipeline(server.endpoint)
                // All but the clock that the test moves.
                let keys = try pipeline.call("KEYS", "admission:{*")
                guard case .array(let names) = keys, !names.isEmpty else {
                    Issue.record("no keys")
                    return
                }
                for name in names {
                    #expect(try pipeline.call("DEL", name.text ?? "") == .integer(1))
                }
                if holds {
                    #expect(try Self.refusal(gate)?.reason == .exhausted)
                    try limiter.advance(nanoseconds: 62 * Self.second)
                }
                for _ in 0..<3 { #expect(try Self.acquire(gate) != nil) }
                #expect(try Self.refusal(gate) != nil)
                #expect(limiter.events().contains { $0.kind == .stateLost })
            }
        }

        @Test(
            "a server that is gone is a rejection of its own kind, or lets calls through uncounted")
        func outage() throws {
            for (setting, admits) in [("reject", false), ("admit", true)] {
                let server = try RedisServer()
                let limiter = try Self.open(
                    "redis://127.0.0.1:\(server.port)", Self.rpm + ", " + Self.slots,
                    store: #"{"on_outage": "\#(setting)"}"#, isManual: false)
                let gate = try limiter.gate([])
                let before = try Self.acquire(gate)
                server.kill()
                if admits {
                    let permit = try #require(try Self.acquire(gate))
                    #expect(permit.end { $0.drop() } == .settled)
                } else {
                    let rejection = try #require(try Self.refusal(gate))
                    #expect(rejection.reason == .storeUnavailable)
                    #expect(rejection.binding.storeMode == .outage)
                    #expect(rejection.binding.limitName == nil)
                }
                // What becomes of a release is unknown: it is not sent again, the lease runs out.
                #expect(before?.end { $0.drop() } == .storeUnavailable)
                #expect(limiter.events().contains { $0.kind == .storeLost })
            }
        }

        @Test("the name of a lease whose reply was lost is not used again")
        func lostLease() throws {
            let server = try RedisServer()
            let limiter = try Self.open(
                "redis://127.0.0.1:\(server.port)", Self.slots, isManual: false)
            let gate = try limiter.gate([])
            #expect(try Self.acquire(gate)?.end { $0.drop() } == .settled)
            server.pause()
            #expect(try Self.refusal(gate)?.reason == .storeUnavailable)
            server.resume()
            // Behind the lost call: its lease is there, and stays until it runs out.
            #expect(try RedisPipeline(server.endpoint).call("PING").text == "PONG")
            let permit = try #require(try Self.acquire(gate))
            #expect(try gate.explain().limits.first?.used == 2)
            #expect(try Self.refusal(gate)?.reason == .concurrency)
            #expect(permit.end { $0.drop() } == .settled)
        }

        @Test("what cannot be opened is named, and no password is in it")
        func refused() throws {
            let server = try RedisServer(["--requirepass", "canary-right"])
            let port = server.port
            let cases: [(String, LimiterError.Code, Bool)] = [
                ("redis://127.0.0.1:\(LoopbackListener.freePort())", .storeUnavailable, false),
                ("redis://:canary-wrong@127.0.0.1:\(port)", .storeNotPermitted, false),
                ("redis://127.0.0.1:\(port)", .storeNotPermitted, false),
                ("redis+cluster://127.0.0.1:\(port)", .storeNotPermitted, false),
                ("redis+sentinel://127.0.0.1:\(port)/m", .storeNotPermitted, false),
                (
                    "redis+sentinel://127.0.0.1:\(port)/m?sentinel_password=canary-wrong",
                    .storeNotPermitted, false
                ),
                ("redis://:canary-right@127.0.0.1:\(port)/99", .storeUnavailable, false),
                ("redis://:canary-right@127.0.0.1:\(port)/x", .unsupportedStore, false),
                ("rediss://:canary-right@127.0.0.1:\(port)", .storeUnavailable, false),
                ("redis+cluster://:canary-right@127.0.0.1:\(port)", .storeUnavailable, false),
                ("redis://:canary-right@127.0.0.1:\(port)", .clockMismatch, true),
            ]
            for (url, code, isManual) in cases {
                do {
                    _ = try Self.open(url, Self.rpm, isManual: isManual)
                    Issue.record("opened \(url)")
                } catch let error as LimiterError {
                    #expect(error.code == code, "\(url): \(error)")
                    #expect(!"\(error)".contains("canary"))
                    if url.hasPrefix("rediss:") {
                        #expect(
                            "\(error)".contains("stunnel") && "\(error)".contains("hiredis 1.0"))
                    }
                }
            }
            let limiter = try Self.open(
                "redis://:canary-right@127.0.0.1:\(port)", Self.rpm, isManual: false)
            _ = try limiter.gate([]).tryAcquire()
            server.kill()
            _ = try limiter.gate([]).tryAcquire()
            let said =
                [limiter.snapshot().json, limiter.snapshot().metrics]
                + limiter.events().map(\.json)
            #expect(!said.contains { $0.contains("canary") })
        }

        @Test("every key expires, from the first charge on")
        func expiry() throws {
            let server = try RedisServer()
            let limits =
                Self.rpm + ", " + Self.slots
                + #", {"name": "day", "count": "requests", "limit": 9, "window": "day"}"#
                + #", {"name": "pace", "count": "requests", "rate": "1/s", "burst": 9}"#
            let limiter = try Self.open(
                "redis://127.0.0.1:\(server.port)", limits, isManual: false)
            let permit = try Self.acquire(try limiter.gate([]))
            #expect(try permit?.end { try $0.complete(Usage(requests: 2)) } == .settled)
            let pipeline = RedisPipeline(server.endpoint)
            guard case .array(let names) = try pipeline.call("KEYS", "*") else {
                Issue.record("no keys")
                return
            }
            #expect(names.count >= 3)
            for name in names {
                guard case .integer(let left) = try pipeline.call("PTTL", name.text ?? "") else {
                    continue
                }
                #expect(left > 0, "\(name.text ?? "") has no expiry")
            }
        }
    }
#endif
