#if Redis
    import Foundation
    import Synchronization
    import Testing

    @testable import Admission
    @testable import AdmissionRedis

    /// Parts of limits that processes take in advance. Each limiter is a store of its own, as in a
    /// process of its own.
    @Suite("Slices")
    struct SliceTests {
        private static let start: Int64 = 1_700_000_000_000_000_000
        private static let millisecond: Int64 = 1_000_000

        static func open(
            _ url: String, _ limits: String,
            store: String = #"{"slices": true, "deadline": "30s"}"#,
            isManual: Bool = false
        ) throws -> Limiter {
            try Limiter(
                policyJSON: #"{"admission": 1, "store": \#(store), "policies": "#
                    + #"[{"name": "p", "limits": [\#(limits)]}]}"#,
                options: Limiter.Options(
                    anyStore: url,
                    clock: isManual ? .manual(startUnixNanoseconds: start) : .system,
                    heartbeat: .manual))
        }

        private static func requests(_ limit: Int, window: String = "1m") -> String {
            #"{"name": "l", "count": "requests", "limit": \#(limit), "window": "\#(window)"}"#
        }

        /// Charges one unit at a time; how many were admitted, and how many of them by slices.
        private static func charge(_ gate: Gate, _ count: Int) throws -> (all: Int, sliced: Int) {
            var (all, sliced) = (0, 0)
            for _ in 0..<count {
                guard case .admitted(let binding) = try gate.tryCharge() else { continue }
                all += 1
                if binding.storeMode == .slice { sliced += 1 }
            }
            return (all, sliced)
        }

        /// Slices that were asked for in vain, of a machine that was too busy: they stay charged.
        private static func unanswered(_ limiters: [Limiter]) -> UInt64 {
            limiters.reduce(0) { $0 + (($1.core.remote as? RedisStore)?.unansweredCount ?? 0) }
        }

        private static func used(_ gate: Gate) throws -> Int64 {
            try gate.explain().limits.first?.used ?? -1
        }

        /// As a process that comes anew sees it.
        private static func used(_ url: String, _ limits: String) throws -> Int64 {
            let limiter = try open(url, limits)
            defer { limiter.close() }
            return try used(try limiter.gate([]))
        }

        @Test("a busy gate decides by slices, which say so, and what is left of them comes back")
        func whole() throws {
            let url = try SharedRedis.freshURL(isClockManual: false)
            let limiter = try Self.open(url, Self.requests(1_000_000))
            let (all, sliced) = try Self.charge(try limiter.gate([]), 20_000)
            #expect(all == 20_000 && sliced > 10_000, "\(sliced) of \(all)")
            limiter.close()
            let used = try Self.used(url, Self.requests(1_000_000))
            #expect(used == 20_000 || used > 20_000 && Self.unanswered([limiter]) > 0)
        }

        @Test("what a slice has left at its end comes back to the others by itself")
        func ending() throws {
            let url = try SharedRedis.freshURL()
            let limiters = try (0..<2).map { _ in
                try Self.open(url, Self.requests(400), isManual: true)
            }
            let gates = try limiters.map { try $0.gate([]) }
            var (all, sliced) = (0, 0)
            for _ in 0..<40 {
                let one = try Self.charge(gates[0], 1)
                (all, sliced) = (all + one.all, sliced + one.sliced)
                try limiters[0].advance(nanoseconds: 5 * Self.millisecond)
            }
            #expect(sliced > 0)
            #expect(try Self.used(gates[1]) > Int64(all), "nothing is in hand")
            try limiters[0].advance(nanoseconds: 600 * Self.millisecond)
            // Where time is moved by hand, a slice ends with the next call.
            _ = limiters[0].snapshot()
            _ = try limiters[0].gate([])
            #expect(try Self.used(gates[1]) == Int64(all))
            #expect(try Self.charge(gates[1], 400).all == 400 - all)
        }

        @Test("S69: a newcomer never makes the sum exceed the capacity, and nobody starves")
        func newcomers() throws {
            let url = try SharedRedis.freshURL()
            let limiters = try (0..<3).map { _ in
                try Self.open(url, Self.requests(120), isManual: true)
            }
            let gates = try limiters.map { try $0.gate([]) }
            let wanted = [60, 75, 10]
            var got = [0, 0, 0]
            for round in 0..<75 {
                for index in 0..<3 where round < wanted[index] {
                    got[index] += try Self.charge(gates[index], 1).all
                }
            }
            #expect(got.reduce(0, +) <= 120)
            #expect(got.allSatisfy { $0 > 0 }, "\(got)")
            try limiters[0].advance(nanoseconds: 62_600 * Self.millisecond)
            for index in 0..<3 where got[index] < wanted[index] {
                let missing = wanted[index] - got[index]
                #expect(try Self.charge(gates[index], missing).all == missing)
            }
        }

        @Test(
            "S70: four processes that take 50 each at once get 100 of 100, S71: ten as many as there are"
        )
        func atOnce() throws {
            for (processes, each, limit) in [(4, 50, 100), (10, 4_000, 20_000)] {
                let url = try SharedRedis.freshURL(isClockManual: false)
                let limiters = try (0..<processes).map { _ in
                    try Self.open(url, Self.requests(limit))
                }
                let admitted = Atomic<Int>(0)
                let sliced = Atomic<Int>(0)
                let threads = try limiters.map { limiter in
                    let gate = try limiter.gate([])
                    return PlainThread {
                        guard let found = try? Self.charge(gate, each) else { return }
                        admitted.add(found.all, ordering: .relaxed)
                        sliced.add(found.sliced, ordering: .relaxed)
                    }
                }
                for thread in threads { thread.join() }
                for limiter in limiters { limiter.close() }
                let total = admitted.load(ordering: .relaxed)
                #expect(total <= limit)
                // The rest was in hands that wanted no more, and came back.
                let other = try Self.open(url, Self.requests(limit))
                let gate = try other.gate([])
                let used = try Self.used(gate)
                if Self.unanswered(limiters) == 0 {
                    #expect(used == Int64(total), "\(used), \(total)")
                    #expect(try Self.charge(gate, limit).all == limit - total)
                }
                #expect(used >= Int64(total))
                other.close()
                if limit > 100 { #expect(sliced.load(ordering: .relaxed) > 0) }
            }
        }

        @Test("a permit from a slice settles without a round trip, and its units count once")
        func settling() throws {
            let url = try SharedRedis.freshURL(isClockManual: false)
            let tokens =
                #"{"name": "l", "count": "input_tokens", "limit": 100000000, "window": "1m"}"#
            let limiter = try Self.open(url, tokens)
            let gate = try limiter.gate([])
            var (used, sliced): (Int64, Int) = (0, 0)
            for number in 0..<3_000 {
                guard case .admitted(var permit) = try gate.tryAcquire(Cost(inputTokens: 100))
                else {
                    Issue.record("refused")
                    return
                }
                if permit.binding.storeMode == .slice { sliced += 1 }
                switch number % 5 {
                case 0:
                    #expect(try permit.complete(Usage(inputTokens: 30)) == .settled)
                    used += 30
                case 1:
                    #expect(try permit.complete(Usage(inputTokens: 170)) == .settled)
                    used += 170
                case 2: #expect(permit.abandon() == .settled)
                case 3:
                    #expect(try permit.add(Usage(inputTokens: 50)) == .settled)
                    #expect(try permit.complete(Usage(inputTokens: 120)) == .settled)
                    used += 120
                default:
                    #expect(permit.complete() == .settled)
                    used += 100
                }
            }
            #expect(sliced > 500, "\(sliced)")
            limiter.close()
            let found = try Self.used(url, tokens)
            #expect(found == used || found > used && Self.unanswered([limiter]) > 0)
        }

        @Test(
            "limits without slices in a gate, and costs near the limit, are the server's to decide")
        func direct() throws {
            let url = try SharedRedis.freshURL(isClockManual: false)
            let slots =
                #", {"name": "slots", "count": "concurrency", "limit": 100, "lease": "10s"}"#
            let limiter = try Self.open(url, Self.requests(100_000) + slots)
            let gate = try limiter.gate([])
            for _ in 0..<500 {
                guard case .admitted(let permit) = try gate.tryAcquire() else { continue }
                #expect(permit.binding.storeMode == .redis)
                #expect(permit.complete() == .settled)
            }
            let few = try Self.open(
                try SharedRedis.freshURL(isClockManual: false), Self.requests(15))
            let (all, sliced) = try Self.charge(try few.gate([]), 100)
            for each in [limiter, few] { each.close() }
            #expect(all == 15 && sliced == 0)
        }

        @Test(
            "a bucket's reserve for slices is never lent: a cost above the rest is never admitted")
        func reserve() throws {
            // In 500 ms it refills 5 of its 20 units.
            let bucket = #"{"name": "l", "count": "requests", "rate": "10/s", "burst": 20}"#
            let url = try SharedRedis.freshURL()
            let limiter = try Self.open(url, bucket, isManual: true)
            let gate = try limiter.gate([])
            guard case .rejected(let rejection) = try gate.tryCharge(Cost(requests: 16)) else {
                Issue.record("admitted")
                return
            }
            #expect(rejection.reason == .exceedsLimit && rejection.binding.limit == 20)
            guard case .admitted = try gate.tryCharge(Cost(requests: 15)) else {
                Issue.record("refused")
                return
            }
            limiter.close()
        }

        @Test("another's load changes the limit of who decides by slices")
        func loads() throws {
            let url = try SharedRedis.freshURL()
            let first = try Self.open(url, Self.requests(100_000), isManual: true)
            let gate = try first.gate([])
            var admitted = 0
            for _ in 0..<50 {
                admitted += try Self.charge(gate, 1).all
                try first.advance(nanoseconds: 2 * Self.millisecond)
            }
            let second = try Self.open(url, Self.requests(200), isManual: true)
            // What is in hand may be spent to its end.
            try first.advance(nanoseconds: 600 * Self.millisecond)
            #expect(try Self.charge(gate, 1_000).all == 200 - admitted)
            #expect(first.events().contains { $0.kind == .loadedElsewhere })
            #expect(try Self.charge(try second.gate([]), 10).all == 0)
        }

        @Test("a forked child spends none of its parent's slices")
        func forked() throws {
            let url = try SharedRedis.freshURL(isClockManual: false)
            let limiter = try Self.open(url, Self.requests(1_000_000))
            let gate = try limiter.gate([])
            #expect(try Self.charge(gate, 5_000).sliced > 0)
            let child = ForkedChild {
                guard case .admitted(let first)? = try? gate.tryCharge(),
                    first.storeMode == .redis, let found = try? Self.charge(gate, 5_000)
                else { return false }
                limiter.close()
                return found.all == 5_000
            }
            #expect(child.isReady())
            child.kill()
            #expect(try Self.charge(gate, 1_000).all == 1_000)
            limiter.close()
            let used = try Self.used(url, Self.requests(1_000_000))
            // The child's are not known here.
            #expect(used >= 11_001, "\(used)")
        }

        @Test("E7: a server that takes 300 ms costs a decision nothing while slices last")
        func slow() throws {
            let server = try RedisServer()
            let relay = DelayingRelay(to: server.port)
            defer { relay.stop() }
            let limiter = try Self.open(
                "redis://127.0.0.1:\(relay.port)", Self.requests(1_000_000),
                store: #"{"slices": true}"#)
            let gate = try limiter.gate([])
            let pause = DispatchSemaphore(value: 0)
            var latencies: [Int64] = []
            var (fast, all, sliced) = (0, 0, 0)
            let begin = CallDeadline.now()
            let slowFrom = begin + 400 * Self.millisecond
            let end = slowFrom + (TestLength.isSoak ? 20_000 : 1_600) * Self.millisecond
            var now = begin
            while now < end {
                if now >= slowFrom { relay.setDelay(milliseconds: 300) }
                now = CallDeadline.now()
                let decision = try gate.tryCharge()
                let after = CallDeadline.now()
                if case .admitted(let binding) = decision {
                    let isSliced = binding.storeMode == .slice
                    if now < slowFrom {
                        fast += 1
                    } else {
                        sliced += isSliced ? 1 : 0
                    }
                }
                if now >= slowFrom {
                    all += 1
                    latencies.append(after - now)
                }
                _ = pause.wait(timeout: .now() + .milliseconds(1))
            }
            latencies.sort()
            let p99 = latencies[latencies.count * 99 / 100]
            print(
                "E7: \(sliced) of \(all) decisions by slices, p50 \(latencies[all / 2] / 1_000) us, "
                    + "p99 \(p99 / 1_000) us, most \((latencies.last ?? 0) / 1_000) us")
            #expect(fast > 0 && sliced > all * 9 / 10)
            if TestLength.isSoak { #expect(p99 <= Self.millisecond) }
        }
    }
#endif
