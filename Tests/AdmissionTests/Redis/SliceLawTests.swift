#if Redis
    import Foundation
    import Testing

    @testable import Admission
    import AdmissionRedis

    /// Random schedules of several processes with slices against a plain log of decisions.
    @Suite("Slices: laws")
    struct SliceLawTests {
        private static let start: Int64 = 1_700_000_000_000_000_000
        private static let millisecond: Int64 = 1_000_000

        enum Law: String, CaseIterable, Sendable {
            case rolling, bucket, calendar

            var limit: String {
                switch self {
                case .rolling: #""limit": 3000, "window": "1m", "guard": "100ms""#
                case .bucket: #""rate": "200/s", "burst": 200"#
                case .calendar: #""limit": 3000, "window": "minute""#
                }
            }
        }

        /// What was decided at an instant and stayed charged.
        private struct Entry {
            var steady: Int64
            var wall: Int64
            var units: Int64
        }

        /// One trace: several limiters on one server, whose clock stands until it is moved.
        private final class Run {
            let law: Law
            var numbers: SeededNumbers
            let limiters: [Limiter]
            let gates: [Gate]
            var log: [Entry] = []
            var sliced = 0

            init(_ law: Law, seed: UInt64) throws {
                self.law = law
                numbers = SeededNumbers(seed: seed)
                let url = try SharedRedis.freshURL()
                let json =
                    #"{"admission": 1, "store": {"slices": true}, "policies": [{"name": "p", "#
                    + #""limits": [{"name": "l", "count": "requests", \#(law.limit)}]}]}"#
                limiters = try (0..<3).map { _ in
                    try Limiter(
                        policyJSON: json,
                        options: Limiter.Options(
                            anyStore: url, clock: .manual(startUnixNanoseconds: start),
                            heartbeat: .manual))
                }
                gates = try limiters.map { try $0.gate([]) }
            }

            /// Little is asked, then everything at once: what is in hand then was charged a while ago.
            ///
            /// - Parameter milliseconds: how long the clock runs.
            func play(milliseconds: Int64) throws {
                var elapsed: Int64 = 0
                while elapsed < milliseconds * millisecond {
                    for _ in 0..<numbers.below(2) { try decide(numbers.below(gates.count)) }
                    if numbers.isOne(of: 400) { try drain() }
                    let pause = numbers.isOne(of: 40) ? numbers.number(0...2_000) : 0
                    let step =
                        (pause + numbers.number(0...30)) * millisecond + numbers.number(0...999)
                    try limiters[0].advance(nanoseconds: step)
                    elapsed += step
                }
            }

            /// Every gate takes what it gets, the one that has most in hand, perhaps, last.
            private func drain() throws {
                let first = numbers.below(gates.count)
                for offset in gates.indices {
                    let gate = gates[(first + offset) % gates.count]
                    while case .admitted(let binding) = try gate.tryCharge() { note(binding, 1) }
                }
            }

            private func decide(_ index: Int) throws {
                let units = numbers.number(1...2)
                guard law != .bucket, numbers.isOne(of: 3) else {
                    if case .admitted(let binding) = try gates[index].tryCharge(
                        Cost(requests: units))
                    {
                        note(binding, units)
                    }
                    return
                }
                guard
                    case .admitted(let permit) = try gates[index].tryAcquire(Cost(requests: units))
                else { return }
                note(permit.binding, units)
                let used = numbers.number(0...units)
                log[log.count - 1].units = used
                #expect(try permit.complete(Usage(requests: used)) == .settled)
            }

            private func note(_ binding: Binding, _ units: Int64) {
                if binding.storeMode == .slice { sliced += 1 }
                log.append(
                    Entry(
                        steady: binding.decidedAt.nanoseconds,
                        wall: binding.decidedAtWall.unixNanoseconds, units: units))
            }

            /// The most that any window held, as the document bounds it.
            var most: Int64 {
                log.sort { $0.steady < $1.steady }
                switch law {
                case .rolling:
                    var (first, sum, most) = (0, Int64(0), Int64(0))
                    for entry in log {
                        sum += entry.units
                        while entry.steady - log[first].steady >= 60_100 * millisecond {
                            sum -= log[first].units
                            first += 1
                        }
                        most = max(most, sum)
                    }
                    return most
                case .bucket:
                    // In units x 10^9.
                    var (level, at, most) = (Int64(0), Int64(0), Int64(0))
                    for entry in log {
                        level = max(0, level - 200 * (entry.steady - at))
                        at = entry.steady
                        level += entry.units * 1_000_000_000
                        most = max(most, level)
                    }
                    return (most + 999_999_999) / 1_000_000_000
                case .calendar:
                    let windows = Dictionary(grouping: log) { $0.wall / (60_000 * millisecond) }
                    return windows.values.map { $0.reduce(0) { $0 + $1.units } }.max() ?? 0
                }
            }

            var units: Int64 { log.reduce(0) { $0 + $1.units } }
        }

        @Test(
            "no window of any law holds more than its limit, whatever part of it was decided by slices",
            arguments: Law.allCases)
        func bounds(_ law: Law) throws {
            let traces = TestLength.isSoak ? 12 : 1
            var (sliced, decisions, most) = (0, 0, Int64(0))
            for number in 0..<traces {
                let seed = TestLength.seed &+ UInt64(number)
                let run = try Run(law, seed: seed)
                try run.play(milliseconds: TestLength.isSoak ? 400_000 : 140_000)
                let bound: Int64 = law == .bucket ? 200 : 3_000
                most = max(most, run.most)
                #expect(most <= bound, "\(law), seed \(seed)")
                (sliced, decisions) = (sliced + run.sliced, decisions + run.log.count)
                for limiter in run.limiters { limiter.close() }
            }
            print("slices, \(law): \(sliced) of \(decisions) decisions by slices, most \(most)")
            #expect(sliced > decisions / 100)
        }
    }
#endif
