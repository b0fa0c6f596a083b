import Testing

@testable import Admission

/// Faults that a reading of the decision path found.
@Suite struct LimiterReviewTests {
    private static let start: Int64 = 1_700_000_000_000_000_000
    private static let second: Int64 = 1_000_000_000

    private func limiter(
        _ limits: String, heartbeat: Limiter.Options.Heartbeat = .automatic
    ) throws -> Limiter {
        try Limiter(
            policyJSON: Self.policy(limits),
            options: Limiter.Options(
                clock: .manual(startUnixNanoseconds: Self.start), heartbeat: heartbeat))
    }

    private static func policy(_ limits: String) -> String {
        #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limits)]}]}"#
    }

    private static func pace(_ rate: String, _ burst: Int) -> String {
        #"{"name": "pace", "count": "requests", "rate": "\#(rate)", "burst": \#(burst)}"#
    }

    private func admits(_ gate: Gate, _ cost: Cost = Cost()) throws -> Bool {
        if case .admitted = try gate.tryCharge(cost) { return true }
        return false
    }

    @Test("a permit whose key was reclaimed does not free the slot of the next holder")
    func slotOfAnotherLife() throws {
        let limiter = try limiter(
            #"{"name": "c", "count": "concurrency", "limit": 1, "lease": "1s"}"#,
            heartbeat: .manual)
        let gate = try limiter.gate([])
        guard case .admitted(let old) = try gate.tryAcquire() else { throw Missing.permit }
        try limiter.advance(nanoseconds: 2 * Self.second)
        #expect(limiter.reclaim() == 1)
        guard case .admitted(let new) = try gate.tryAcquire() else { throw Missing.permit }
        #expect(old.drop() == .leaseExpired)
        if case .admitted = try gate.tryAcquire() { Issue.record("two leases on one slot") }
        #expect(new.complete() == .settled)
    }

    private enum Missing: Error { case permit }

    @Test("a cost of 0 is not refused by a calendar limit's guard")
    func guardAndNothing() throws {
        let limiter = try limiter(
            #"{"name": "d", "count": "images", "limit": 5, "window": "day", "guard": "10s"}"#)
        try limiter.setTime(unixNanoseconds: 1_700_006_400 * Self.second + 1)
        let gate = try limiter.gate([])
        #expect(try admits(gate))
        #expect(try !admits(gate, Cost(extra: [CountAmount(Count("images"), 1)])))
        #expect(try gate.explain().limits[0].outcome == .admit)
    }

    @Test("a step back of the wall clock across a boundary does not move steady time")
    func wallStep() throws {
        let limiter = try limiter(
            """
            {"name": "d", "count": "requests", "limit": 100, "window": "day"},
            {"name": "m", "count": "requests", "limit": 1, "window": "1m"}
            """)
        let gate = try limiter.gate([])
        let midnight = 1_700_006_400 * Self.second
        try limiter.setTime(unixNanoseconds: midnight + 1)
        #expect(try admits(gate))
        try limiter.setTime(unixNanoseconds: midnight - 3_600 * Self.second)
        try limiter.advance(nanoseconds: 61 * Self.second)
        guard case .admitted(let binding) = try gate.tryCharge() else { throw Missing.permit }
        #expect(binding.decidedAt.nanoseconds == 61 * Self.second)
        #expect(binding.decidedAtWall.unixNanoseconds == midnight)
        try limiter.advance(nanoseconds: 61 * Self.second)
        #expect(try admits(gate), "the rolling minute has passed in steady time")
    }

    @Test("a caller that was held up for two windows does not take the third for damage")
    func heldUp() throws {
        let limiter = try limiter(
            #"{"name": "m", "count": "requests", "limit": 5, "window": "minute"}"#)
        try limiter.advance(nanoseconds: 180 * Self.second)
        let gate = try limiter.gate([])
        #expect(try admits(gate, Cost(requests: 5)))
        let plan = try gate.storage.currentPlan(replacing: nil)
        // As it read the time three minutes ago.
        var late = ChargeMoment(now: 0, wallOffset: Self.start, owner: 0)
        var charge = StepCharge()
        #expect(plan.step(0).take(1, &late, &charge) == .raised)
        #expect(late.now == 180 * Self.second)
        late.now = 0
        #expect(plan.step(0).view(1, &late)?.verdict.refusal == .exhausted)
        #expect(late.now == 180 * Self.second)
        #expect(try !admits(gate), "the window was not reset")
    }

    @Test("a permit older than two reloads gives back units of the parameters in force")
    func twoReloads() throws {
        let limiter = try limiter(Self.pace("1/1h", 10))
        let gate = try limiter.gate([])
        guard case .admitted(let permit) = try gate.tryAcquire(Cost(requests: 5)) else {
            throw Missing.permit
        }
        try limiter.reload(policyJSON: Self.policy(Self.pace("1/1m", 10)))
        try limiter.reload(policyJSON: Self.policy(Self.pace("1/1s", 10)))
        #expect(try admits(gate, Cost(requests: 5)))
        #expect(try !admits(gate))
        #expect(permit.abandon() == .settled)
        #expect(try admits(gate, Cost(requests: 5)))
        #expect(try !admits(gate), "five came back, not five hours")
    }

    @Test("a retired bucket is never charged, under either parity")
    func retiredBucket() throws {
        let limiter = try limiter(Self.pace("1/1s", 10))
        try limiter.reload(policyJSON: Self.policy(Self.pace("1/1s", 11)))
        let gate = try limiter.gate([])
        #expect(try admits(gate))
        try limiter.advance(nanoseconds: Self.second)
        let segment = limiter.core.store.segment
        var offset = 0
        segment.forEachKey { key, _ in offset = key.offset }
        let tag = segment.word(offset + KeyRecord.tag).load()
        segment.word(offset + KeyRecord.state).store(TokenBucket.retired)
        #expect(try admits(gate))
        #expect(segment.word(offset + KeyRecord.tag).load() != tag, "charged on a new life")
        #expect(try gate.explain().limits[0].remaining == 10)
    }

    @Test("a bucket that was published while a reload passed by is brought under its parameters")
    func lateKey() throws {
        let limiter = try limiter(Self.pace("1/1s", 10))
        let gate = try limiter.gate([])
        #expect(try admits(gate, Cost(requests: 4)))
        let segment = limiter.core.store.segment
        var state = segment.word(0)
        segment.forEachKey { key, _ in state = segment.word(key.offset + KeyRecord.state) }
        let before = state.load()
        try limiter.reload(policyJSON: Self.policy(Self.pace("1/1s", 20)))
        // As if the load had not met the key: its word is still that of the document before.
        state.store(before)
        #expect(try admits(gate, Cost(requests: 6)))
        #expect(try gate.explain().limits[0].remaining == 0)
    }

    @Test("documents loaded at a time leave the limits of the document that is in force")
    func reloadsAtATime() throws {
        let limiter = try limiter(Self.pace("1/1h", 10))
        let threads = (0..<4).map { number in
            PlainThread {
                for round in 0..<25 {
                    let burst = 1 + number * 25 + round
                    try? limiter.reload(policyJSON: Self.policy(Self.pace("1/1h", burst)))
                }
            }
        }
        for thread in threads { thread.join() }
        guard
            case .tokenBucket(_, _, let burst)? =
                limiter.core.state.withLock({ $0.loaded.table.document.policies[0].limits[0].kind })
        else { throw Missing.permit }
        let explanation = try limiter.gate([]).explain()
        #expect(explanation.limits[0].capacity == burst)
    }
}
