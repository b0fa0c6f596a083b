import Testing

@testable import Admission

/// A gate outlives the keys that it was opened with; the space of its slots is somebody else's then.
@Suite struct ReclaimedSlotsTests {
    private static let document = """
        {"admission": 1, "policies": [{"name": "p", "per": ["project"], "limits": [
          {"name": "parallel", "count": "concurrency", "limit": 2},
          {"name": "roll", "count": "requests", "limit": 1000, "window": "24h"}]}]}
        """

    @Test(
        "a gate whose slots were reclaimed takes none in their old place",
        arguments: [LimiterClock.system, .manual(startUnixNanoseconds: 0)])
    func oldPlace(clock: LimiterClock) throws {
        let limiter = try Limiter(
            policyJSON: Self.document,
            options: Limiter.Options(
                store: "memory:", clock: clock, keyCapacity: 64, heartbeat: .manual))
        let gate = try limiter.gate(["project": "a"])
        func acquire() throws {
            guard case .admitted(let permit) = try gate.tryAcquire() else {
                Issue.record("refused")
                return
            }
            permit.complete()
        }
        // The second takes the short way, where there is one.
        for _ in 0..<2 { try acquire() }
        #expect(limiter.reclaim() == 1)
        _ = try limiter.gate(["project": "b"])
        for _ in 0..<10 { try acquire() }
        #expect(limiter.snapshot().rollbacks == 0)
    }
}
