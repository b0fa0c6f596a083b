import Glibc
import Synchronization

/// The plain thread of a process that renews the leases of limiters, so that a live holder keeps its
/// slots, and the one that it has do what else is due now and then: see `LimiterCore.beat`.
///
/// Started with the first open lease, with a limiter on a shared store or a watched policy when it is
/// opened, and again in a forked child, which inherits no thread. It beats every 500 ms, or at a third
/// of the shortest lease of all limiters in it, and renews only permits that are open, up to their
/// longest hold. No Dispatch, no Swift concurrency: it works in any host. Chores have a thread of their
/// own since some walk over every key, which may take longer than a lease lasts.
///
/// Where the system refuses the thread it is asked again with each lease that is taken, and about once a
/// second by whoever reads the time; where it refuses the one for chores, the heartbeat's does them.
///
/// Locks: `members` is held for moments only. `beating` and `choring` are held by the threads while
/// they work, and by nobody else: fork() waits for them, so that no child inherits half a beat. A
/// limiter is kept alive for its beat alone; its end takes it out.
final class Heartbeat: Sendable {
    static let shared = Heartbeat()

    private struct Members {
        /// Process whose thread runs; 0 for none, `refused` where the system gave none.
        var threadIdentity: UInt64 = 0
        /// Files of limiters that have no thread. The segments, not the limiters: whoever looks at one
        /// may hold any lock, so that the last reference to a limiter must not become his.
        var files: [(tag: UInt, segment: Segment)] = []
        var cores: [Member] = []
        var beatNanoseconds = LimiterCore.longestBeat
        var system = SystemFacts()
    }

    private struct Member {
        let tag: UInt
        /// Nil from the moment on at which the limiter ends.
        weak var core: LimiterCore?
    }

    private let members = ForkableLock(Members(), rank: .heartbeat)
    private let beating = ForkableLock((), rank: .beat)
    private let choring = ForkableLock((), rank: .chores)
    /// As in `members`, for who may not wait for the lock.
    private let threadIdentity = Atomic<UInt64>(0)
    /// What the thread sleeps on; changed when the beat gets shorter or the last limiter goes.
    private let word = WakeWord()

    /// No process' identity.
    private static let refused = UInt64.max

    private init() {}

    /// What the system says; a test puts another in its place.
    var system: SystemFacts {
        get { members.withLock { $0.system } }
        set { members.withLock { $0.system = newValue } }
    }

    private static func tag(_ core: LimiterCore) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(core).toOpaque())
    }

    /// Begins to beat for a limiter. Called with its first lease in a process, or its opening.
    ///
    /// - Returns: false where the system refuses a thread.
    func add(_ core: LimiterCore, identity: UInt64) -> Bool {
        SecondHook.set { Heartbeat.shared.revive() }
        let beat = core.beatNanoseconds()
        return members.withLock { members in
            let tag = Self.tag(core)
            if !members.cores.contains(where: { $0.tag == tag }) {
                members.cores.append(Member(tag: tag, core: core))
            }
            shorten(&members, beat)
            // A forked child: its parent's thread is not here, its parent's limiters are.
            if members.threadIdentity != identity { start(&members, identity) }
            return members.threadIdentity == identity
        }
    }

    /// Beats as often as a limiter's leases want by now, where it beats for the limiter.
    func quicken(_ core: LimiterCore) {
        let beat = core.beatNanoseconds()
        members.withLock { members in
            let tag = Self.tag(core)
            if members.cores.contains(where: { $0.tag == tag }) { shorten(&members, beat) }
        }
    }

    private func shorten(_ members: inout Members, _ beat: Int64) {
        guard beat < members.beatNanoseconds else { return }
        members.beatNanoseconds = beat
        word.wake()
    }

    /// Whether leases of a limiter are not renewed, since the system refuses a thread.
    func isRefused(_ core: LimiterCore) -> Bool {
        guard threadIdentity.load(ordering: .relaxed) == Self.refused else { return false }
        let tag = Self.tag(core)
        return members.withLock { members in
            members.threadIdentity == Self.refused && members.cores.contains { $0.tag == tag }
        }
    }

    /// Starts the thread again in a forked child whose parent's ran, or where it was refused. Waits for
    /// nobody, so that any caller may ask, whatever it holds: two loads where there is nothing to do.
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
        let isStarted = members.system.startThread { self.run() }
        members.threadIdentity = isStarted ? identity : Self.refused
        threadIdentity.store(members.threadIdentity, ordering: .relaxed)
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

    /// The thread: beats until the last limiter is gone.
    private func run() {
        var chores: ChoreThread?
        while true {
            // In front of the look: what changes behind it wakes.
            let seen = word.load()
            let (beat, system) = members.withLock { ($0.beatNanoseconds, $0.system) }
            word.sleep(while: seen, nanoseconds: max(1_000_000, beat))
            let isLast = members.withLock { members -> Bool in
                guard members.cores.isEmpty else { return false }
                members.threadIdentity = 0
                threadIdentity.store(0, ordering: .relaxed)
                members.beatNanoseconds = LimiterCore.longestBeat
                return true
            }
            if isLast { break }
            renewAll()
            if chores == nil { chores = ChoreThread(system) { self.doChores() } }
            if let chores { chores.ask() } else { doChores() }
        }
        chores?.end()
    }

    /// A function of its own, as the next one: the limiters that it keeps alive go behind the lock,
    /// since a limiter's end ends locks.
    @inline(never)
    private func renewAll() {
        var cores: [LimiterCore] = []
        beating.withLock { _ in
            cores = members.withLock { $0.cores.compactMap(\.core) }
            for core in cores { core.renewAll(now: core.store.clock.now()) }
        }
        cores.removeAll()
    }

    @inline(never)
    private func doChores() {
        var cores: [LimiterCore] = []
        choring.withLock { _ in
            cores = members.withLock { $0.cores.compactMap(\.core) }
            for core in cores { core.doChores(now: core.store.clock.now()) }
            for core in cores { core.pollPolicy(waits: false) }
        }
        cores.removeAll()
    }
}

/// A thread that does the same thing each time it is asked to, and once more where it is asked while
/// it works. A forked child has no such thread and makes one of its own.
private final class ChoreThread: Sendable {
    private let asked = Semaphore()
    private let isAsked = Atomic<Bool>(false)
    private let isOver = Atomic<Bool>(false)

    /// Nil where the system gives no thread.
    init?(_ system: SystemFacts, _ chore: @escaping @Sendable () -> Void) {
        let isStarted = system.startThread { [self] in
            while true {
                asked.wait()
                // Pairs with the stores before the semaphore was raised.
                if isOver.load(ordering: .acquiring) { return }
                isAsked.store(false, ordering: .sequentiallyConsistent)
                chore()
            }
        }
        guard isStarted else { return nil }
    }

    /// Waits for nobody.
    func ask() {
        if !isAsked.exchange(true, ordering: .sequentiallyConsistent) { asked.signal() }
    }

    /// Ends the thread when it has done what it is at.
    func end() {
        isOver.store(true, ordering: .releasing)
        asked.signal()
    }
}
