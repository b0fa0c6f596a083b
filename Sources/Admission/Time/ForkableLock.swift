import Glibc
import Synchronization

/// A value that one thread at a time may touch, behind a lock that goes on working after fork().
///
/// For what is off the hot path. Two things are wrong with the standard library's `Mutex` (6.3.1,
/// Linux) in a forked child: it knows its holder by a thread number that the child's one thread
/// keeps from its parent, so that the first contended unlock there ends the process; and a lock that
/// another thread of the parent held stays taken for ever. This one is a POSIX mutex, which does not
/// ask who holds it, and fork() itself takes every lock first: the child finds each free and each
/// value whole.
///
/// Order: locks inside each other are taken by rising `rank`, two of one rank never; fork() takes
/// them in that order too. No lock is made or ended while another one is held.
///
/// Progress: blocking. Owner of the mutex's memory: the lock. It cannot be taken twice by a thread.
package final class ForkableLock<Value>: ForkableMutex, @unchecked Sendable {
    // Unchecked: `value` is touched by the holder of the mutex alone.
    private var value: Value

    /// - Parameter rank: place in the order of taking.
    package init(_ value: Value, rank: LockRank) {
        self.value = value
        super.init(rank: rank)
    }

    /// Does something with the value while nobody else can.
    package func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try body(&value)
    }

    /// The same where nobody holds it; nil: somebody does, the caller perhaps.
    package func withLockIfFree<Result>(_ body: (inout Value) -> Result) -> Result? {
        guard tryLock() else { return nil }
        defer { unlock() }
        return body(&value)
    }
}

/// Which locks may be taken inside which: the lower one first.
package enum LockRank: Int, Sendable {
    /// The heartbeat's chores are done.
    case chores
    /// A limiter looks at its policy file.
    case policyFile
    /// A limiter puts another document in force.
    case reload
    /// The heartbeat's thread renews leases. Behind what may take long: fork() waits for that first,
    /// and leases are renewed meanwhile.
    case beat
    /// The process's heartbeat.
    case heartbeat
    /// A limiter takes an owner's entry.
    case adoption
    /// Closed limiters with open permits.
    case closed
    /// A limiter's state.
    case limiter
    /// A store's notes and calendar cells.
    case notes
    /// The memory of a store's plans.
    case plans
    /// Interned names.
    case names
    /// What a process remembers of a store in Redis, and what it decides without it.
    case redisStore
    case redisLedger
    case redisMemory
    /// What it holds of limits there.
    case redisHolding
    /// Who waits for which reply on a connection to Redis.
    case redis
    /// What a process knows of a segment's owners.
    case owners
}

/// The mutex of a `ForkableLock`, as fork() sees it.
package class ForkableMutex: @unchecked Sendable {
    // Unchecked: the links are touched under the registry's mutex alone, the rest is constant.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    fileprivate let rank: LockRank
    fileprivate var next: Unmanaged<ForkableMutex>?
    fileprivate var previous: Unmanaged<ForkableMutex>?

    fileprivate init(rank: LockRank) {
        self.rank = rank
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        ForkableMutexes.shared.add(self)
    }

    deinit {
        ForkableMutexes.shared.remove(self)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    fileprivate final func lock() {
        let status = pthread_mutex_lock(mutex)
        assert(status == 0, "a lock of the default kind cannot fail")
    }

    fileprivate final func tryLock() -> Bool { pthread_mutex_trylock(mutex) == 0 }

    fileprivate final func unlock() { pthread_mutex_unlock(mutex) }
}

/// All locks of the process, so that fork() can take them.
private final class ForkableMutexes: @unchecked Sendable {
    // Unchecked: the list is touched under `mutex` alone.
    static let shared = ForkableMutexes()

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var first: Unmanaged<ForkableMutex>?

    private init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        pthread_atfork(
            { ForkableMutexes.shared.lockAll() }, { ForkableMutexes.shared.unlockAll() },
            { ForkableMutexes.shared.unlockAll() })
    }

    func add(_ lock: ForkableMutex) {
        pthread_mutex_lock(mutex)
        lock.next = first
        first?.takeUnretainedValue().previous = Unmanaged.passUnretained(lock)
        first = Unmanaged.passUnretained(lock)
        pthread_mutex_unlock(mutex)
    }

    func remove(_ lock: ForkableMutex) {
        pthread_mutex_lock(mutex)
        lock.next?._withUnsafeGuaranteedRef { $0.previous = lock.previous }
        if let previous = lock.previous {
            previous._withUnsafeGuaranteedRef { $0.next = lock.next }
        } else {
            first = lock.next
        }
        pthread_mutex_unlock(mutex)
    }

    private func forEach(_ rank: Int, _ body: (ForkableMutex) -> Void) {
        var entry = first
        while let lock = entry {
            lock._withUnsafeGuaranteedRef { lock in
                if lock.rank.rawValue == rank { body(lock) }
                entry = lock.next
            }
        }
    }

    private func lockAll() {
        pthread_mutex_lock(mutex)
        for rank in 0...LockRank.owners.rawValue { forEach(rank) { $0.lock() } }
    }

    private func unlockAll() {
        for rank in 0...LockRank.owners.rawValue { forEach(rank) { $0.unlock() } }
        pthread_mutex_unlock(mutex)
    }
}
