#if Redis
    import Foundation
    import Synchronization
    import Testing

    @testable import Admission
    import AdmissionRedis

    /// `on_outage: local`: each process decides by its share while the server is away.
    @Suite("Outage: local")
    struct OutageTests {
        private static let second: Int64 = 1_000_000_000

        private static func open(
            port: UInt16, _ limits: String, processes: Int
        ) throws -> Limiter {
            try SliceTests.open(
                "redis://127.0.0.1:\(port)", limits,
                store: #"{"on_outage": "local", "processes": \#(processes)}"#)
        }

        private static func requests(_ limit: Int, window: String = "1m") -> String {
            #"{"name": "l", "count": "requests", "limit": \#(limit), "window": "\#(window)"}"#
        }

        /// How many were admitted, and the reason of the last refusal.
        private static func charge(
            _ gate: Gate, _ count: Int
        ) throws -> (admitted: Int, reason: Rejection?) {
            var admitted = 0
            var reason: Rejection?
            for _ in 0..<count {
                switch try gate.tryCharge() {
                case .admitted(let binding):
                    #expect(binding.storeMode == .outage)
                    admitted += 1
                case .rejected(let rejection): reason = rejection
                }
            }
            return (admitted, reason)
        }

        @Test(
            "each process has its share of each kind of limit, and says so",
            arguments: [
                (#""limit": 41, "window": "1m""#, 10), (#""limit": 41, "window": "day""#, 10),
                (#""rate": "1/1m", "burst": 41"#, 10), (#""limit": 3, "window": "1m""#, 0),
            ])
        func shares(_ limit: String, share: Int) throws {
            let server = try RedisServer()
            let limits = #"{"name": "l", "count": "requests", \#(limit)}"#
            let limiter = try Self.open(port: server.port, limits, processes: 4)
            let gate = try limiter.gate([])
            server.kill()
            let (admitted, rejection) = try Self.charge(gate, share + 5)
            #expect(admitted == share)
            #expect(rejection?.binding.storeMode == .outage)
            #expect(rejection?.reason == (share == 0 ? .storeUnavailable : .exhausted))
            #expect(limiter.events().contains { $0.kind == .storeLost })
            // More than a share is of no use to ask for.
            guard case .rejected(let large) = try gate.tryCharge(Cost(requests: 20)) else {
                Issue.record("admitted")
                return
            }
            #expect(large.reason == .storeUnavailable || large.reason == .exceedsLimit)
        }

        @Test("of a calendar window that was seen, a process has its share of what was left")
        func calendar() throws {
            let server = try RedisServer()
            let limiter = try Self.open(
                port: server.port, Self.requests(100, window: "year"), processes: 4)
            let gate = try limiter.gate([])
            for _ in 0..<60 { _ = try gate.tryCharge() }
            server.kill()
            #expect(try Self.charge(gate, 20).admitted == 10)
        }

        @Test("leases of an outage are counted, freed and given to the server when it is back")
        func leases() throws {
            let server = try RedisServer()
            let slots = #"{"name": "s", "count": "concurrency", "limit": 4, "lease": "30s"}"#
            let relay = DelayingRelay(to: server.port)
            let limiter = try Self.open(port: relay.port, slots, processes: 2)
            let gate = try limiter.gate([])
            guard case .admitted(let before) = try gate.tryAcquire() else {
                Issue.record("refused")
                return
            }
            relay.cut()
            guard case .admitted(let first) = try gate.tryAcquire() else {
                Issue.record("refused")
                return
            }
            #expect(first.binding.storeMode == .outage)
            guard case .rejected(let full) = try gate.tryAcquire() else {
                Issue.record("admitted above the share")
                return
            }
            #expect(full.reason == .concurrency && full.binding.storeMode == .outage)
            #expect(first.drop() == .settled)
            guard case .admitted(let second) = try gate.tryAcquire() else {
                Issue.record("the slot did not come back")
                return
            }
            relay.mend()
            #expect(Self.isBack(limiter))
            // The server counts both.
            #expect(try gate.explain().limits.first?.used == 2)
            #expect(second.drop() == .settled)
            #expect(before.drop() == .settled)
            #expect(try gate.explain().limits.first?.used == 0)
            relay.stop()
        }

        /// Whether the server answers within a minute; asks as a beat does.
        private static func isBack(_ limiter: Limiter) -> Bool {
            let pause = DispatchSemaphore(value: 0)
            for _ in 0..<1_200 {
                if limiter.core.followRemote() == nil { return true }
                _ = pause.wait(timeout: .now() + .milliseconds(50))
            }
            return false
        }

        @Test("what was used in an outage is told the server in one step when it is back")
        func merging() throws {
            let server = try RedisServer()
            let limits =
                Self.requests(1_000) + #", {"name": "t", "count": "input_tokens", "#
                + #""limit": 5000, "window": "1m"}"#
            let relay = DelayingRelay(to: server.port)
            let limiter = try Self.open(port: relay.port, limits, processes: 2)
            let gate = try limiter.gate([])
            _ = try gate.tryCharge(Cost(inputTokens: 1))
            relay.cut()
            for _ in 0..<40 {
                guard case .admitted(let permit) = try gate.tryAcquire(Cost(inputTokens: 10))
                else {
                    Issue.record("refused")
                    return
                }
                #expect(try permit.complete(Usage(inputTokens: 4)) == .settled)
            }
            relay.mend()
            #expect(Self.isBack(limiter))
            #expect(try gate.explain().limits.map(\.used) == [41, 161])
            for _ in 0..<5 { _ = limiter.core.followRemote() }
            #expect(try gate.explain().limits.map(\.used) == [41, 161], "told twice")
            relay.stop()
        }

        @Test("a share is held while connected, held anew, spent in an outage and told in one step")
        func reserve() throws {
            let server = try RedisServer()
            let relay = DelayingRelay(to: server.port)
            let limits = Self.requests(100, window: "2s")
            let limiter = try SliceTests.open(
                "redis://127.0.0.1:\(relay.port)", limits,
                store: #"{"on_outage": "local", "outage_share": "1/4", "deadline": "10s"}"#)
            let other = try SliceTests.open(
                "redis://127.0.0.1:\(server.port)", limits, store: "{}")
            let gate = try limiter.gate([])
            let others = try other.gate([])
            func used() throws -> Int64? { try others.explain().limits.first?.used }
            let pause = DispatchSemaphore(value: 0)
            // Longer than a window and its cells: what is held is not left to run out, nor taken twice.
            for _ in 0..<8 {
                #expect(limiter.core.followRemote() == nil)
                #expect(try used() == 25)
                _ = pause.wait(timeout: .now() + .milliseconds(400))
            }
            #expect(limiter.core.followRemote() == nil)
            relay.cut()
            let (admitted, rejection) = try Self.charge(gate, 30)
            #expect(admitted == 25 || Self.isLate(rejection))
            relay.mend()
            #expect(Self.isBack(limiter))
            // What was spent stays charged, and as much is held again.
            #expect(try (25...50).contains(used() ?? 0))
            relay.stop()
        }

        /// Of a machine that was busy for longer than the window.
        private static func isLate(_ rejection: Rejection?) -> Bool {
            rejection?.reason == .storeUnavailable
        }

        @Test(
            "with neither processes nor a share, an outage is a rejection"
        )
        func neither() throws {
            let server = try RedisServer()
            let limiter = try SliceTests.open(
                "redis://127.0.0.1:\(server.port)", Self.requests(100),
                store: #"{"on_outage": "local"}"#)
            let gate = try limiter.gate([])
            server.pause()
            guard case .rejected(let rejection) = try gate.tryCharge() else {
                Issue.record("admitted")
                return
            }
            #expect(rejection.reason == .storeUnavailable)
            server.resume()
        }

        /// An admission, by the decision's own instant.
        private struct Entry: Sendable {
            var at: Int64
            var mode: StoreMode
        }

        private final class Log: Sendable {
            private let entries = ForkableLock([Entry](), rank: .owners)
            func add(_ binding: Binding) {
                let entry = Entry(at: binding.decidedAt.nanoseconds, mode: binding.storeMode)
                entries.withLock { $0.append(entry) }
            }
            var all: [Entry] { entries.withLock { $0 }.sorted { $0.at < $1.at } }
        }

        @Test(
            "E6: four workers and a server that is gone: no window that begins in the outage holds more"
        )
        func gone() throws {
            let ways = [#""processes": 4"#, #""outage_share": "1/8""#]
            let slices = #", "slices": true, "slice_ttl": "10ms""#
            // Each takes seconds of real time.
            for settings in TestLength.isSoak ? ways + ways.map({ $0 + slices }) : ways {
                try Self.outage(settings)
            }
        }

        private static func outage(_ settings: String) throws {
            let server = try RedisServer()
            let window = TestLength.isSoak ? 60 : 1
            let limit = 1_000
            let limiters = try (0..<4).map { _ in
                try Limiter(
                    policyJSON:
                        #"{"admission": 1, "store": {"on_outage": "local", \#(settings)}, "#
                        + #""policies": [{"name": "p", "limits": ["#
                        + requests(limit, window: "\(window)s") + "]}]}",
                    options: Limiter.Options(anyStore: "redis://127.0.0.1:\(server.port)"))
            }
            let log = Log()
            let isOver = Atomic<Bool>(false)
            let threads = try limiters.map { limiter in
                let gate = try limiter.gate([])
                return PlainThread {
                    let pause = DispatchSemaphore(value: 0)
                    while !isOver.load(ordering: .relaxed) {
                        if case .admitted(let binding)? = try? gate.tryCharge() {
                            log.add(binding)
                        } else {
                            _ = pause.wait(timeout: .now() + .milliseconds(2))
                        }
                    }
                }
            }
            let pause = DispatchSemaphore(value: 0)
            func wait(_ milliseconds: Int) {
                _ = pause.wait(timeout: .now() + .milliseconds(milliseconds))
            }
            wait(TestLength.isSoak ? 10_000 : 500)
            let from = KernelClock.wallNanoseconds()
            server.pause()
            wait(TestLength.isSoak ? 20_000 : 1_500)
            let until = KernelClock.wallNanoseconds()
            server.resume()
            wait(TestLength.isSoak ? 70_000 : 3_500)
            isOver.store(true, ordering: .relaxed)
            for thread in threads { thread.join() }
            let all = log.all
            var most = 0
            var end = all.startIndex
            for (index, entry) in all.enumerated() where entry.at >= from && entry.at <= until {
                while end < all.count, all[end].at - entry.at < Int64(window) * second { end += 1 }
                most = max(most, end - index)
            }
            let away = all.filter { $0.mode == .outage }.count
            let after = all.filter { $0.at > until + 2 * second && $0.mode != .outage }.count
            print("E6, \(settings): most \(most) of \(limit), \(away) away, \(after) after")
            #expect(most <= limit)
            #expect(away > 0 && after > 0)
        }
    }
#endif
