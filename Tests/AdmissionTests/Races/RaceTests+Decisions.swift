import Foundation
import Synchronization
import Testing

@testable import Admission

/// Several limits, keys and documents at once.
extension RaceTests {
    @Test("gates that share limits in crossed orders book all or nothing")
    func crossed() throws {
        let json = """
            {"admission": 1, "policies": [
              {"name": "one", "match": {"a": "*"}, "per": ["a"], "limits": [
                {"name": "rpm", "count": "requests", "limit": 40, "window": "2ms"},
                {"name": "tpm", "count": "input_tokens", "limit": 90, "window": "3ms"}]},
              {"name": "two", "match": {"b": "*"}, "per": ["b"], "limits": [
                {"name": "pace", "count": "requests", "rate": "50000/s", "burst": 20},
                {"name": "day", "count": "requests", "limit": 1000000000, "window": "day"}]}]}
            """
        var rollbacks: UInt64 = 0
        for round in 1...Race.mostRounds {
            let limiter = try Limiter(
                policyJSON: json, options: Limiter.Options(store: "memory:", heartbeat: .manual))
            let gates = try [
                limiter.gate(["a": "x", "b": "y"]), limiter.gate(["b": "y", "a": "z"]),
                limiter.gate(["a": "x", "b": "w"]), limiter.gate(["a": "z", "b": "w"]),
            ]
            let logs = (0..<4).map { _ in Gathered<LoggedCharge>() }
            Race.run(Race.threads) { thread in
                var mine = [[LoggedCharge]](repeating: [], count: 4)
                for turn in 0..<Race.count(10_000) {
                    let index = (turn + thread) % 4
                    let (status, record) = gates[index].ask(inputTokens: 2, takesPermit: true)
                    guard status == 0, record.outcome == 1 else { continue }
                    mine[index].append(record.charge())
                    _ = limiter.completePermit(record.permit, .asCharged)
                }
                for index in 0..<4 { logs[index].append(mine[index]) }
            }
            let all = logs.map(\.all)
            for pair in [all[0] + all[2], all[1] + all[3]] {
                #expect(RaceBounds.mostInWindow(pair, nanoseconds: 2_000_000) <= 40)
                #expect(RaceBounds.mostInWindow(pair, nanoseconds: 3_000_000) <= 45)
            }
            for pair in [all[0] + all[1], all[2] + all[3]] {
                let above = RaceBounds.mostAboveRate(pair, units: 50_000, period: 1_000_000_000)
                #expect(above <= 20 * 1_000_000_000)
            }
            // Nothing is left behind: a limit that was never full tells what every decision booked.
            let days = try [gates[0], gates[2]].map { try $0.explain().limits[3].used }
            #expect(
                days == [Int64(all[0].count + all[1].count), Int64(all[2].count + all[3].count)])
            let snapshot = limiter.snapshot()
            rollbacks += snapshot.rollbacks
            if rollbacks > 0, snapshot.retries > 0 {
                print(
                    "race crossed: \(days) admitted; retries \(snapshot.retries), rollbacks "
                        + "\(rollbacks), turns helped \(snapshot.turnsHelped) in \(round) rounds")
                return
            }
        }
        Issue.record("no rollback in \(Race.mostRounds) rounds")
    }

    @Test("keys come and go under the threads that use them, and no charge is lost")
    func churn() throws {
        let json = """
            {"admission": 1, "policies": [{"name": "p", "per": ["k"], "limits": [
              {"name": "a", "count": "requests", "rate": "1000000/s", "burst": 10},
              {"name": "b", "count": "requests", "limit": 50, "window": "1ms"},
              {"name": "c", "count": "concurrency", "limit": 4}]}]}
            """
        let limiter = try Limiter(
            policyJSON: json,
            options: Limiter.Options(store: "memory:", keyCapacity: 4_096, heartbeat: .manual))
        let logs = (0..<8).map { _ in Gathered<LoggedCharge>() }
        let reclaimed = Atomic<Int>(0)
        Race.run(Race.threads) { thread in
            var mine = [[LoggedCharge]](repeating: [], count: 8)
            var numbers = SeededNumbers(seed: TestLength.seed &+ UInt64(thread))
            for turn in 0..<Race.count(4_000) {
                if thread == 0, turn % 8 == 0 {
                    reclaimed.add(limiter.reclaim(), ordering: .relaxed)
                }
                let key = numbers.below(8)
                guard let gate = try? limiter.gate(["k": "v\(key)"]) else {
                    Issue.record("no gate")
                    return
                }
                let (status, record) = gate.ask(takesPermit: true)
                if status != 0 { Issue.record("status \(status)") }
                guard record.outcome == 1 else { continue }
                mine[key].append(record.charge())
                if limiter.dropPermit(record.permit) != 0 { Issue.record("a permit did not end") }
            }
            for key in 0..<8 { logs[key].append(mine[key]) }
        }
        for log in logs {
            #expect(RaceBounds.mostInWindow(log.all, nanoseconds: 1_000_000) <= 50)
            let above = RaceBounds.mostAboveRate(log.all, units: 1_000_000, period: 1_000_000_000)
            #expect(above <= 10 * 1_000_000_000)
        }
        #expect(reclaimed.load(ordering: .relaxed) > 0)
        // A count that was mended while keys came and went is right when they do no more.
        _ = limiter.reclaim()
        let report = limiter.core.store.segment.check()
        #expect(report.isSound && report.notes.isEmpty, "\(report.json)")
        print(
            "race churn: \(logs.reduce(0) { $0 + $1.all.count }) admitted, "
                + "\(reclaimed.load(ordering: .relaxed)) keys reclaimed under them")
    }

    @Test("reloads while threads decide never let more through than the larger document")
    func reloads() throws {
        func document(_ limit: Int, _ rate: Int, _ slots: Int) throws -> PolicyDocument {
            try PolicyDocument(
                json: """
                    {"admission": 1, "policies": [{"name": "p", "limits": [
                      {"name": "a", "count": "requests", "limit": \(limit), "window": "2ms"},
                      {"name": "b", "count": "requests", "rate": "\(rate)/s", "burst": 20},
                      {"name": "c", "count": "concurrency", "limit": \(slots)}]}]}
                    """)
        }
        let documents = try [document(60, 100_000, 4), document(20, 30_000, 2)]
        let limiter = try Limiter(
            policy: documents[0], options: Limiter.Options(store: "memory:", heartbeat: .manual))
        let gate = try limiter.gate([])
        let goOn = Atomic<Bool>(true)
        let log = Gathered<LoggedCharge>()
        let held = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let loads = Race.count(200)
        Race.run(Race.threads) { thread in
            if thread == 0 {
                for load in 1...loads {
                    do { try limiter.reload(documents[load % 2]) } catch {
                        Issue.record("\(error)")
                    }
                    sched_yield()
                }
                goOn.store(false, ordering: .relaxed)
                return
            }
            var mine: [LoggedCharge] = []
            while goOn.load(ordering: .relaxed) {
                let (status, record) = gate.ask(takesPermit: true)
                if status != 0 { Issue.record("status \(status)") }
                guard record.outcome == 1 else { continue }
                most.max(held.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
                mine.append(record.charge())
                held.subtract(1, ordering: .relaxed)
                if limiter.dropPermit(record.permit) != 0 { Issue.record("a permit did not end") }
            }
            log.append(mine)
        }
        #expect(RaceBounds.mostInWindow(log.all, nanoseconds: 2_000_000) <= 60)
        let above = RaceBounds.mostAboveRate(log.all, units: 100_000, period: 1_000_000_000)
        #expect(above <= 20 * 1_000_000_000)
        #expect(most.load(ordering: .relaxed) <= 4)
        print("race reload: \(loads) loads, \(log.all.count) admitted")
    }

    @Test("a permit ended by two threads is settled by exactly one")
    func endedTwice() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "a", "count": "requests", "limit": 1000000, "window": "day"},
                  {"name": "c", "count": "concurrency", "limit": 4}]}]}
                """, options: Limiter.Options(store: "memory:", heartbeat: .manual))
        let gate = try limiter.gate([])
        let times = Race.count(3_000)
        let given = Atomic<UInt64>(0)
        let givenRound = Atomic<Int>(0)
        let settled = Atomic<Int>(0)
        let refused = Atomic<Int>(0)
        let done = Atomic<Int>(0)
        Race.run(3) { thread in
            for round in 1...times {
                if thread == 0 {
                    while done.load(ordering: .acquiring) < (round - 1) * 2 { sched_yield() }
                    let (_, record) = gate.ask(takesPermit: true)
                    if record.outcome != 1 { Issue.record("a slot was lost in round \(round)") }
                    given.store(record.permit, ordering: .relaxed)
                    // Release: pairs with the acquire below; the permit is whole.
                    givenRound.store(round, ordering: .releasing)
                    continue
                }
                while givenRound.load(ordering: .acquiring) < round { sched_yield() }
                let id = given.load(ordering: .relaxed)
                let status = limiter.abandonPermit(id)
                switch status {
                case 0: settled.add(1, ordering: .relaxed)
                case 400: refused.add(1, ordering: .relaxed)
                default: Issue.record("status \(status)")
                }
                done.add(1, ordering: .acquiringAndReleasing)
            }
        }
        #expect(settled.load(ordering: .relaxed) == times)
        #expect(refused.load(ordering: .relaxed) == times)
        #expect(try gate.explain().limits.map(\.used) == [0, 0])
    }
}

/// A race on purpose, so that the thread sanitizer shows that it looks.
@Suite struct PlantedRaceTests {
    private final class Plain: @unchecked Sendable {
        // Unchecked: this is the race.
        var value = 0
    }

    @Test(
        "the thread sanitizer reports a planted race",
        .enabled(if: ProcessInfo.processInfo.environment["ADMISSION_PLANT_RACE"] == "1"))
    func planted() {
        let plain = Plain()
        Race.run(2) { _ in
            for _ in 0..<10_000 { plain.value += 1 }
        }
        #expect(plain.value > 0, "and the sanitizer has said so")
    }
}
