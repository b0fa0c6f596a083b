import Foundation
import Synchronization
import Testing

@testable import Admission

/// Documents loaded at a time by several limiters on one store.
extension RaceTests {
    private static func document(_ limit: Int, _ rate: Int, _ slots: Int) throws -> PolicyDocument {
        try SharedFile.document(
            """
            {"name": "a", "count": "requests", "limit": \(limit), "window": "2ms"},
            {"name": "b", "count": "requests", "rate": "\(rate)/s", "burst": 20},
            {"name": "c", "count": "concurrency", "limit": \(slots)}
            """)
    }

    @Test(
        "two loaders and two deciders on one store: the larger document's bounds, the last's limits"
    )
    func loadersAtATime() throws {
        let documents = try [
            Self.document(60, 100_000, 4), Self.document(20, 30_000, 2),
            Self.document(40, 70_000, 3),
        ]
        var overtaken = 0
        var again = 0
        for round in 1...Race.mostRounds {
            let file = try SharedFile(clock: .system)
            defer { withExtendedLifetime(file) {} }
            let limiters = try (0..<4).map { _ in
                try file.limiter(
                    #"{"name": "a", "count": "requests", "limit": 60, "window": "2ms"}"#,
                    #"{"name": "b", "count": "requests", "rate": "100000/s", "burst": 20}"#,
                    #"{"name": "c", "count": "concurrency", "limit": 4}"#)
            }
            let (log, met) = Self.loadAndDecide(limiters, documents)
            #expect(RaceBounds.mostInWindow(log, nanoseconds: 2_000_000) <= 60)
            let above = RaceBounds.mostAboveRate(log, units: 100_000, period: 1_000_000_000)
            #expect(above <= 20 * 1_000_000_000)
            // The last in the order of their numbers owns every limit.
            let hash = limiters[0].core.store.segment.documentInForce?.hash
            let last = try #require(documents.first { $0.hash == hash })
            for limiter in limiters {
                #expect(
                    try limiter.left().map { $0[0] } == last.policies[0].limits.map(\.kind.capacity)
                )
            }
            overtaken += met.overtaken
            again += met.again
            if overtaken > 0, again > 0 {
                print(
                    "race loads: \(log.count) admitted, \(met.loads) loads; overtaken \(overtaken), "
                        + "looked again \(again) in \(round) rounds")
                return
            }
        }
        Issue.record("overtaken \(overtaken), again \(again): the loaders never met")
    }

    private struct Met: Sendable {
        var loads = 0
        var overtaken = 0
        var again = 0
    }

    /// Two threads load, two decide; what was admitted, and how the loads met.
    private static func loadAndDecide(
        _ limiters: [Limiter], _ documents: [PolicyDocument]
    ) -> ([LoggedCharge], Met) {
        let log = Gathered<LoggedCharge>()
        let met = Gathered<Met>()
        let loading = Atomic<Int>(2)
        Race.run(4) { thread in
            let limiter = limiters[thread]
            if thread < 2 {
                var mine = Met()
                for round in 0..<Race.count(300) {
                    do {
                        var load = try limiter.beginLoad(documents[(round + thread) % 3])
                        while load.step != .done {
                            if case .publish = load.step {
                                try load.advance()
                                if load.step == .look { mine.again += 1 }
                            } else {
                                try load.advance()
                            }
                        }
                        mine.loads += 1
                        if load.isOvertaken { mine.overtaken += 1 }
                    } catch {
                        Issue.record("\(error)")
                    }
                }
                met.append([mine])
                loading.subtract(1, ordering: .relaxed)
                return
            }
            guard let gate = try? limiter.gate([]) else {
                Issue.record("no gate")
                return
            }
            var mine: [LoggedCharge] = []
            while loading.load(ordering: .relaxed) > 0 {
                let (status, record) = gate.ask(takesPermit: true)
                if status != 0 { Issue.record("status \(status)") }
                guard record.outcome == 1 else { continue }
                mine.append(record.charge())
                if limiter.dropPermit(record.permit) != 0 { Issue.record("a permit did not end") }
            }
            log.append(mine)
        }
        let all = met.all.reduce(into: Met()) { sum, met in
            sum.loads += met.loads
            sum.overtaken += met.overtaken
            sum.again += met.again
        }
        return (log.all, all)
    }

    @Test("threads that note events at a time lose none of the newest")
    func events() throws {
        let segment = try Segment(anonymousWithKeyCapacity: 64)
        let times = Race.count(5_000)
        Race.run(Race.threads) { thread in
            for number in 0..<times {
                segment.noteEvent(kind: 1, wallNanoseconds: 0, text: "\(thread) \(number)")
                if number % 16 == 0 {
                    for event in segment.recentEvents() where !event.text.contains(" ") {
                        Issue.record("torn: \(event)")
                    }
                }
            }
        }
        let events = segment.recentEvents()
        // One that was overtaken by a round of the ring leaves its place to the newer.
        #expect(events.count >= 60 && events.last?.sequence == UInt64(Race.threads * times))
    }
}
