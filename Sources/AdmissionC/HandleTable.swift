import Admission
import CCounter
import Glibc
import Synchronization

/// What a handle stands for; the two low bits of the handle.
package enum HandleKind: UInt, Sendable {
    case limiter = 1
    case gate = 2
    case completions = 3
}

/// The process' handles: numbers that look like pointers and are looked up, never dereferenced.
///
/// A handle packs, from the top: 32 bits of generation · 6 zero bits · 24 bits of slot · 2 bits of
/// ``HandleKind``. A slot that is given out again has the next generation, so that a stale handle
/// stays a stale handle until one slot was opened 2^32 times.
///
/// A slot is four words: `state`, `object`, `link`, `direct`. `state` is the handle
/// itself while it is open, the handle with ``closedBit`` while it is closed and lives on, the
/// handle with ``dyingBit`` while its object is being retired, and a number that equals no handle
/// (kind 0) while the slot is free. `object` and `direct`, an address inside of what the object
/// owns, change only while `state` equals no handle: a caller loads them first and `state` after
/// them, so that a `state` that is the handle vouches for both. What keeps that object alive
/// meanwhile is ``InFlight``, with the handle as the tag. `link` leads a free slot to the next free
/// one; of an open handle it is an address to prefetch, which nothing vouches for.
///
/// Slots lie in chunks that are mapped when first needed and never given back. Lookups are
/// wait-free, opening and closing lock-free.
package enum HandleTable {
    typealias Word = UnsafeMutablePointer<Atomic<UInt>>

    /// Slots there may be; ADMISSION_MAX_HANDLES.
    package static let capacity = 1 << slotBits
    static let slotBits: UInt = 24
    private static let chunkBits: UInt = 14
    private static let chunkCount = 1 << (slotBits - chunkBits)
    private static let slotWords = 4
    private static let chunkBytes = (1 << chunkBits) * slotWords * 8
    /// What of a handle says its kind: the zero bits have to be zero as well.
    private static let kindMask: UInt = 0xFC00_0003
    private static let closedBit: UInt = 1 << 31
    private static let dyingBit: UInt = 1 << 30
    /// The bits that are zero in handles of the first chunk.
    private static let laterChunkMask: UInt = ((1 << slotBits - 1) >> chunkBits) << (chunkBits + 2)

    /// The chunks' addresses, 0 for those not mapped yet, then what `InFlight.prepare` returned;
    /// 0 before the first handle. Published with release, loaded with acquire.
    private static let directory = Atomic<UInt>(0)
    /// The first chunk's address and the records again, so that `beginAtOnce` finds a slot with one
    /// load. Published with release, loaded with acquire.
    private static let firstChunk = Atomic<UInt>(0)
    private static let fastRecords = Atomic<UInt>(0)
    /// The first slot that never was given out.
    private static let freshSlot = Atomic<UInt>(0)
    /// The list of free slots: 32 bits that count its changes (so that a head that came back is
    /// not taken for the old one) · slot + 1, 0 for none.
    private static let freeHead = Atomic<UInt>(0)

    /// Not 0 and different in each process, so that made-up and foreign handles are no handles.
    private static let firstGeneration = UInt(UInt32.random(in: 0x1_0000...0xFFFF_0000))

    /// One use of an object through its handle, from `begin` to `end`.
    package struct Use<Object: AnyObject> {
        /// Alive until `end`; not retained.
        package let object: Unmanaged<Object>
        /// Closed, and living on for what is open.
        package let isClosed: Bool
        let slot: Word
        let token: InFlight.Token

        /// Whether the handle still is what it was when the use began.
        @inline(__always)
        func isStillOpen(_ handle: UInt) -> Bool {
            // The compiler barrier pairs with the barrier of whoever closes.
            admission_compiler_barrier()
            return slot.pointee.load(ordering: .acquiring) == handle
        }

        @inline(__always)
        package func end() { InFlight.leave(token) }
    }

    /// Looks a handle up and keeps its object alive until the use ends, on the same thread.
    ///
    /// - Returns: nil for a handle that is stale, of another kind, or never was one.
    /// - Complexity: O(1), no locked instruction.
    @inline(__always)
    package static func begin<Object: AnyObject>(
        _ handle: UInt, _ kind: HandleKind, _ type: Object.Type
    ) -> Use<Object>? {
        guard handle & kindMask == kind.rawValue,
            let chunks = Word(bitPattern: directory.load(ordering: .acquiring)),
            let slot = slot(of: handle, in: chunks)
        else { return nil }
        let token = InFlight.enter(
            handle,
            fastRecords: InFlight.Token(
                bitPattern: (chunks + chunkCount).pointee.load(ordering: .relaxed)))
        // Acquiring, so that the load of the state stays behind it; see the type.
        let object = (slot + 1).pointee.load(ordering: .acquiring)
        let state = slot.pointee.load(ordering: .acquiring)
        if state & ~closedBit == handle, let address = UnsafeRawPointer(bitPattern: object) {
            return Use(
                object: .fromOpaque(address), isClosed: state != handle, slot: slot, token: token)
        }
        InFlight.leave(token)
        return nil
    }

    /// The same for a handle that is open and has a direct address. Calls
    /// nothing and has few loads that wait for each other.
    ///
    /// - Returns: nil where it does not serve: nothing was done, use `begin`.
    @inline(__always)
    package static func beginAtOnce<Object: AnyObject>(
        _ handle: UInt, _ kind: HandleKind, _ type: Object.Type
    ) -> (use: Use<Object>, direct: UnsafeMutableRawPointer)? {
        guard handle & kindMask == kind.rawValue, let slots = chunk(of: handle),
            let token = InFlight.enterAtOnce(
                handle,
                fastRecords: InFlight.Token(bitPattern: fastRecords.load(ordering: .acquiring)))
        else { return nil }
        let slot = slots + Int((handle >> 2) & (1 << chunkBits - 1)) * slotWords
        // Of a slot that is not the handle's any more whatever stands there: nobody reads it.
        admission_prefetch(
            UnsafeRawPointer(bitPattern: (slot + 2).pointee.load(ordering: .relaxed)))
        // Orderings as in `begin`.
        let direct = (slot + 3).pointee.load(ordering: .acquiring)
        let object = (slot + 1).pointee.load(ordering: .acquiring)
        let state = slot.pointee.load(ordering: .acquiring)
        if _fastPath(state == handle), let address = UnsafeRawPointer(bitPattern: object),
            let direct = UnsafeMutableRawPointer(bitPattern: direct)
        {
            return (
                Use(object: .fromOpaque(address), isClosed: false, slot: slot, token: token), direct
            )
        }
        InFlight.leave(token)
        return nil
    }

    /// The chunk of a handle's slot: the first one by a single load.
    @inline(__always)
    private static func chunk(of handle: UInt) -> Word? {
        if _fastPath(handle & laterChunkMask == 0) {
            return Word(bitPattern: firstChunk.load(ordering: .acquiring))
        }
        guard let chunks = Word(bitPattern: directory.load(ordering: .acquiring)) else {
            return nil
        }
        let index = Int((handle & laterChunkMask) >> (chunkBits + 2))
        return Word(bitPattern: (chunks + index).pointee.load(ordering: .acquiring))
    }

    /// Gives the object a handle, which owns one strong reference to it.
    ///
    /// - Parameters:
    ///   - direct: an address that is good while the object lives, for `beginAtOnce`.
    ///   - nearest: what a call behind `beginAtOnce` touches last, to be asked for at once; only a
    ///     hint.
    /// - Returns: nil when ``capacity`` handles are open or memory for slots is missing.
    package static func open(
        _ object: AnyObject, _ kind: HandleKind, direct: UnsafeMutableRawPointer? = nil,
        nearest: UnsafeRawPointer? = nil
    ) -> UInt? {
        InFlight.releaseRetired()
        guard let (index, slot) = takeSlot() else { return nil }
        // Free: the generation of this opening, kind 0, or all zero where it is the first one.
        if slot.pointee.load(ordering: .relaxed) == 0 {
            slot.pointee.store(firstGeneration << 32, ordering: .relaxed)
        }
        let handle = slot.pointee.load(ordering: .relaxed) | index << 2 | kind.rawValue
        let reference = Unmanaged.passRetained(object).toOpaque()
        (slot + 1).pointee.store(UInt(bitPattern: reference), ordering: .releasing)
        (slot + 2).pointee.store(UInt(bitPattern: nearest), ordering: .relaxed)
        (slot + 3).pointee.store(UInt(bitPattern: direct), ordering: .releasing)
        // Releasing: pairs with the acquiring load in `begin`.
        slot.pointee.store(handle, ordering: .releasing)
        return handle
    }

    /// Makes an open handle a closed one that lives on.
    ///
    /// - Returns: false when it is not open (any more).
    package static func markClosed(_ handle: UInt, _ kind: HandleKind) -> Bool {
        guard handle & kindMask == kind.rawValue, let slot = slot(of: handle) else { return false }
        return slot.pointee.compareExchange(
            expected: handle, desired: handle | closedBit, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Ends a handle, open or (`wasClosed`) closed: from now on it is stale, and its object is
    /// released as soon as nobody is inside.
    ///
    /// - Returns: false when it was not in that state; then nothing happened.
    @discardableResult
    package static func end(_ handle: UInt, _ kind: HandleKind, wasClosed: Bool = false) -> Bool {
        guard handle & kindMask == kind.rawValue, let slot = slot(of: handle) else { return false }
        let ended = slot.pointee.compareExchange(
            expected: wasClosed ? handle | closedBit : handle, desired: handle | dyingBit,
            ordering: .sequentiallyConsistent)
        guard ended.exchanged else { return false }
        // Nobody else touches the slot now: the winner of that swap frees it.
        let object = (slot + 1).pointee.load(ordering: .relaxed)
        (slot + 1).pointee.store(0, ordering: .relaxed)
        (slot + 3).pointee.store(0, ordering: .relaxed)
        // Never 0, which is the mark of a slot that was not used yet.
        let generation = max((handle >> 32 &+ 1) & 0xFFFF_FFFF, 1)
        slot.pointee.store(generation << 32, ordering: .sequentiallyConsistent)
        if let address = UnsafeRawPointer(bitPattern: object) {
            InFlight.retire(Unmanaged<AnyObject>.fromOpaque(address), tag: handle)
        }
        giveBack((handle >> 2) & (UInt(capacity) - 1), slot)
        return true
    }

    // MARK: - Slots

    /// The slot's address, nil where that part of the table was never needed.
    @inline(__always)
    private static func slot(of handle: UInt, in chunks: Word) -> Word? {
        let index = (handle >> 2) & (1 << slotBits - 1)
        let chunk = (chunks + Int(index >> chunkBits)).pointee.load(ordering: .acquiring)
        guard let chunk = Word(bitPattern: chunk) else { return nil }
        return chunk + Int(index & (1 << chunkBits - 1)) * slotWords
    }

    private static func slot(of handle: UInt) -> Word? {
        Word(bitPattern: directory.load(ordering: .acquiring)).flatMap { slot(of: handle, in: $0) }
    }

    private static func takeSlot() -> (index: UInt, slot: Word)? {
        var head = freeHead.load(ordering: .acquiring)
        while head & 0xFFFF_FFFF != 0 {
            let index = (head & 0xFFFF_FFFF) - 1
            guard let slot = slot(of: index << 2) else { return nil }
            let next = (slot + 2).pointee.load(ordering: .relaxed)
            // Acquiring: pairs with the release in giveBack.
            let taken = freeHead.compareExchange(
                expected: head, desired: (head >> 32 &+ 1) << 32 | next,
                ordering: .acquiringAndReleasing)
            if taken.exchanged { return (index, slot) }
            head = taken.original
        }
        return takeFreshSlot()
    }

    private static func takeFreshSlot() -> (index: UInt, slot: Word)? {
        var index = freshSlot.load(ordering: .relaxed)
        while index < UInt(capacity) {
            // Mapped before the slot is taken, so that a failure takes nothing.
            guard hasChunk(of: index) else { return nil }
            let taken = freshSlot.compareExchange(
                expected: index, desired: index + 1, ordering: .relaxed)
            if taken.exchanged { return slot(of: index << 2).map { (index, $0) } }
            index = taken.original
        }
        return nil
    }

    private static func giveBack(_ index: UInt, _ slot: Word) {
        var head = freeHead.load(ordering: .relaxed)
        while true {
            (slot + 2).pointee.store(head & 0xFFFF_FFFF, ordering: .relaxed)
            let given = freeHead.compareExchange(
                expected: head, desired: (head >> 32 &+ 1) << 32 | (index + 1),
                successOrdering: .releasing, failureOrdering: .relaxed)
            if given.exchanged { return }
            head = given.original
        }
    }

    /// Maps the chunk with that slot, unless it is there.
    private static func hasChunk(of index: UInt) -> Bool {
        let records = UInt(bitPattern: InFlight.prepare())
        let isMade = map(directory, bytes: (chunkCount + 1) * 8) { memory in
            (memory + chunkCount).pointee.store(records, ordering: .relaxed)
        }
        guard isMade, let chunks = Word(bitPattern: directory.load(ordering: .acquiring)) else {
            return false
        }
        guard map((chunks + Int(index >> chunkBits)).pointee, bytes: chunkBytes, fill: { _ in })
        else { return false }
        if firstChunk.load(ordering: .relaxed) == 0 {
            fastRecords.store(records, ordering: .releasing)
            // Whoever comes to this chunk first finds the first one made: slots are given in order.
            firstChunk.store(chunks.pointee.load(ordering: .acquiring), ordering: .releasing)
        }
        return true
    }

    /// Puts the address of memory into the word, unless one is there; the memory is zero but for
    /// what `fill` writes.
    private static func map(
        _ word: borrowing Atomic<UInt>, bytes: Int, fill: (Word) -> Void
    ) -> Bool {
        if word.load(ordering: .acquiring) != 0 { return true }
        let memory = mmap(
            nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else { return false }
        fill(memory.assumingMemoryBound(to: Atomic<UInt>.self))
        let published = word.compareExchange(
            expected: 0, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
        if !published.exchanged { munmap(memory, bytes) }
        return true
    }
}
