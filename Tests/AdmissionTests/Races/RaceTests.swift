import Foundation
import Synchronization
import Testing

@testable import Admission

/// Real threads on one limiter. The hard bounds are read off the decisions' own instants.
@Suite(.serialized) struct RaceTests {
    private static func limiter(
        _ limits: String, clock: LimiterClock = .system, keyCapacity: Int = 1_024
    ) throws -> Limiter {
        try Limiter(
            policyJSON: #"{"admission": 1, "policies": [{"name": "p", "per": ["k"], "limits": ["#
                + limits + "]}]}",
            options: Limiter.Options(
                store: "memory:", clock: clock, permitCapacity: 4_096, keyCapacity: keyCapacity))
    }

    private static let start: Int64 = 1_700_000_000_000_000_000

    /// Charges from several threads until each has asked so often; returns all that was admitted.
    private static func hammer(
        _ gate: Gate, times: Int, threads: Int = Race.threads
    ) -> (admitted: [LoggedCharge], asked: [Int64]) {
        let admitted = Gathered<LoggedCharge>()
        let asked = Gathered<Int64>()
        Race.run(threads) { _ in
            var charges: [LoggedCharge] = []
            var instants: [Int64] = []
            for _ in 0..<times {
                let (status, record) = gate.ask()
                guard status == 0 else { continue }
                instants.append(record.decidedAtNanoseconds)
                if record.outcome == 1 { charges.append(record.charge()) }
            }
            admitted.append(charges)
            asked.append(instants)
        }
        return (admitted.all, asked.all)
    }

    /// The second interval is no whole number of nanoseconds, and its bursts are shorter than the
    /// time for which a thread is held up between reading the clock and its swap.
    @Test(
        "threads on one bucket never get more than burst and rate, and get nearly all of it",
        arguments: [(20_000, 50), (300_007, 10)])
    func bucket(_ rate: (units: Int64, burst: Int64)) throws {
        let (units, burst) = rate
        var retries: UInt64 = 0
        for round in 1...Race.mostRounds {
            let limiter = try Self.limiter(
                #"{"name": "a", "count": "requests", "rate": "\#(units)/s", "burst": \#(burst)}"#)
            let gate = try limiter.gate(["k": "v"])
            let (admitted, asked) = Self.hammer(gate, times: Race.count(20_000))
            #expect(limiter.core.store.segment.check().isSound)
            let most = RaceBounds.mostAboveRate(admitted, units: units, period: 1_000_000_000)
            #expect(most <= Int128(burst) * 1_000_000_000)
            // The oracle of the same bucket, asked at the same instants.
            let oracle = BucketLog(units: units, period: 1_000_000_000, burst: burst, at: 0)
            var expected = 0
            for instant in asked.sorted() {
                let moment = LogMoment(now: instant, wall: 0)
                guard oracle.answer(1, at: moment).reason == nil else { continue }
                expected += 1
                _ = oracle.charge(1, at: moment) { Issue.record("\($0)") }
            }
            #expect(admitted.count * 100 >= expected * 99, "\(admitted.count) of \(expected)")
            retries += limiter.snapshot().retries
            if retries > 0 {
                print(
                    "race bucket: \(admitted.count) of \(asked.count) admitted (oracle \(expected)), "
                        + "\(retries) retries in \(round) rounds")
                return
            }
        }
        Issue.record("no retry in \(Race.mostRounds) rounds: the threads never met")
    }

    @Test("threads on one rolling window never exceed it while its cells turn under them")
    func rolling() throws {
        // Under the sanitizer a turn takes longer than a cell of a window of a millisecond.
        let milliseconds: Int64 = Race.isShort ? 50 : 1
        let window = milliseconds * 1_000_000
        var helped: UInt64 = 0
        for round in 1...Race.mostRounds {
            let limiter = try Self.limiter(
                #"{"name": "a", "count": "requests", "limit": 100, "window": "\#(milliseconds)ms"}"#
            )
            let gate = try limiter.gate(["k": "v"])
            let (admitted, asked) = Self.hammer(gate, times: Race.count(30_000))
            #expect(RaceBounds.mostInWindow(admitted, nanoseconds: window) <= 100)
            let cells = RaceBounds.cellLogAdmits(asked, limit: 100, nanoseconds: window)
            #expect(Int64(admitted.count) * 100 >= cells * 99, "\(admitted.count) of \(cells)")
            let snapshot = limiter.snapshot()
            helped += snapshot.turnsHelped
            if helped > 0, snapshot.retries > 0 {
                print(
                    "race rolling: \(admitted.count) admitted, same cells \(cells); retries "
                        + "\(snapshot.retries), turns helped \(helped) in \(round) rounds")
                return
            }
        }
        Issue.record("no turn was finished for another thread in \(Race.mostRounds) rounds")
    }

    @Test("a saturated rolling window yields at least 97 % of a plain log")
    func rollingYield() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "requests", "limit": 600, "window": "10ms"}"#,
            clock: .manual(startUnixNanoseconds: Self.start))
        let gate = try limiter.gate(["k": "v"])
        let goOn = Atomic<Bool>(true)
        let admitted = Gathered<LoggedCharge>()
        let asked = Gathered<Int64>()
        let turns = Race.count(1_000)
        Race.run(Race.threads) { index in
            var charges: [LoggedCharge] = []
            var instants: [Int64] = []
            if index == 0 {
                // Moves the clock, and asks enough at each instant to take what came back.
                for _ in 0..<turns {
                    for _ in 0..<12 {
                        let record = gate.ask().record
                        instants.append(record.decidedAtNanoseconds)
                        if record.outcome == 1 { charges.append(record.charge()) }
                    }
                    try? limiter.advance(nanoseconds: 100_000)
                }
                goOn.store(false, ordering: .relaxed)
            }
            while goOn.load(ordering: .relaxed) {
                let record = gate.ask().record
                instants.append(record.decidedAtNanoseconds)
                if record.outcome == 1 { charges.append(record.charge()) }
            }
            admitted.append(charges)
            asked.append(instants)
        }
        let all = admitted.all
        #expect(RaceBounds.mostInWindow(all, nanoseconds: 10_000_000) <= 600)
        let plain = RaceBounds.plainLogAdmits(asked.all, limit: 600, nanoseconds: 10_000_000)
        let cells = RaceBounds.cellLogAdmits(asked.all, limit: 600, nanoseconds: 10_000_000)
        print("race rolling yield: \(all.count), same cells \(cells), plain log \(plain)")
        #expect(Int64(all.count) * 100 >= plain * 97)
        #expect(Int64(all.count) * 100 >= cells * 99)
    }

    @Test("threads on a calendar minute never exceed it across its boundaries")
    func calendar() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "requests", "limit": 500, "window": "minute"}"#,
            clock: .manual(startUnixNanoseconds: Self.start))
        let gate = try limiter.gate(["k": "v"])
        let admitted = Gathered<LoggedCharge>()
        let minutes = Race.count(300)
        let goOn = Atomic<Bool>(true)
        Race.run(Race.threads) { index in
            var charges: [LoggedCharge] = []
            if index == 0 {
                for _ in 0..<minutes {
                    for _ in 0..<600 {
                        let record = gate.ask().record
                        if record.outcome == 1 { charges.append(record.charge()) }
                    }
                    try? limiter.advance(nanoseconds: 60_000_000_000)
                }
                goOn.store(false, ordering: .relaxed)
            }
            while goOn.load(ordering: .relaxed) {
                let record = gate.ask().record
                if record.outcome == 1 { charges.append(record.charge()) }
            }
            admitted.append(charges)
        }
        let counts = Dictionary(grouping: admitted.all) { $0.wall / 60_000_000_000 }
            .mapValues(\.count)
        #expect(counts.values.allSatisfy { $0 <= 500 })
        let full = counts.values.filter { $0 == 500 }.count
        #expect(full * 100 >= minutes * 99, "\(full) of \(minutes) minutes full")
        print(
            "race calendar: \(counts.count) minutes, \(full) full, "
                + "\(limiter.snapshot().retries) retries")
    }

    @Test("never more leases than slots, and none is lost")
    func leases() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "concurrency", "limit": 3}"#)
        let gate = try limiter.gate(["k": "v"])
        let held = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let total = Atomic<Int>(0)
        Race.run(Race.threads * 2) { _ in
            for _ in 0..<Race.count(10_000) {
                let record = gate.ask(takesPermit: true).record
                guard record.outcome == 1 else { continue }
                let now = held.add(1, ordering: .sequentiallyConsistent).newValue
                most.max(now, ordering: .relaxed)
                total.add(1, ordering: .relaxed)
                held.subtract(1, ordering: .sequentiallyConsistent)
                if limiter.completePermit(record.permit, .asCharged) != 0 {
                    Issue.record("a permit did not end")
                }
            }
        }
        #expect(most.load(ordering: .relaxed) <= 3)
        #expect(total.load(ordering: .relaxed) > 0)
        // All slots are free again.
        let permits = (0..<4).map { _ in gate.ask(takesPermit: true).record }
        #expect(permits.map(\.outcome) == [1, 1, 1, 2])
        print(
            "race leases: \(total.load(ordering: .relaxed)) held, at most "
                + "\(most.load(ordering: .relaxed)) at once")
    }
}

extension UsageAmounts {
    /// As charged.
    static var asCharged: UsageAmounts {
        UsageAmounts(
            requests: -1, inputTokens: -1, outputTokens: -1,
            extra: UnsafeBufferPointer(start: nil, count: 0), isExact: true)
    }
}
