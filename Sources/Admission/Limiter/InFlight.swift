import CCounter
import Glibc
import Synchronization

/// Who is inside which object at the moment, so that closing one never frees it under a caller.
///
/// A caller that reaches an object through a handle enters under a tag, looks the handle up, uses
/// the object and leaves. A closer first makes the handle stale and then asks whether the tag is
/// active. This is the idea of hazard pointers (Michael 2004,
/// https://doi.org/10.1109/TPDS.2004.8) with the fence moved from the reader to the closer by
/// membarrier(2), as liburcu and folly do: entering is one plain store and leaving another.
///
/// ```swift
/// let token = InFlight.enter(tag)
/// if slot.isCurrent(handle) { use(slot.object) }
/// InFlight.leave(token)
/// ```
///
/// **Ordering.** Entering stores the tag, then (compiler order only) the caller loads the handle's
/// state. The closer swaps the state, then runs a barrier on every thread, then loads the tags. A
/// thread's store is before that barrier, and the closer sees it, or its load is after, and it sees
/// the handle stale. Leaving is a releasing store, which pairs with the acquiring load in
/// ``isActive(_:)``: what the caller did to the object happened before it is freed. Where the
/// kernel has no membarrier(2), both sides use sequentially consistent operations instead.
///
/// **Records.** Each thread claims one record of the table by one compare-and-swap in its life and
/// gives it back when it ends. A record whose owner word is the thread's pointer is that thread's
/// alone. A thread that finds no record, or is more than ``nestingLimit`` calls deep, borrows a
/// word of a shared pool by compare-and-swap for the one call; with the pool full as well it yields
/// its processor until a word is free. Entering and leaving are wait-free but for that.
///
/// **fork.** In a child the records of threads that do not exist there are cleared before `fork`
/// returns. A child made by a bare `clone` keeps them, which delays frees and is otherwise harmless.
///
/// It counts nothing and blocks nobody: a closer that finds a tag active retires the object instead
/// (``retire(_:tag:)``). Not for signal handlers.
@usableFromInline
package enum InFlight {
    /// The word that holds the tag while the caller is inside.
    @usableFromInline package typealias Token = UnsafeMutablePointer<Atomic<UInt>>

    /// Records in the table, 64 bytes each; untouched ones take no memory.
    @usableFromInline static let recordCount = 4096
    /// Words of a record: owner, tags, and whether the record stands in the list of claimed ones.
    @usableFromInline static let recordWords = 8
    /// Calls inside each other that a thread's own record has room for.
    package static let nestingLimit = 6
    /// Records looked at before a thread turns to the pool.
    static let probeLimit = 64
    /// Words for callers without a record.
    static let poolWords = 1024

    /// The records where entering needs no fence; 0 before the first use and for good where
    /// membarrier(2) is missing, so that one load tells the fast path from the slow one.
    /// Published with release by `InFlightTable.make`, loaded with acquire.
    @usableFromInline static let fastRecords = Atomic<UInt>(0)

    /// Marks the calling thread as inside the object of that tag.
    ///
    /// - Parameter tag: not 0; two objects may share a tag, which only delays frees.
    /// - Returns: what `leave` takes, on the same thread.
    /// - Complexity: about a nanosecond; the first call on a thread claims its record.
    @inlinable @inline(__always)
    package static func enter(_ tag: UInt) -> Token {
        enter(tag, fastRecords: Token(bitPattern: fastRecords.load(ordering: .acquiring)))
    }

    /// The same for a caller that keeps what ``prepare()`` returned beside its own words, which
    /// saves looking for it.
    @inlinable @inline(__always)
    package static func enter(_ tag: UInt, fastRecords: Token?) -> Token {
        let thread = UInt(admission_thread_pointer())
        if let records = fastRecords {
            let record = records + recordIndex(of: thread) &* recordWords
            // Relaxed: only this thread stores its own pointer there.
            if record.pointee.load(ordering: .relaxed) == thread,
                (record + 1).pointee.load(ordering: .relaxed) == 0
            {
                // The compiler barrier pairs with the system call in isActive. Releasing, since a
                // closer may read this store in place of the last `leave` it overwrites.
                (record + 1).pointee.store(tag, ordering: .releasing)
                admission_compiler_barrier()
                return record + 1
            }
        }
        return InFlightTable.enter(tag, thread: thread)
    }

    /// The same where it takes no call; nil: nothing was done, use `enter`.
    @inline(__always)
    static func enterAtOnce(_ tag: UInt) -> Token? {
        enterAtOnce(tag, fastRecords: Token(bitPattern: fastRecords.load(ordering: .acquiring)))
    }

    /// The same for a caller that keeps what ``prepare()`` returned.
    @inlinable @inline(__always)
    package static func enterAtOnce(_ tag: UInt, fastRecords: Token?) -> Token? {
        let thread = UInt(admission_thread_pointer())
        guard let records = fastRecords else { return nil }
        let record = records + recordIndex(of: thread) &* recordWords
        guard
            _fastPath(
                record.pointee.load(ordering: .relaxed) == thread
                    && (record + 1).pointee.load(ordering: .relaxed) == 0)
        else { return nil }
        // Orderings as in `enter`.
        (record + 1).pointee.store(tag, ordering: .releasing)
        admission_compiler_barrier()
        return record + 1
    }

    /// Makes the table, unless it is there.
    ///
    /// - Returns: what `enter` takes; nil where there is no fast path, for the process' life.
    package static func prepare() -> Token? {
        InFlightTable.fastRecords()
    }

    /// Ends what `enter` began, on the same thread; the innermost first.
    @inlinable @inline(__always)
    package static func leave(_ token: Token) {
        // Releasing: pairs with the acquiring load in isActive.
        token.pointee.store(0, ordering: .releasing)
    }

    /// Whether a thread may still be inside the object of that tag.
    ///
    /// Call it after the handle was made stale: a false answer is then final, a true one may be
    /// late.
    /// - Complexity: one system call, and a look at each record ever claimed.
    package static func isActive(_ tag: UInt) -> Bool {
        InFlightTable.isActive(tag)
    }

    /// Makes every thread's earlier stores visible here and this thread's earlier stores visible to
    /// every thread's later loads: the closer's half of a barrier whose other half is
    /// `admission_compiler_barrier`.
    /// - Returns: false when the kernel refused, so that nothing can be told.
    @discardableResult
    package static func orderAllThreads() -> Bool {
        InFlightTable.orderAllThreads()
    }

    /// Records that have had an owner since the process began; those of ended threads are reused.
    package static var claimedRecordCount: Int { InFlightTable.claimedRecordCount }

    /// Where in the table a thread looks first.
    @inlinable @inline(__always)
    static func recordIndex(of thread: UInt) -> Int {
        // Fibonacci hashing: thread pointers are aligned and lie a stack apart.
        Int(truncatingIfNeeded: (thread &* 0x9E37_79B9_7F4A_7C15) >> 52)
    }
}

/// The table behind ``InFlight``: the paths that are taken seldom.
@usableFromInline
enum InFlightTable {
    typealias Word = InFlight.Token

    /// The one mapping of the process, never unmapped:
    /// records · pool · list of claimed records (index + 1) · the words below.
    private struct Table {
        var records: Word
        var pool: Word { records + InFlight.recordCount * InFlight.recordWords }
        var claimed: Word { pool + InFlight.poolWords }
        /// Entries of `claimed`, some perhaps still 0; never above `recordCount`.
        var claimedCount: Word { claimed + InFlight.recordCount }
        /// The highest pool word ever used, plus one.
        var poolHigh: Word { claimedCount + 1 }
        /// 1 where membarrier(2) works.
        var hasBarrier: Word { claimedCount + 2 }
        /// The key whose destructor gives a thread's record back, plus one; 0: none.
        var exitKey: Word { claimedCount + 3 }

        static let bytes =
            (InFlight.recordCount * (InFlight.recordWords + 1) + InFlight.poolWords + 4) * 8
    }

    /// The table's address, 0 before the first use. Published with release, loaded with acquire.
    private static let address = Atomic<UInt>(0)

    private static var table: Table? {
        Word(bitPattern: address.load(ordering: .acquiring)).map(Table.init(records:))
    }

    @usableFromInline @inline(never)
    static func enter(_ tag: UInt, thread: UInt) -> InFlight.Token {
        let table = self.table ?? make()
        let word = ownWord(table, thread: thread) ?? borrowedWord(table, tag)
        // Sequentially consistent, so that it also holds where there is no membarrier(2), and for a
        // record whose claim the closer's list did not show: pairs with the fence in isActive.
        word.pointee.store(tag, ordering: .sequentiallyConsistent)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return word
    }

    static func isActive(_ tag: UInt) -> Bool {
        orderAllThreads() ? isSeenActive(tag) : true
    }

    /// The closer's half of the barrier; false: it failed, so nothing can be told.
    static func orderAllThreads() -> Bool {
        guard let table else { return true }
        if table.hasBarrier.pointee.load(ordering: .relaxed) != 0 {
            // A forked child may have to register again.
            if admission_membarrier(ADMISSION_MEMBARRIER_PRIVATE_EXPEDITED) != 0 {
                _ = admission_membarrier(ADMISSION_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED)
                guard admission_membarrier(ADMISSION_MEMBARRIER_PRIVATE_EXPEDITED) == 0 else {
                    return false
                }
            }
        }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return true
    }

    /// Whether the tag stands in a record or in the pool; after `orderAllThreads`.
    static func isSeenActive(_ tag: UInt) -> Bool {
        guard let table else { return false }
        let count = Int(table.claimedCount.pointee.load(ordering: .sequentiallyConsistent))
        for entry in 0..<min(count, InFlight.recordCount) {
            let index = (table.claimed + entry).pointee.load(ordering: .sequentiallyConsistent)
            // 0: being claimed; that thread has yet to store its tag, and then sees the handle
            // stale.
            if index == 0 { continue }
            let record = table.records + Int(index - 1) * InFlight.recordWords
            for level in 1...InFlight.nestingLimit
            where (record + level).pointee.load(ordering: .acquiring) == tag {
                return true
            }
        }
        let poolHigh = Int(table.poolHigh.pointee.load(ordering: .sequentiallyConsistent))
        for word in 0..<poolHigh
        where (table.pool + word).pointee.load(ordering: .acquiring) == tag {
            return true
        }
        return false
    }

    static func fastRecords() -> Word? {
        let table = self.table ?? make()
        return table.hasBarrier.pointee.load(ordering: .relaxed) != 0 ? table.records : nil
    }

    static var claimedRecordCount: Int {
        guard let table else { return 0 }
        return Int(table.claimedCount.pointee.load(ordering: .relaxed))
    }

    /// A free tag word of the thread's own record, or nil: no record, or nested too deeply.
    private static func ownWord(_ table: Table, thread: UInt) -> Word? {
        guard let record = record(table, of: thread) else { return nil }
        for level in 1...InFlight.nestingLimit
        where (record + level).pointee.load(ordering: .relaxed) == 0 {
            return record + level
        }
        return nil
    }

    /// The thread's record, claimed now if it has none.
    private static func record(_ table: Table, of thread: UInt) -> Word? {
        let first = InFlight.recordIndex(of: thread)
        var free: Int? = nil
        for step in 0..<InFlight.probeLimit {
            let index = (first + step) % InFlight.recordCount
            let owner = (table.records + index * InFlight.recordWords).pointee
                .load(ordering: .relaxed)
            if owner == thread { return table.records + index * InFlight.recordWords }
            if owner == 0, free == nil { free = index }
        }
        // A full look, since a record given back leaves a gap before the one that is ours.
        guard let start = free else { return nil }
        for index in start..<(first + InFlight.probeLimit) {
            let wrapped = index % InFlight.recordCount
            let record = table.records + wrapped * InFlight.recordWords
            // Acquiring: pairs with the release in `giveBack`.
            let claim = record.pointee.compareExchange(
                expected: 0, desired: thread, ordering: .acquiringAndReleasing)
            guard claim.exchanged else { continue }
            list(table, wrapped)
            giveBackAtExit(table, record)
            return record
        }
        return nil
    }

    /// Puts a record into the list of claimed ones; it stays there.
    private static func list(_ table: Table, _ index: Int) {
        let record = table.records + index * InFlight.recordWords
        let listed = record + (InFlight.recordWords - 1)
        guard listed.pointee.load(ordering: .relaxed) == 0 else { return }
        listed.pointee.store(1, ordering: .relaxed)
        let entry = table.claimedCount.pointee
            .wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue
        (table.claimed + Int(entry)).pointee
            .store(UInt(index + 1), ordering: .sequentiallyConsistent)
    }

    /// A pool word, taken for this one call; it already holds the tag.
    private static func borrowedWord(_ table: Table, _ tag: UInt) -> Word {
        while true {
            for word in 0..<InFlight.poolWords {
                let taken = (table.pool + word).pointee.compareExchange(
                    expected: 0, desired: tag, ordering: .sequentiallyConsistent)
                guard taken.exchanged else { continue }
                _ = table.poolHigh.pointee.max(
                    UInt(word + 1), ordering: .sequentiallyConsistent)
                return table.pool + word
            }
            sched_yield()
        }
    }
}

// MARK: - Making the table, threads that end, fork

extension InFlightTable {
    @inline(never)
    private static func make() -> Table {
        guard
            let memory = mmap(
                nil, Table.bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            memory != MAP_FAILED
        else {
            // Nothing can be called safely without it, and 300 KB of address space are missing.
            preconditionFailure("Admission: no address space for the table of callers")
        }
        let table = Table(records: memory.assumingMemoryBound(to: Atomic<UInt>.self))
        let registered =
            admission_membarrier(ADMISSION_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) == 0
        table.hasBarrier.pointee.store(registered ? 1 : 0, ordering: .relaxed)
        let published = address.compareExchange(
            expected: 0, desired: UInt(bitPattern: table.records),
            ordering: .acquiringAndReleasing)
        guard published.exchanged else {
            munmap(memory, Table.bytes)
            return self.table ?? table
        }
        var key = pthread_key_t()
        if pthread_key_create(&key, { InFlightTable.giveBack($0) }) == 0 {
            table.exitKey.pointee.store(UInt(key) + 1, ordering: .releasing)
        }
        pthread_atfork(nil, nil) { InFlightTable.forgetOtherThreads() }
        if registered {
            InFlight.fastRecords.store(UInt(bitPattern: table.records), ordering: .releasing)
        }
        return table
    }

    private static func giveBackAtExit(_ table: Table, _ record: Word) {
        let key = table.exitKey.pointee.load(ordering: .acquiring)
        // Without a key the record stays the thread pointer's, for the next thread that has it.
        if key != 0 { pthread_setspecific(pthread_key_t(key - 1), record) }
    }

    /// Run by the C library when a thread that claimed a record ends.
    private static func giveBack(_ record: UnsafeMutableRawPointer?) {
        // Releasing: pairs with the claim of the next owner.
        record?.assumingMemoryBound(to: Atomic<UInt>.self).pointee.store(0, ordering: .releasing)
    }

    /// Run in a forked child, whose only thread is the caller.
    private static func forgetOtherThreads() {
        guard let table else { return }
        let thread = UInt(admission_thread_pointer())
        for index in 0..<InFlight.recordCount {
            let record = table.records + index * InFlight.recordWords
            let owner = record.pointee.load(ordering: .relaxed)
            if owner == thread || owner == 0 { continue }
            for level in 0...InFlight.nestingLimit {
                (record + level).pointee.store(0, ordering: .relaxed)
            }
        }
        for word in 0..<InFlight.poolWords {
            (table.pool + word).pointee.store(0, ordering: .relaxed)
        }
    }
}
