import Foundation
import Testing

@testable import Admission

/// A store's file that an outsider cut: its pages are gone, and touching one ends the process.
@Suite struct CutFileTests {
    @Test(
        "whoever looks at a limiter whose file was cut is told so and goes on",
        arguments: [
            LimiterClock.system, .manual(startUnixNanoseconds: SharedFile.start),
        ],
        [SharedFile.rpm(5), SharedFile.pace("1/1h", 5), SharedFile.slots(5), SharedFile.day(5)])
    func looks(_ clock: LimiterClock, _ limit: String) throws {
        let scratch = try ScratchDirectory()
        // In a child, which SIGBUS would end.
        let child = ForkedChild {
            guard let document = try? SharedFile.document(limit),
                let limiter = try? Limiter(
                    policy: document,
                    options: Limiter.Options(
                        store: "file:" + scratch.file(), clock: clock, keyCapacity: 64,
                        heartbeat: .manual)),
                let gate = try? limiter.gate([])
            else { return false }
            let permits = (0..<4).map { _ in gate.ask(takesPermit: true).record.permit }
            guard permits.allSatisfy({ $0 != 0 }),
                limiter.snapshot().keys == 1, truncate(scratch.file(), 0) == 0
            else { return false }
            func code(_ body: () throws(LimiterError) -> Void) -> LimiterError.Code? {
                do throws(LimiterError) { try body() } catch { return error.code }
                return nil
            }
            let snapshot = limiter.snapshot()
            let isEmpty = snapshot.keys == 0 && snapshot.retries == 0 && snapshot.keyCapacity == 64
            _ = limiter.metrics()
            let isTold = limiter.events().contains { $0.kind == .storeReplaced }
            let errors = [
                code { () throws(LimiterError) in _ = try gate.explain() },
                code { () throws(LimiterError) in _ = try limiter.gate([]) },
                code { () throws(LimiterError) in try limiter.reload(document) },
            ]
            let status = gate.ask(takesPermit: true).status
            // Whoever holds a plan or a permit meets zeros.
            let plan = gate.storage.first
            let isCharged =
                plan.chargeAtOnce(1, 0, 0).limit != nil || plan.acquireAtOnce(1, 0, 0).permit != 0
            let usage = Usage(requests: 3)
            _ = usage.withAmounts { limiter.completePermit(permits[0], $0) }
            _ = limiter.abandonPermit(permits[1])
            _ = limiter.dropPermit(permits[2])
            _ = limiter.renewPermit(permits[3])
            if clock != .system {
                guard
                    code({ () throws(LimiterError) in try limiter.advance(nanoseconds: 1) })
                        == .storeReplaced
                else { return false }
            }
            return isEmpty && isTold && !isCharged && errors.allSatisfy { $0 == .storeReplaced }
                && status == LimiterError.Code.storeReplaced.status && limiter.reclaim() == 0
        }
        #expect(child.isReady())
        child.kill()
    }
}
