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

    /// What an outsider did to a file besides cutting it.
    enum Loss: CaseIterable { case unlinked, renamedOver, unlinkedWithoutDescriptor }

    @Test("a file that was cut and then lost its name is not touched", arguments: Loss.allCases)
    func loses(_ loss: Loss) throws {
        let scratch = try ScratchDirectory()
        let child = ForkedChild {
            let request = SegmentFileRequest(path: scratch.file(), keyCapacity: 64)
            let other = SegmentFileRequest(path: scratch.file("other"), keyCapacity: 64)
            guard let segment = try? Segment.open(request), (try? Segment.open(other)) != nil,
                let file = segment.file, truncate(scratch.file(), 0) == 0
            else { return false }
            switch loss {
            case .unlinked: unlink(scratch.file())
            case .renamedOver: rename(scratch.file("other"), scratch.file())
            case .unlinkedWithoutDescriptor:
                close(file.descriptor)
                unlink(scratch.file())
            }
            return !segment.checkFile() && segment.isGone.load(ordering: .relaxed)
                && segment.loadVersion.load() == 0
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("where there is no memory for zeros, they are read, and written from the next look on")
    func noMemory() throws {
        let scratch = try ScratchDirectory()
        let child = ForkedChild {
            let request = SegmentFileRequest(path: scratch.file(), keyCapacity: 64)
            let data = __rlimit_resource_t(RLIMIT_DATA.rawValue)
            var limit = rlimit()
            guard let segment = try? Segment.open(request), truncate(scratch.file(), 0) == 0,
                getrlimit(data, &limit) == 0
            else { return false }
            let before = limit.rlim_cur
            // Not 0, which the kernel takes for no limit.
            limit.rlim_cur = 4_096
            setrlimit(data, &limit)
            let isKept = segment.checkFile()
            let isShort = segment.isUncovered.load(ordering: .relaxed)
            let version = segment.loadVersion.load()
            limit.rlim_cur = before
            setrlimit(data, &limit)
            guard !isKept, isShort, version == 0, !segment.checkFile() else { return false }
            segment.loadVersion.increment()
            return segment.loadVersion.load() == 1
                && !segment.isUncovered.load(ordering: .relaxed)
        }
        #expect(child.isReady())
        child.kill()
    }
}
