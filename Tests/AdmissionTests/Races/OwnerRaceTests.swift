import Foundation
import Synchronization
import Testing

@testable import Admission

/// Owners that die while others claim and sweep.
@Suite struct OwnerRaceTests {
    /// Counts of what happened, to show that it did.
    private final class Tally: Sendable {
        let held = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let died = Atomic<Int>(0)
        let found = Atomic<Int>(0)
        let freed = Atomic<Int>(0)
        let disowned = Atomic<Int>(0)
    }

    /// Takes a slot and lets it go, as one of many processes; one in four dies with it.
    private static func live(
        _ bench: OwnerBench, pid: Int32, dies: Bool, _ tally: Tally
    ) throws {
        guard let owner = bench.owner(bench.facts(pid: pid)) else { return }
        var claim: LeaseArray.Claim?
        while claim == nil {
            switch try bench.claim(owner) {
            case .claimed(let taken): claim = taken
            case .full: sweep(bench, tally)
            case .retired, .disowned: return
            }
        }
        guard let claim else { return }
        let now = tally.held.add(1, ordering: .sequentiallyConsistent).newValue
        tally.most.max(now, ordering: .relaxed)
        tally.held.subtract(1, ordering: .sequentiallyConsistent)
        if dies {
            tally.died.add(1, ordering: .relaxed)
            bench.end(pid)
        } else {
            if !bench.array.release(claim) { Issue.record("a living owner lost its slot") }
            bench.segment.leave(owner)
            bench.end(pid)
        }
    }

    private static func sweep(_ bench: OwnerBench, _ tally: Tally) {
        let look = bench.look()
        tally.found.add(look.deaths.count, ordering: .relaxed)
        tally.freed.add(look.freedLeases, ordering: .relaxed)
    }

    @Test("owners die by the hundred: never more leases than slots, and each comes back once")
    func deaths() throws {
        let bench = try OwnerBench()
        let tally = Tally()
        let rounds = Race.count(2_000)
        Race.run(Race.threads) { thread in
            var numbers = SeededNumbers(seed: UInt64(thread))
            for round in 0..<rounds {
                let pid = Int32(thread * rounds + round + 1_000)
                do {
                    try Self.live(bench, pid: pid, dies: numbers.isOne(of: 4), tally)
                } catch {
                    Issue.record(error)
                }
            }
        }
        Self.sweep(bench, tally)
        let died = tally.died.load(ordering: .relaxed)
        #expect(tally.most.load(ordering: .relaxed) <= 4)
        #expect(tally.found.load(ordering: .relaxed) == died && died > 0)
        // Each lease came back by a sweep or by a claim, once.
        #expect(bench.segment.reclaimedLeases.load() == UInt64(died))
        #expect(bench.live() == 0 && bench.segment.owners().isEmpty)
        print(
            "race deaths: \(died), freed by sweeps \(tally.freed.load(ordering: .relaxed)), "
                + "retries \(bench.segment.retries.load())")
    }

    @Test("living owners taken for dead in the middle of a claim leave no slot behind")
    func misjudged() throws {
        let bench = try OwnerBench()
        let tally = Tally()
        let isOver = Atomic<Bool>(false)
        let judge = PlainThread {
            while !isOver.load(ordering: .acquiring) {
                for number in 1...Race.threads {
                    let entry = bench.segment.ownerWord(number)
                    let word = entry.load()
                    guard OwnerEntry.state(word) == .live else { continue }
                    _ = entry.swap(word, OwnerEntry.word(word, turned: .dead))
                }
                Self.sweep(bench, tally)
            }
        }
        var rounds = 0
        repeat {
            rounds += 1
            Race.run(Race.threads) { thread in
                let facts = bench.facts(pid: Int32(thread + 10))
                for _ in 0..<Race.count(1_000) { Self.claimAndLeave(bench, facts, tally) }
            }
        } while tally.disowned.load(ordering: .relaxed) < 10 && rounds < Race.mostRounds
        isOver.store(true, ordering: .releasing)
        judge.join()
        Self.sweep(bench, tally)
        #expect(bench.live() == 0 && bench.segment.owners().isEmpty)
        #expect(tally.disowned.load(ordering: .relaxed) > 0, "the race did not happen")
        print("race misjudged: disowned \(tally.disowned.load(ordering: .relaxed))")
    }

    private static func claimAndLeave(
        _ bench: OwnerBench, _ facts: ProcessFacts, _ tally: Tally
    ) {
        guard let owner = bench.owner(facts) else { return }
        do {
            switch try bench.claim(owner) {
            case .claimed(let claim): bench.array.release(claim)
            case .disowned: tally.disowned.add(1, ordering: .relaxed)
            case .full, .retired: break
            }
        } catch {
            Issue.record(error)
        }
        bench.segment.leave(owner)
    }

    @Test("many take entries at a time and no two have one")
    func taking() throws {
        let bench = try OwnerBench()
        let taken = Gathered<Int>()
        Race.run(Race.threads) { thread in
            var mine: [Int] = []
            for round in 0..<200 {
                let pid = Int32(thread * 1_000 + round + 10)
                if let owner = bench.segment.takeOwner(bench.facts(pid: pid), now: 0) {
                    mine.append(owner.number)
                    let entry = bench.segment.owner(owner.number)
                    if entry.pid != pid || !entry.isWhole { Issue.record("another's entry") }
                }
            }
            taken.append(mine)
        }
        #expect(taken.all.count == Race.threads * 200)
        #expect(Set(taken.all).count == taken.all.count)
    }
}
