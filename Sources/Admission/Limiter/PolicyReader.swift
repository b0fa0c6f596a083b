import Glibc
import Synchronization

/// Looks at a policy file on a thread of its own, so that a file system that hangs (a server of NFS
/// that is gone) holds up nobody else: not the heartbeat, which renews leases, and not fork().
///
/// The thread does nothing but look when it is asked, holds no lock meanwhile, and ends with the
/// reader. One that hangs is waited for no longer than `patience`, once, and stays the only one: it is
/// asked nothing more until it has answered. A forked child has no such thread and makes a reader of
/// its own.
///
/// Who asks holds the policy file's lock.
final class PolicyReader: @unchecked Sendable {
    // Unchecked: `isAsked` is touched under the policy file's lock alone, the rest is constant.
    private let desk: Desk
    private var isAsked = false
    /// The process whose thread it is.
    let identity: UInt64

    /// How long an answer is waited for: far above what a look takes, and below a third of the
    /// shortest lease.
    static let patience: Int64 = 20_000_000

    /// What the thread and who asks it share. `question` and `answer` belong to the thread from
    /// `asked` until `answered`, and to who asks at all other times.
    private final class Desk: @unchecked Sendable {
        // Unchecked: the two semaphores say whose turn it is.
        let asked = Semaphore()
        let answered = Semaphore()
        let isOver = Atomic<Bool>(false)
        let look: @Sendable (PolicyLook.Stamp?) -> PolicyLook
        var question: PolicyLook.Stamp?
        var answer: PolicyLook?

        init(_ look: @escaping @Sendable (PolicyLook.Stamp?) -> PolicyLook) { self.look = look }

        func run() {
            while true {
                asked.wait()
                // Pairs with the store before the semaphore was raised.
                if isOver.load(ordering: .acquiring) { return }
                answer = look(question)
                answered.signal()
            }
        }
    }

    /// Nil where the system gives no thread.
    init?(identity: UInt64, look: @escaping @Sendable (PolicyLook.Stamp?) -> PolicyLook) {
        self.identity = identity
        let desk = Desk(look)
        self.desk = desk
        guard DetachedThread.start({ desk.run() }) else { return nil }
    }

    deinit {
        // In a forked child nobody sits at the desk, and its locks may be the parent's for ever.
        guard identity == ProcessIdentity.current() else { return }
        desk.isOver.store(true, ordering: .releasing)
        desk.asked.signal()
    }

    /// A look at the file, of now or of an earlier question; nil: the file system has not answered.
    func look(unless stamp: PolicyLook.Stamp?) -> PolicyLook? {
        if isAsked {
            guard desk.answered.wait(atMostNanoseconds: 0) else { return nil }
        } else {
            desk.question = stamp
            desk.asked.signal()
            isAsked = true
            guard desk.answered.wait(atMostNanoseconds: Self.patience) else { return nil }
        }
        isAsked = false
        defer { desk.answer = nil }
        return desk.answer
    }
}

/// A count that may be waited for, by the monotonic clock, which POSIX semaphores lack. Owner of its
/// memory: itself.
private final class Semaphore: @unchecked Sendable {
    // Unchecked: `count` is touched by the holder of the mutex alone.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let raised: UnsafeMutablePointer<pthread_cond_t>
    private var count = 0

    init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        raised = .allocate(capacity: 1)
        raised.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(raised, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(raised)
        raised.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func signal() {
        pthread_mutex_lock(mutex)
        count += 1
        pthread_cond_signal(raised)
        pthread_mutex_unlock(mutex)
    }

    func wait() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while count == 0 { pthread_cond_wait(raised, mutex) }
        count -= 1
    }

    /// - Returns: false: the time passed.
    func wait(atMostNanoseconds limit: Int64) -> Bool {
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = Int64(end.tv_nsec) + limit
        end.tv_sec += Int(nanoseconds / 1_000_000_000)
        end.tv_nsec = Int(nanoseconds % 1_000_000_000)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while count == 0 {
            guard pthread_cond_timedwait(raised, mutex, &end) == 0 else { return false }
        }
        count -= 1
        return true
    }
}
