import Glibc
import Synchronization

/// The one plain thread of a process that does what limiters need done now and then: see
/// `LimiterCore.beat`. Above all it renews leases, so that a live holder keeps its slots.
///
/// Started with the first open lease, with a limiter on a shared store or a watched policy when it is
/// opened, and again in a forked child, which inherits no thread. It beats every 500 ms, or at a third
/// of the shortest lease of all limiters in it, and renews only permits that are open, up to their
/// longest hold. No Dispatch, no Swift concurrency: it works in any host.
///
/// Locks: `members` is held for moments only. `beating` is held by the thread while it works, and
/// by nobody else: fork() waits for it, so that no child inherits half a beat. A limiter is kept alive
/// for its beat alone; its end takes it out.
final class Heartbeat: Sendable {
    static let shared = Heartbeat()

    private struct Members {
        /// Process whose thread runs; 0 for none.
        var threadIdentity: UInt64 = 0
        /// Files of limiters that have no thread. The segments, not the limiters: whoever looks at one
        /// may hold any lock, so that the last reference to a limiter must not become his.
        var files: [(tag: UInt, segment: Segment)] = []
        var cores: [Member] = []
        var beatNanoseconds = LimiterCore.longestBeat
    }

    private struct Member {
        let tag: UInt
        /// Nil from the moment on at which the limiter ends.
        weak var core: LimiterCore?
    }

    private let members = ForkableLock(Members(), rank: .heartbeat)
    private let beating = ForkableLock((), rank: .beat)
    /// As in `members`, for who may not wait for the lock.
    private let threadIdentity = Atomic<UInt64>(0)
    /// What the thread sleeps on; changed when the beat gets shorter or the last limiter goes.
    private let word = WakeWord()

    private init() {}

    private static func tag(_ core: LimiterCore) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(core).toOpaque())
    }

    /// Begins to beat for a limiter. Called with its first lease in a process, or its opening.
    func add(_ core: LimiterCore, identity: UInt64) {
        SecondHook.set { Heartbeat.shared.revive() }
        let beat = core.beatNanoseconds()
        members.withLock { members in
            let tag = Self.tag(core)
            if !members.cores.contains(where: { $0.tag == tag }) {
                members.cores.append(Member(tag: tag, core: core))
            }
            let isShorter = beat < members.beatNanoseconds
            members.beatNanoseconds = min(members.beatNanoseconds, beat)
            // A forked child: its parent's thread is not here, its parent's limiters are.
            if members.threadIdentity != identity {
                start(&members, identity)
            } else if isShorter {
                word.wake()
            }
        }
    }

    /// Starts the thread again in a forked child whose parent's ran. Waits for nobody, so that any
    /// caller may ask, whatever it holds: two loads where there is nothing to do.
    func revive() {
        _ = members.withLockIfFree { members in
            for file in members.files { _ = file.segment.checkFile() }
        }
        let known = threadIdentity.load(ordering: .relaxed)
        let identity = ProcessIdentity.current()
        guard known != 0, known != identity else { return }
        _ = members.withLockIfFree { members in
            guard members.threadIdentity != identity, !members.cores.isEmpty else { return }
            start(&members, identity)
        }
    }

    private func start(_ members: inout Members, _ identity: UInt64) {
        guard Self.startThread() else { return }
        members.threadIdentity = identity
        threadIdentity.store(identity, ordering: .relaxed)
    }

    /// Has the file of a limiter looked at once a second by whoever reads the time: for one without
    /// a thread, whose callers may do nothing but decide.
    func watch(_ core: LimiterCore) {
        SecondHook.set { Heartbeat.shared.revive() }
        members.withLock { $0.files.append((Self.tag(core), core.store.segment)) }
    }

    /// Forgets a limiter that ends.
    func remove(_ core: LimiterCore) {
        members.withLock { members in
            let tag = Self.tag(core)
            members.cores.removeAll { $0.tag == tag }
            // Not the segment's last reference: the limiter has one until its own end is over.
            members.files.removeAll { $0.tag == tag }
            if members.cores.isEmpty { word.wake() }
        }
    }

    /// Starts the thread; false where the system refuses.
    private static func startThread() -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 1 << 20)
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // Signals are the host's: none is delivered to this thread.
        pthread_sigmask(SIG_BLOCK, &all, &before)
        var thread = pthread_t()
        let created = pthread_create(
            &thread, &attributes,
            { _ in
                Heartbeat.shared.run()
                return nil
            }, nil)
        pthread_sigmask(SIG_SETMASK, &before, nil)
        pthread_attr_destroy(&attributes)
        return created == 0
    }

    /// The thread: beats until the last limiter is gone.
    private func run() {
        while true {
            // In front of the look: what changes behind it wakes.
            let seen = word.load()
            let beat = members.withLock { $0.beatNanoseconds }
            word.sleep(while: seen, nanoseconds: max(1_000_000, beat))
            let isLast = members.withLock { members -> Bool in
                guard members.cores.isEmpty else { return false }
                members.threadIdentity = 0
                threadIdentity.store(0, ordering: .relaxed)
                members.beatNanoseconds = LimiterCore.longestBeat
                return true
            }
            if isLast { return }
            beatAll()
        }
    }

    /// A function of its own: the limiters that it keeps alive go behind the lock, since a limiter's
    /// end ends locks.
    @inline(never)
    private func beatAll() {
        var cores: [LimiterCore] = []
        beating.withLock { _ in
            cores = members.withLock { $0.cores.compactMap(\.core) }
            for core in cores { core.beat(now: core.store.clock.now(), renews: true) }
            // Behind every renewal.
            for core in cores { core.pollPolicy(waits: false) }
        }
        cores.removeAll()
    }
}
