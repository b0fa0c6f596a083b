import Glibc
import Synchronization
import Testing

@testable import Admission

/// The heartbeat's threads where the system refuses them, where one is held up, and after fork(). In
/// children, since the heartbeat is the whole process's; one that waits in vain is ended by its alarm.
@Suite struct HeartbeatThreadTests {
    private final class Threads: Sendable {
        let asked = Atomic<Int>(0)
        let given = Atomic<Int>(0)
        let isHeldUp = Atomic<Bool>(false)

        /// A system that gives so many threads as `given` says, in all.
        var system: SystemFacts {
            var system = SystemFacts()
            system.standIn.givesThread = {
                self.asked.add(1, ordering: .sequentiallyConsistent)
                guard self.given.load(ordering: .sequentiallyConsistent) > 0 else { return false }
                self.given.subtract(1, ordering: .sequentiallyConsistent)
                return true
            }
            return system
        }
    }

    private static func limiter(_ shared: SharedFile) throws -> Limiter {
        try Limiter(
            policy: SharedFile.document(SharedFile.slots(4)),
            options: Limiter.Options(store: shared.url, permitCapacity: 64, keyCapacity: 64))
    }

    private static func isAdmitted(_ gate: Gate) -> Bool {
        gate.ask(takesPermit: true).record.outcome == 1
    }

    /// Waits until the first lease was renewed.
    private static func isRenewed(_ shared: SharedFile) -> Bool {
        func runsOut() -> Int64? {
            guard let store = try? StoreInspection.read(store: shared.url) else { return nil }
            return store.leases.first.map { $0.runsOutNanoseconds + store.steady.nanoseconds }
        }
        guard let before = runsOut() else { return false }
        while let now = runsOut() {
            if now > before + SharedFile.second / 10 { return true }
            sched_yield()
        }
        return false
    }

    /// An owner whose process is none.
    private static func stranger(_ limiter: Limiter) -> Int32 {
        let segment = limiter.core.store.segment
        var facts = ProcessFacts(SystemFacts())
        (facts.pid, facts.startTime) = (1 << 22 + 1, 1)
        segment.give(facts, entry: 9, now: limiter.core.store.clock.now())
        return facts.pid
    }

    private static func count(_ kind: Event.Kind, _ limiter: Limiter) -> Int {
        limiter.events().filter { $0.kind == kind }.count
    }

    @Test(
        "a thread that the system refuses is told once, and started as soon as there is one to be had",
        arguments: [true, false])
    func refused(byLease: Bool) throws {
        let shared = try SharedFile(clock: .system)
        let threads = Threads()
        let child = ForkedChild {
            Heartbeat.shared.system = threads.system
            guard let limiter = try? Self.limiter(shared), let gate = try? limiter.gate([]),
                Self.isAdmitted(gate), Self.isAdmitted(gate),
                Self.count(.heartbeatFailed, limiter) == 1,
                Heartbeat.shared.isRefused(limiter.core)
            else { return false }
            threads.given.store(2, ordering: .sequentiallyConsistent)
            if byLease { _ = Self.isAdmitted(gate) } else { Heartbeat.shared.revive() }
            return !Heartbeat.shared.isRefused(limiter.core) && Self.isRenewed(shared)
                && Self.count(.heartbeatFailed, limiter) == 1
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("leases are renewed while a look for the dead takes long")
    func heldUp() throws {
        let shared = try SharedFile(clock: .system)
        let threads = Threads()
        let child = ForkedChild {
            guard let limiter = try? Self.limiter(shared), let gate = try? limiter.gate([]),
                Self.isAdmitted(gate)
            else { return false }
            var system = SystemFacts()
            system.standIn.process = { pid in
                guard pid > 1 << 22 else { return SystemFacts().state(of: pid) }
                threads.isHeldUp.store(true, ordering: .sequentiallyConsistent)
                while true { pause() }
            }
            limiter.core.store.segment.watch.system = system
            _ = Self.stranger(limiter)
            while !threads.isHeldUp.load(ordering: .sequentiallyConsistent) { sched_yield() }
            return Self.isRenewed(shared) && Self.isRenewed(shared)
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("where the system gives one thread alone, that one renews leases and finds the dead")
    func alone() throws {
        let shared = try SharedFile(clock: .system)
        let threads = Threads()
        let child = ForkedChild {
            threads.given.store(1, ordering: .sequentiallyConsistent)
            Heartbeat.shared.system = threads.system
            guard let limiter = try? Self.limiter(shared), let gate = try? limiter.gate([]),
                Self.isAdmitted(gate)
            else { return false }
            _ = Self.stranger(limiter)
            while Self.count(.ownerDied, limiter) == 0 { sched_yield() }
            return Self.isRenewed(shared) && Self.count(.heartbeatFailed, limiter) == 0
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("a forked child has one heartbeat, whatever it loads")
    func forked() throws {
        let shared = try SharedFile(clock: .system)
        let limiter = try Self.limiter(shared)
        let threads = Threads()
        let child = ForkedChild {
            threads.given.store(1_000, ordering: .sequentiallyConsistent)
            Heartbeat.shared.system = threads.system
            for count in 1...8 {
                guard let document = try? SharedFile.document(SharedFile.slots(count)),
                    (try? limiter.reload(document)) != nil
                else { return false }
                Heartbeat.shared.revive()
            }
            // Its own and the one for chores.
            return (1...2).contains(threads.asked.load(ordering: .sequentiallyConsistent))
        }
        #expect(child.isReady())
        child.kill()
    }
}
