import CCounter
import Glibc
import Synchronization

/// What a permit keeps until it is ended; plain data in the table's memory.
package struct PermitBody {
    /// Address of the plan that charged; it lives until the permit is ended. See `PermitSlot.plan`.
    var plan: UnsafeMutableRawPointer?
    /// Charged so far, what was added included.
    var requests: Int64
    var inputTokens: Int64
    var outputTokens: Int64
    /// Steady instant of the decision, for the longest hold.
    var acquiredAt: Int64
    /// `ProcessIdentity` of the process that holds it.
    var identity: UInt64
    /// 0: no concurrency slot has to be freed at its end; else `leasesInPlan` or the address of
    /// the one slot's word, whose claim is the first charge.
    var lease: UInt64

    /// The plan and the charges say which slots.
    static var leasesInPlan: UInt64 { 1 }
}

/// The open permits of one limiter in this process: slots that are claimed and freed, never moved.
///
/// Four shelves hold permits of up to 4, 16, 64 and 256 charges. A slot's state is one word,
/// `generation:40 | code`: claimed by one swap from a hint that each thread keeps (by its thread
/// pointer), opened by a store behind the body, ended by one swap to `busy` and a store that frees
/// it, so that a permit ends once in whatever thread. An id is `generation:40 | shelf:2 | index:22`, never 0, with the
/// generation turned by a number of this table's own: another limiter's id names no permit here.
///
/// Private to the process: a forked child has a copy, whose permits are not its own. Untouched
/// capacity costs nothing. Progress: lock-free; a slot that another thread is settling makes a
/// second call on the same permit wait for it.
package struct PermitTable {
    /// Shelves by number of charges.
    package static let shelfCapacities = [4, 16, 64, 256]
    /// The most permits that may be open on one shelf.
    package static let maximumCapacity = 1 << 22

    static let free: UInt64 = 0
    static let open: UInt64 = 1
    static let busy: UInt64 = 2
    /// Claimed by a decision that has not written the body yet: nobody else looks at it.
    static let taking: UInt64 = 3

    private static let codeMask: UInt64 = 0xff_ffff
    private static let stripes = 64
    static let bodyBytes = 64

    /// One size of permits. Owner of its two mappings: the table.
    struct Shelf {
        var states: UnsafeMutablePointer<Atomic<UInt64>>
        var bodies: UnsafeMutableRawPointer
        var stride: Int
        /// One line a thread: the slot to try first.
        var hints: UnsafeMutableRawPointer
    }

    /// The shelf of nearly every permit, once more: without the hop over `shelves`.
    private let first: Shelf
    /// Four, behind a pointer, so that a table is a few words wherever it is handed on.
    private let shelves: UnsafeMutablePointer<Shelf>
    /// Turns generations into those of ids. Its highest bit but one is set, which no generation
    /// reaches, so that no id is 0 or negative as a signed number.
    private let turn = UInt64.random(in: 1 << 38..<1 << 39) << 24
    let capacity: Int
    /// Slots ever claimed on each shelf, as a bound for walks.
    let highWater: UnsafeMutableRawPointer

    /// Maps the table, or gives nil where the system has no memory.
    init?(capacity: Int) {
        let capacity = min(max(1, capacity), Self.maximumCapacity)
        self.capacity = capacity
        var made: [Shelf] = []
        for charges in Self.shelfCapacities {
            let stride = Self.bodyBytes + charges * MemoryLayout<StepCharge>.stride
            guard let states = Self.map(capacity * 8), let bodies = Self.map(capacity * stride),
                let hints = Self.map(Self.stripes * 64)
            else { return nil }
            for stripe in 0..<Self.stripes {
                SharedWord(hints, at: stripe * 64).storeRelaxed(UInt64(stripe * 8 % capacity))
            }
            made.append(
                Shelf(
                    states: states.bindMemory(to: Atomic<UInt64>.self, capacity: capacity),
                    bodies: bodies, stride: stride, hints: hints))
        }
        guard let highWater = Self.map(64 * 4) else { return nil }
        self.highWater = highWater
        first = made[0]
        shelves = UnsafeMutablePointer<Shelf>.allocate(capacity: made.count)
        shelves.initialize(from: made, count: made.count)
    }

    private static func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0)
        return mapped == MAP_FAILED ? nil : mapped
    }

    func unmap() {
        for (index, charges) in Self.shelfCapacities.enumerated() {
            let shelf = shelf(index)
            munmap(shelf.states, capacity * 8)
            munmap(
                shelf.bodies,
                capacity * (Self.bodyBytes + charges * MemoryLayout<StepCharge>.stride))
            munmap(shelf.hints, Self.stripes * 64)
        }
        munmap(highWater, 64 * 4)
        shelves.deallocate()
    }

    @inline(__always)
    func shelf(_ index: Int) -> Shelf {
        index == 0 ? first : shelves[index]
    }

    /// The shelf for a number of charges.
    @inline(__always)
    static func shelfIndex(charges: Int) -> Int {
        if charges <= 4 { return 0 }
        return charges <= 16 ? 1 : charges <= 64 ? 2 : 3
    }
}

/// One slot of the table, found or claimed.
struct PermitSlot {
    let state: SharedWord
    let body: UnsafeMutablePointer<PermitBody>
    let id: UInt64
    /// The state word while the permit is open.
    let openWord: UInt64

    @inline(__always)
    var charges: UnsafeMutablePointer<StepCharge> {
        (UnsafeMutableRawPointer(body) + PermitTable.bodyBytes)
            .assumingMemoryBound(to: StepCharge.self)
    }

    /// Keeps what ending the permit needs.
    @inline(__always)
    func keep(
        _ cost: borrowing CostAmounts, plan: UnsafeMutableRawPointer, acquiredAt: Int64,
        identity: UInt64, lease: SharedWord?
    ) {
        keep(
            cost, plan: plan, acquiredAt: acquiredAt, identity: identity,
            leaseWord: lease.map { UInt64(UInt(bitPattern: $0.address)) } ?? 0)
    }

    /// The same with what `PermitBody.lease` is to hold.
    @inline(__always)
    func keep(
        _ cost: borrowing CostAmounts, plan: UnsafeMutableRawPointer, acquiredAt: Int64,
        identity: UInt64, leaseWord: UInt64
    ) {
        self.plan = plan
        body.pointee.requests = cost.requests
        body.pointee.inputTokens = cost.inputTokens
        body.pointee.outputTokens = cost.outputTokens
        body.pointee.acquiredAt = acquiredAt
        self.identity = identity
        leasesWord.storeRelaxed(leaseWord)
    }

    /// Whether the permit is open and that process' own.
    @inline(__always)
    func isOpen(for identity: UInt64) -> Bool {
        state.load() == openWord && self.identity == identity
    }

    /// `PermitBody.lease`; only of an open permit, and to be believed once the permit was claimed.
    @inline(__always)
    var lease: UInt64 { leasesWord.loadRelaxed() }

    /// Ends an open permit of that process that holds at most one lease, as charged; false: nothing
    /// was done, take the general way.
    @inline(__always)
    func endAtOnce(identity: UInt64, clock: StoreClock) -> Bool {
        guard isOpen(for: identity) else { return false }
        let lease = lease
        if lease == 0 { return endPlainly() }
        return lease != PermitBody.leasesInPlan && endWithLease(lease, clock: clock)
    }

    /// Ends an open permit that holds no lease, as charged, with one swap; false: nothing was done.
    @inline(__always)
    func endPlainly() -> Bool { state.swap(openWord, openWord & ~0xff_ffff) }

    /// Ends an open permit that holds one lease, as charged; false: nothing was done.
    ///
    /// The clock and the lease are read before the permit is claimed, since loads wait behind a
    /// swap. A permit that somebody else ends meanwhile has left the slot's word to be read here,
    /// which harms nobody: segments stay mapped while the core lives.
    @inline(__always)
    func endWithLease(_ lease: UInt64, clock: StoreClock) -> Bool {
        guard let address = UnsafeMutableRawPointer(bitPattern: UInt(lease)) else { return false }
        let now = clock.coarseNow()
        let leaseWord = SharedWord(address, at: 0)
        let word = leaseWord.load()
        let charge = charges.pointee
        guard
            _fastPath(
                LeaseArray.isSame(word, UInt64(bitPattern: charge.amount))
                    && LeaseSlots.isLive(word, now: now)),
            beginSettling()
        else { return false }
        guard _fastPath(leaseWord.swapSequential(word, LeaseSlots.freed(word))) else {
            // Renewed or taken over in between.
            endAdding()
            return false
        }
        // Open until here: the plan lives. Concurrency comes first.
        ChargePlanReference(plan.unsafelyUnwrapped).step(0).freedSlot(at: charge.place)
        release()
        return true
    }

    /// Opens a slot that this thread claimed. Releases: pairs with the load of whoever ends it.
    @inline(__always)
    func open() { state.store(openWord) }

    /// The plan in the body. Relaxed: a walk over the slots may meet the next decision here.
    @inline(__always)
    var plan: UnsafeMutableRawPointer? {
        get { UnsafeMutableRawPointer(bitPattern: UInt(planWord.loadRelaxed())) }
        nonmutating set { planWord.storeRelaxed(UInt64(UInt(bitPattern: newValue))) }
    }

    @inline(__always)
    private var planWord: SharedWord { SharedWord(UnsafeMutableRawPointer(body), at: 0) }

    /// Process that holds the permit: read before the right to settle is claimed, while another
    /// thread may claim the slot anew.
    @inline(__always)
    var identity: UInt64 {
        get { identityWord.loadRelaxed() }
        nonmutating set { identityWord.storeRelaxed(newValue) }
    }

    /// `lease`, read like `identity`.
    @inline(__always)
    private var leasesWord: SharedWord {
        SharedWord(
            UnsafeMutableRawPointer(body),
            at: MemoryLayout<PermitBody>.offset(of: \.lease).unsafelyUnwrapped)
    }

    @inline(__always)
    private var identityWord: SharedWord {
        SharedWord(
            UnsafeMutableRawPointer(body),
            at: MemoryLayout<PermitBody>.offset(of: \.identity).unsafelyUnwrapped)
    }

    /// Frees a slot that this thread holds, open or busy.
    @inline(__always)
    func release() { state.store(openWord & ~0xff_ffff) }

    /// Frees a slot that was claimed for a decision which was then refused: as if it never was.
    @inline(__always)
    func cancel() { state.store((openWord & ~0xff_ffff) &- 0x100_0000) }

    /// Claims the right to settle; false when the permit is not open.
    @inline(__always)
    func beginSettling() -> Bool {
        state.swap(openWord, openWord & ~0xff_ffff | PermitTable.busy)
    }

    /// Leaves the permit open after an addition.
    @inline(__always)
    func endAdding() { state.store(openWord) }
}

extension PermitTable {
    @inline(__always)
    private static func stripe() -> Int {
        let hash = UInt64(admission_thread_pointer()) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: hash >> 58)
    }

    @inline(__always)
    private func slot(_ shelfIndex: Int, _ index: Int, openWord: UInt64) -> PermitSlot {
        slot(of: shelf(shelfIndex), shelfIndex, index, openWord: openWord)
    }

    @inline(__always)
    private func slot(
        of shelf: Shelf, _ shelfIndex: Int, _ index: Int, openWord: UInt64
    ) -> PermitSlot {
        PermitSlot(
            state: SharedWord(shelf.states + index),
            body: (shelf.bodies + index &* shelf.stride)
                .assumingMemoryBound(to: PermitBody.self),
            id: (openWord & ~Self.codeMask) ^ turn | UInt64(truncatingIfNeeded: shelfIndex) << 22
                | UInt64(truncatingIfNeeded: index),
            openWord: openWord)
    }

    /// Claims a free slot, or gives nil when all are taken.
    @inline(__always)
    func claim(shelf shelfIndex: Int) -> PermitSlot? {
        if let slot = claimAtOnce(shelf: shelfIndex) { return slot }
        return search(shelfIndex)
    }

    /// Claims the slot that this thread's hint names, or gives nil where it is not free.
    @inline(__always)
    func claimAtOnce(shelf shelfIndex: Int) -> PermitSlot? {
        let shelf = shelf(shelfIndex)
        let hint = SharedWord(shelf.hints, at: Self.stripe() &* 64)
        let index = Int(truncatingIfNeeded: hint.loadRelaxed())
        let word = shelf.states[index].load(ordering: .relaxed)
        let openWord = (word &+ (Self.codeMask + 1)) | Self.open
        // Everything is read before the swap: loads wait behind one.
        let slot = slot(of: shelf, shelfIndex, index, openWord: openWord)
        guard
            _fastPath(word & Self.codeMask == Self.free && word != 0),
            slot.state.swap(word, openWord ^ (Self.open ^ Self.taking))
        else { return nil }
        return slot
    }

    @inline(never)
    private func search(_ shelfIndex: Int) -> PermitSlot? {
        let shelf = shelf(shelfIndex)
        let hint = SharedWord(shelf.hints, at: Self.stripe() &* 64)
        var index = Int(truncatingIfNeeded: hint.loadRelaxed())
        for _ in 0..<capacity {
            let word = shelf.states[index].load(ordering: .relaxed)
            if word & Self.codeMask == Self.free {
                // Generation 0 is skipped: an id is never 0.
                let openWord = (word &+ (Self.codeMask + 1)) | Self.open
                if openWord > Self.codeMask,
                    SharedWord(shelf.states + index)
                        .swap(word, openWord ^ (Self.open ^ Self.taking))
                {
                    hint.storeRelaxed(UInt64(index))
                    SharedWord(highWater, at: shelfIndex * 64).raise(UInt64(index + 1))
                    return slot(shelfIndex, index, openWord: openWord)
                }
            }
            index += 1
            if index == capacity { index = 0 }
        }
        return nil
    }

    /// The slot that an id names, whatever its state; nil for an id that was never given out.
    @inline(__always)
    func find(_ id: UInt64) -> PermitSlot? {
        let index = Int(truncatingIfNeeded: id & 0x3f_ffff)
        let shelfIndex = Int(truncatingIfNeeded: id >> 22 & 3)
        let generation = (id & ~Self.codeMask) ^ turn
        guard index < capacity, generation != 0 else { return nil }
        // Apart, so that the common shelf is not found by selections.
        if _fastPath(shelfIndex == 0) {
            return slot(of: first, 0, index, openWord: generation | Self.open)
        }
        return slot(of: shelves[shelfIndex], shelfIndex, index, openWord: generation | Self.open)
    }

    /// Calls `body` for every open or busy slot with its state word; not for those that decisions
    /// are taking.
    func forEachOpen(_ body: (PermitSlot, UInt64) -> Void) {
        for shelfIndex in 0..<4 {
            let shelf = shelf(shelfIndex)
            let used = Int(SharedWord(highWater, at: shelfIndex * 64).load())
            for index in 0..<min(used, capacity) {
                let word = SharedWord(shelf.states + index).load()
                let code = word & Self.codeMask
                guard code == Self.open || code == Self.busy else { continue }
                body(slot(shelfIndex, index, openWord: word & ~Self.codeMask | Self.open), word)
            }
        }
    }

    /// Permits open now, those that decisions are taking included, and permits ever given out.
    func counts() -> (open: Int, issued: UInt64) {
        var open = 0
        var issued: UInt64 = 0
        for shelfIndex in 0..<4 {
            let used = Int(SharedWord(highWater, at: shelfIndex * 64).load())
            for index in 0..<min(used, capacity) {
                let word = SharedWord(shelf(shelfIndex).states + index).load()
                issued &+= word >> 24
                if word & Self.codeMask != Self.free { open += 1 }
            }
        }
        return (open, issued)
    }
}
