import Testing

@testable import Admission

/// Seeded traces against the plain log. A failure prints its seed: run it alone with
/// `ADMISSION_SEED=…`.
@Suite struct LawTests {
    @Test(
        "a limiter decides, settles and explains as a plain log of every charge would",
        arguments: TestStore.allCases)
    func plainLog(_ store: TestStore) throws {
        let operations = TestLength.isSoak ? 1_000_000 : 12_000
        let each = 600
        var tally = LawRun.Tally()
        var seed = TestLength.seed
        while tally.operations < operations {
            var run = try LawRun(seed: seed, store: store)
            do {
                try run.run(operations: each)
            } catch {
                Issue.record("\(error)")
                return
            }
            tally += run.tally
            seed &+= 1
        }
        print("laws on \(store): seeds \(TestLength.seed)...\(seed - 1): \(tally)")
        #expect(tally.admitted > operations / 20)
        #expect(tally.jumps > operations / 200 && tally.expired > 0)
        #expect(tally.reclaimed > 0 || store.keepsMicroseconds)
        for reason in [
            RejectionReason.exceedsLimit, .concurrency, .exhausted, .debt, .boundaryGuard,
        ] {
            #expect(tally.refusals[reason, default: 0] > 10, "\(reason) hardly met")
        }
    }
}
