import Glibc
import Synchronization
import Testing

@testable import Admission

/// A concurrency limit whose slots need more room than there is.
@Suite struct SlotRoomTests {
    /// A file system that a test fills.
    private final class Disk: Sendable {
        /// The `errno` that reserving ends with; 0: it is left to the system.
        let answer = Atomic<Int32>(0)

        var system: SystemFacts {
            var system = SystemFacts()
            system.standIn.reserve = { [self] _, _ in
                let answer = answer.load(ordering: .relaxed)
                return answer == 0 ? nil : answer
            }
            return system
        }
    }

    /// A gate whose first block of slots is taken, on a file with nothing in reserve.
    private struct Bench {
        let disk = Disk()
        let limiter: Limiter
        let gate: Gate
        private let scratch: ScratchDirectory

        init() throws {
            scratch = try ScratchDirectory()
            limiter = try Limiter(
                policy: SharedFile.document(SharedFile.slots(1_000)),
                options: Limiter.Options(
                    store: "file:" + scratch.file(),
                    clock: .manual(startUnixNanoseconds: SharedFile.start), permitCapacity: 4_096,
                    keyCapacity: 64, heartbeat: .manual),
                system: disk.system)
            gate = try limiter.gate([])
            for _ in 0..<LeaseBlock.largestFirst {
                let (status, record) = gate.ask(takesPermit: true)
                #expect(status == 0 && record.outcome == 1)
            }
            disk.answer.store(ENOSPC, ordering: .relaxed)
            while (try? segment.bump(4_096)) != nil {}
        }

        var segment: Segment { limiter.core.store.segment }

        /// The code that the next decision ends with; nil for an answer.
        func code() -> LimiterError.Code? {
            let (status, _) = gate.ask(takesPermit: true)
            return status == 0 ? nil : gate.error(status).code
        }
    }

    @Test("a disk without room for more slots is told as it is, and the next decision looks anew")
    func full() throws {
        let bench = try Bench()
        #expect(bench.code() == .storeFull)
        for (number, code) in [
            (ENOSPC, LimiterError.Code.storeFull), (EDQUOT, .storeFull),
            (EIO, .storeUnavailable), (EPERM, .storeNotPermitted),
        ] {
            bench.disk.answer.store(number, ordering: .relaxed)
            #expect(bench.code() == code, "errno \(number)")
        }
        bench.disk.answer.store(0, ordering: .relaxed)
        #expect(bench.code() == nil)
    }

    @Test("slots that lead astray are told as damage, not as a full table")
    func damaged() throws {
        let bench = try Bench()
        var link: SharedWord?
        bench.segment.forEachKey { key, _ in
            link = bench.segment.word(LeaseArray(bench.segment, at: key.offset).first.offset)
        }
        try #require(link).store(UInt64(bench.segment.size / 16))
        #expect(bench.code() == .storeCorrupted)
    }

    @Test("leases in a block that an older and larger document's decision appended late count")
    func appended() throws {
        let limiter = try Limiter(
            policy: SharedFile.document(SharedFile.slots(4)),
            options: Limiter.Options(
                clock: .manual(startUnixNanoseconds: SharedFile.start), heartbeat: .manual))
        let gate = try limiter.gate([])
        let step = gate.storage.first.step(0)
        let owner = LeaseOwner(word: limiter.core.hot.pointee.owner.load())
        func claim(limit: Int64) throws -> LeaseArray.Claim? {
            try step.leases.claimAny(
                limit: limit, owner: owner,
                expiry: LeaseSlots.expiry(now: 0, leaseNanoseconds: 30 * SharedFile.second),
                now: 0, in: limiter.core.store.segment
            ).claim
        }
        // Four in the first block, one behind it; then one of the first is free again.
        let claims = try (0..<5).map { _ in try #require(try claim(limit: 8)) }
        #expect(step.leases.capacity > 4)
        #expect(step.leases.release(claims[0]))
        #expect(gate.ask(takesPermit: true).record.outcome == 2, "four live, as many as may")
        #expect(step.leases.release(claims[4]))
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        #expect(step.leases.liveCount(now: 0) == 4)
    }

    @Test("a limit of several blocks takes the short way as long as its slots are no more than it")
    func severalBlocks() throws {
        let limiter = try Limiter(
            policy: SharedFile.document(SharedFile.slots(600)),
            options: Limiter.Options(
                clock: .manual(startUnixNanoseconds: SharedFile.start), permitCapacity: 4_096,
                heartbeat: .manual))
        let gate = try limiter.gate([])
        let permits = (0..<600).map { _ in gate.ask(takesPermit: true).record.permit }
        #expect(permits.allSatisfy { $0 != 0 })
        let leases = gate.storage.first.step(0).leases
        #expect(leases.capacity == 600 && leases.hasAtMost(600) && !leases.hasAtMost(599))
        #expect(gate.ask(takesPermit: true).record.outcome == 2)
        #expect(limiter.dropPermit(permits[300]) == 0)
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        #expect(gate.ask(takesPermit: true).record.outcome == 2)
    }

    @Test("a segment without room for more slots is a full table")
    func arena() throws {
        let bench = try Bench()
        bench.disk.answer.store(0, ordering: .relaxed)
        bench.segment.word(Segment.Header.reserved).store(UInt64(bench.segment.size))
        bench.segment.word(Segment.Header.allocated).store(UInt64(bench.segment.arenaEnd & ~15))
        #expect(bench.code() == .keyTableFull)
    }
}
