import Testing

@testable import Admission

/// A wall clock that is stepped under a running process.
@Suite struct SteppedWallTests {
    private static let day: Int64 = 86_400 * SharedFile.second
    private static let hour: Int64 = 3_600 * SharedFile.second
    private static let limit: Int = 1_000_000_000

    /// Does nothing but decide until the limiter's wall time is the kernel's again.
    ///
    /// - Returns: whether that was within a second; the longest time between two decisions of this
    ///   caller, in which it could not see it, is the machine's.
    private static func follow(_ limiter: Limiter, _ gate: Gate) -> Bool {
        let stepped = KernelClock.monotonicNanoseconds()
        var last = stepped
        var longest: Int64 = 0
        while true {
            guard gate.ask().record.outcome == 1 else { return false }
            let now = KernelClock.monotonicNanoseconds()
            longest = max(longest, now - last)
            last = now
            let times = limiter.core.times()
            let behind = KernelClock.wallNanoseconds() - times.now - times.wallOffset
            if abs(behind) < hour { return now - stepped <= SharedFile.second + longest }
            // Never: a wall clock that is not followed at all.
            if now - stepped > 10 * SharedFile.second { return false }
        }
    }

    @Test(
        "a step of the wall clock is followed within a second, and one back reopens no window",
        arguments: [TestStore.memory, .file])
    func step(_ store: TestStore) throws {
        let (url, directory) = try store.fresh()
        // In a child: the other tests keep their time.
        let child = ForkedChild {
            let limits = SharedFile.day(Self.limit) + ", " + SharedFile.rpm(Self.limit)
            guard let document = try? SharedFile.document(limits),
                let limiter = try? Limiter(
                    policy: document,
                    options: Limiter.Options(store: url, keyCapacity: 64, heartbeat: .manual)),
                let gate = try? limiter.gate([])
            else { return false }
            func used() -> [Int64] {
                ((try? limiter.left()) ?? []).map { Int64(Self.limit) - $0[1] }
            }
            guard gate.ask(requests: 1_000).record.outcome == 1 else { return false }

            KernelClock.wallStep.store(Self.day, ordering: .relaxed)
            guard Self.follow(limiter, gate) else { return false }
            let record = gate.ask(requests: 5_000).record
            let wall = KernelClock.wallNanoseconds()
            let ahead = used()
            // The next day counts from nothing; steady time did not move, nor what it counts.
            guard abs(record.decidedAtUnixNanoseconds - wall) < Self.hour,
                (5_000...5_001).contains(ahead[0]), ahead[1] >= 6_000
            else { return false }

            KernelClock.wallStep.store(0, ordering: .relaxed)
            guard Self.follow(limiter, gate) else { return false }
            let back = used()
            // What was counted in the day ahead goes on counting.
            return back[0] > ahead[0] && back[1] > ahead[1]
                && gate.ask().record.outcome == 1 && used()[0] == back[0] + 1
        }
        #expect(child.isReady())
        child.kill()
        withExtendedLifetime(directory) {}
    }
}
