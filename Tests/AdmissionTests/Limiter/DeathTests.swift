import Foundation
import Testing

@testable import Admission

/// What processes held that died, on real ones.
@Suite struct DeathTests {
    private static let policy = """
        {"admission": 1, "policies": [{"name": "p", "limits": [
          {"name": "c", "count": "concurrency", "limit": 2, "lease": "60s"}]}]}
        """

    private func limiter(
        clock: LimiterClock = .manual(startUnixNanoseconds: 0),
        heartbeat: Limiter.Options.Heartbeat = .automatic
    ) throws -> Limiter {
        try Limiter(
            policyJSON: Self.policy,
            options: Limiter.Options(clock: clock, heartbeat: heartbeat))
    }

    private func isAdmitted(_ gate: Gate) -> Bool {
        gate.ask(takesPermit: true).record.outcome == 1
    }

    /// A child that holds both slots.
    private func holder(_ gate: Gate) -> ForkedChild {
        ForkedChild { isAdmitted(gate) && isAdmitted(gate) && !isAdmitted(gate) }
    }

    @Test("a killed process' slots come back when its death is noticed, are counted and told once")
    func noticed() throws {
        let limiter = try limiter()
        let gate = try limiter.gate([])
        let child = holder(gate)
        #expect(child.isReady())
        #expect(!isAdmitted(gate))
        limiter.reclaim()
        #expect(!isAdmitted(gate), "it lives")
        child.kill()
        limiter.reclaim()
        #expect(isAdmitted(gate) && isAdmitted(gate) && !isAdmitted(gate))
        #expect(limiter.snapshot().reclaimedLeases == 2)
        let events = limiter.events().filter { $0.kind == .ownerDied }
        #expect(events.count == 1)
        #expect(events.first?.text.contains("process \(child.pid) ") == true)
        #expect(events.first?.text.contains("2 leases") == true)
    }

    @Test("a dead process that nobody waited for is dead")
    func zombie() throws {
        let limiter = try limiter()
        let gate = try limiter.gate([])
        let child = holder(gate)
        #expect(child.isReady())
        child.killWithoutWaiting()
        limiter.reclaim()
        #expect(isAdmitted(gate))
        child.wait()
    }

    @Test("a claim that finds no slot looks for the dead by itself")
    func claimLooks() throws {
        let limiter = try limiter(clock: .system, heartbeat: .manual)
        let gate = try limiter.gate([])
        let child = holder(gate)
        #expect(child.isReady())
        child.kill()
        // No more than one look in 100 ms: some time passes until the next.
        #expect(comesTrue { isAdmitted(gate) })
        #expect(isAdmitted(gate) && !isAdmitted(gate))
        let counts = limiter.core.store.segment.reclaimedLeases.load()
        #expect(counts == 2)
    }

    @Test(
        "every way of looking finds a death: advance, gate, snapshot, and renew", arguments: 0..<4)
    func waysOfLooking(way: Int) throws {
        let limiter = try limiter()
        let gate = try limiter.gate([])
        let permit = gate.ask(takesPermit: true).record.permit
        let child = ForkedChild { isAdmitted(gate) }
        #expect(child.isReady())
        child.kill()
        switch way {
        case 0: try limiter.advance(nanoseconds: 0)
        case 1: _ = try limiter.gate([])
        case 2: _ = limiter.snapshot()
        default: #expect(limiter.renewPermit(permit) == 0)
        }
        #expect(limiter.core.store.segment.reclaimedLeases.load() == 1)
        #expect(isAdmitted(gate))
    }

    @Test("a process that was taken for dead goes on with an entry of its own")
    func misjudged() throws {
        let limiter = try limiter()
        let gate = try limiter.gate([])
        let segment = limiter.core.store.segment
        let old = gate.ask(takesPermit: true).record.permit
        let number = try #require(segment.owners().first).number
        segment.ownerWord(number)
            .store(OwnerEntry.word(segment.ownerWord(number).load(), turned: .dead))
        #expect(isAdmitted(gate), "with another entry")
        #expect(segment.owners().map(\.state) == [.dead, .live])
        limiter.reclaim()
        #expect(segment.owners().map(\.number) == [2])
        #expect(limiter.completePermit(old, .asCharged) == LimiterError.Code.leaseExpired.status)
        #expect(isAdmitted(gate) && !isAdmitted(gate))
    }

    @Test("a process finds its entry given away and takes another with its next beat")
    func beatKeepsOwner() throws {
        let limiter = try limiter()
        let segment = limiter.core.store.segment
        let seen = segment.ownerWord(1).load()
        segment.ownerWord(1).store(OwnerEntry.freed(seen))
        try limiter.advance(nanoseconds: 5)
        #expect(segment.owner(1).state == .live && segment.owner(1).incarnation == 1)
        #expect(segment.owner(1).heartbeat >= 0)
        try limiter.advance(nanoseconds: 5)
        #expect(segment.owner(1).heartbeat == 10)
    }

    @Test("a process for which there is no entry is told so, where it wants a slot")
    func noEntry() throws {
        let limiter = try limiter()
        let gate = try limiter.gate([])
        let segment = limiter.core.store.segment
        var facts = ProcessFacts(SystemFacts())
        for number in 2...4_095 { segment.give(facts, entry: number) }
        // This process' own is given to another that lives too.
        segment.ownerWord(1).store(OwnerEntry.freed(segment.ownerWord(1).load()))
        facts.pidNamespace = 1
        _ = segment.takeOwner(facts, now: 0)
        let (status, _) = gate.ask(takesPermit: true)
        #expect(status == LimiterError.Code.ownerTableFull.status)
        #expect(gate.error(status).code == .ownerTableFull)
        segment.ownerWord(7).store(OwnerEntry.freed(segment.ownerWord(7).load()))
        #expect(isAdmitted(gate))
    }

    @Test("an orderly end gives the entry back, a child's copy of the limiter gives nothing")
    func orderlyEnd() throws {
        let limiter = try limiter()
        let segment = limiter.core.store.segment
        let child = ForkedChild {
            limiter.core.leaveOwner()
            return true
        }
        #expect(child.isReady())
        child.kill()
        #expect(segment.owner(1).state == .live)
        limiter.core.leaveOwner()
        #expect(segment.owners().isEmpty)
    }

    /// Threads of this process.
    private static func threads() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
    }

    @Test("a forked child gets a heartbeat of its own: with its first lease, or when asked")
    func heartbeatAfterFork() throws {
        let limiter = try limiter(clock: .system)
        let gate = try limiter.gate([])
        let permit = gate.ask(takesPermit: true).record.permit
        let first = ForkedChild { Self.threads() == 1 && isAdmitted(gate) && Self.threads() == 2 }
        #expect(first.isReady())
        first.kill()
        let second = ForkedChild {
            Heartbeat.shared.revive()
            Heartbeat.shared.revive()
            return Self.threads() == 2
        }
        #expect(second.isReady())
        second.kill()
        #expect(limiter.dropPermit(permit) == 0)
    }
}
