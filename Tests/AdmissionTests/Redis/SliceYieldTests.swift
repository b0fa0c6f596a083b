#if Redis
    import Foundation
    import Synchronization
    import Testing

    @testable import Admission
    import AdmissionRedis

    /// What several processes that always ask get out of one limit by slices, on the system's clock.
    @Suite("Slices: yield")
    struct SliceYieldTests {
        private static let millisecond: Int64 = 1_000_000

        struct Law: Sendable, CustomStringConvertible {
            var description: String
            var limit: String
            /// Units in `spanNanoseconds`, and at once.
            var units: Int64
            var spanNanoseconds: Int64
            var atOnce: Int64 = 0
            var lifetime: String
            var leastPercent: Int64
        }

        private static var laws: [Law] {
            let long = TestLength.isSoak
            return [
                Law(
                    description: "rolling",
                    limit: #""limit": \#(long ? 50_000 : 5_000), "window": "\#(long ? 10 : 1)s""#,
                    units: long ? 50_000 : 5_000,
                    spanNanoseconds: (long ? 10_000 : 1_000) * millisecond,
                    lifetime: long ? "50ms" : "10ms", leastPercent: 97),
                Law(
                    description: "bucket", limit: #""rate": "1000/s", "burst": 400"#,
                    units: 1_000, spanNanoseconds: 1_000 * millisecond, atOnce: 400,
                    lifetime: "100ms", leastPercent: 99),
            ]
        }

        @Test(
            "four processes that always ask get the whole of a limit, and never more",
            arguments: laws)
        func yield(_ law: Law) throws {
            let url = try SharedRedis.freshURL(isClockManual: false)
            let limits = #"{"name": "l", "count": "requests", \#(law.limit)}"#
            let store = #"{"slices": true, "slice_ttl": "\#(law.lifetime)", "deadline": "10s"}"#
            let limiters = try (0..<4).map { _ in try SliceTests.open(url, limits, store: store) }
            let isOver = Atomic<Bool>(false)
            let logs = limiters.map { _ in ForkableLock([Int64](), rank: .owners) }
            let sliced = Atomic<Int>(0)
            let threads = try zip(limiters, logs).map { limiter, log in
                let gate = try limiter.gate([])
                return PlainThread {
                    var instants: [Int64] = []
                    while !isOver.load(ordering: .relaxed) {
                        guard case .admitted(let binding)? = try? gate.tryCharge() else { continue }
                        instants.append(binding.decidedAt.nanoseconds)
                        if binding.storeMode == .slice { sliced.add(1, ordering: .relaxed) }
                    }
                    log.withLock { $0 = instants }
                }
            }
            let seconds = TestLength.isSoak ? 60 : 4
            _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .seconds(seconds))
            isOver.store(true, ordering: .relaxed)
            for thread in threads { thread.join() }
            for limiter in limiters { limiter.close() }
            let instants = logs.flatMap { $0.withLock { $0 } }.sorted()
            try #require(instants.count > 1)
            let span = instants[instants.count - 1] - instants[0]
            // A plain log would admit all of a window when it begins, and a bucket as it refills.
            let possible =
                law.atOnce == 0
                ? law.units * (span / law.spanNanoseconds + 1)
                : law.atOnce + Int64(Int128(law.units) * Int128(span) / Int128(law.spanNanoseconds))
            let percent = Double(instants.count) * 100 / Double(possible)
            print(
                "\(law): \(instants.count) of \(possible), \(percent) %, "
                    + "\(sliced.load(ordering: .relaxed)) by slices")
            #expect(Self.isWithin(law, instants))
            #expect(sliced.load(ordering: .relaxed) > 0)
            // Whether the machine gives every thread its time is not the test's to say.
            if TestLength.isSoak { #expect(percent >= Double(law.leastPercent)) }
        }

        private static func isWithin(_ law: Law, _ instants: [Int64]) -> Bool {
            guard law.atOnce == 0 else {
                var (level, at) = (Int64(0), instants[0])
                return instants.allSatisfy { instant in
                    level = max(0, level - law.units * (instant - at)) + law.spanNanoseconds
                    at = instant
                    return level <= law.atOnce * law.spanNanoseconds
                }
            }
            var first = 0
            return instants.indices.allSatisfy { index in
                while instants[index] - instants[first] >= law.spanNanoseconds { first += 1 }
                return Int64(index - first + 1) <= law.units
            }
        }
    }
#endif
