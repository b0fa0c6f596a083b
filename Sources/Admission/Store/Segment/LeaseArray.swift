import Synchronization

/// The slots of one concurrency limit's key: claim, renew and release on `LeaseSlots`' words.
///
/// Slots come in blocks (see `LeaseBlock`) that are appended and never moved while the key lives. A
/// claim is one swap of a slot, then a look at the key's state word and at the owner's entry: a key
/// that is being retired turns the claim down, and so does an entry that is not the claimant's any
/// more. A hint that all slots are taken spares callers the scan; it is believed for at most 10 ms
/// and not beyond the first lease that may run out, and a release clears it behind freeing its slot,
/// a scan sets it before it looks, so none is missed.
///
/// What a segment says of itself is not trusted: the first block is checked when a value of this type
/// is made from a record, every further one before it is read.
///
/// Ordering: claim against retirement and release against scan are each "write mine, then look at
/// theirs" on both sides. Claims and releases therefore swap and look with sequential consistency
/// (no dearer on x86-64), scans and counts run behind a full fence.
///
/// Progress: lock-free. Cost: one swap with a good hint, O(slots) without.
struct LeaseArray {
    /// Start of the key's record.
    let record: UnsafeMutableRawPointer
    /// Start of the segment: slots are known by their offset from it.
    let base: UnsafeMutableRawPointer
    /// Bytes of the segment.
    let size: Int
    /// The first block, checked; its offset is 0 where the record names none.
    let first: LeaseBlock

    /// States of the key, in the lowest two bits of its state word; the bits above count changes,
    /// so that a state that came back is not taken for one that stayed.
    static let open: UInt64 = 1
    static let closing: UInt64 = 2
    static let retired: UInt64 = 3

    /// Whether a key with this state word takes claims.
    @inline(__always)
    static func isOpen(_ state: UInt64) -> Bool { state & 3 == open }

    /// Whether a key with this state word is gone for good.
    static func isRetired(_ state: UInt64) -> Bool { state & 3 == retired }

    private static func next(_ state: UInt64, _ code: UInt64) -> UInt64 {
        (state >> 2 &+ 1) << 2 | code
    }

    private static let hintNanoseconds: Int64 = 10_000_000
    private static let scanning: UInt64 = 1 << 63

    /// Of a key whose first block was checked before.
    @inline(__always)
    init(
        record: UnsafeMutableRawPointer, base: UnsafeMutableRawPointer, size: Int, first: LeaseBlock
    ) {
        self.record = record
        self.base = base
        self.size = size
        self.first = first
    }

    /// Of the key at an offset.
    init(_ segment: Segment, at offset: Int) {
        let block = Int(segment.word(offset + KeyRecord.firstBlock).load() & 0xffff_ffff) * 16
        self.init(
            record: segment.base + offset, base: segment.base, size: segment.size,
            first: segment.leaseBlock(at: block) ?? LeaseBlock(offset: 0, count: 0))
    }

    /// The word at an offset: of a slot, a block or an owner's entry.
    @inline(__always)
    func word(_ offset: Int) -> SharedWord { SharedWord(base, at: offset) }

    /// The word of a slot that nobody holds: the one at `offset`, else the first such of the first
    /// block, whose offset is put there. Nil: none was seen, or `offset` is 0.
    @inline(__always)
    func freeSlot(_ offset: inout Int, now: Int64) -> UInt64? {
        guard offset != 0 else { return nil }
        let word = self.word(offset).load()
        if _fastPath(!LeaseSlots.isLive(word, now: now)) { return word }
        return searchFirstBlock(&offset, now: now)
    }

    @inline(never)
    private func searchFirstBlock(_ offset: inout Int, now: Int64) -> UInt64? {
        for index in 0..<first.count {
            let candidate = first.slot(index)
            let word = self.word(candidate).load()
            if !LeaseSlots.isLive(word, now: now) {
                offset = candidate
                return word
            }
        }
        return nil
    }

    private func countRetry() { word(Segment.Header.retries).increment() }

    @inline(__always)
    var state: SharedWord { SharedWord(record, at: KeyRecord.state) }
    @inline(__always)
    var fullHint: SharedWord { SharedWord(record, at: KeyRecord.fullHint) }

    /// A claimed slot: where its word lies, and the word that claimed it.
    struct Claim {
        var offset: Int
        var word: UInt64
    }

    enum ClaimOutcome {
        case claimed(Claim)
        case full
        case retired
        /// The owner's entry is not the claimant's any more.
        case disowned
    }

    /// Claims any slot, appending a block where all are taken and the limit allows more. A slot whose
    /// owner is dead is free, whatever its lease.
    ///
    /// - Parameter owner: the claimant's `LeaseOwner`.
    /// - Throws: `StoreError.corrupted`; what making a block throws.
    @inline(never)
    func claimAny(
        limit: Int64, owner: LeaseOwner, expiry: UInt64, now: Int64, in segment: Segment
    ) throws(StoreError) -> ClaimOutcome {
        while true {
            guard Self.isOpen(state.loadSequential()) else { return .retired }
            if isFullHinted(fullHint.load(), now: now) { return .full }
            let token = Self.scanning | UInt64(bitPattern: now)
            fullHint.store(token)
            // Pairs with the release: it finds this token, or the scan finds its free slot.
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            let scan = scan(owner: owner, expiry: expiry, now: now, limit: limit)
            if let claim = scan.claim {
                if fullHint.load() != 0 { fullHint.store(0) }
                return settle(claim, of: owner, scan: scan, limit: limit, now: now)
            }
            guard scan.isWhole else { throw segment.damagedLeases() }
            if scan.capacity < limit, scan.capacity < LeaseBlock.mostSlots {
                try append(
                    after: scan.lastBlock, slots: Int(limit) - scan.capacity, in: segment)
                continue
            }
            let until = min(now.addingSaturated(Self.hintNanoseconds), scan.firstEnd)
            _ = fullHint.swap(token, UInt64(max(1, until)))
            return .full
        }
    }

    /// Whether a hint says that all slots are taken, for a time that is believed: another program may
    /// have written any word there.
    private func isFullHinted(_ hint: UInt64, now: Int64) -> Bool {
        guard hint != 0, hint & Self.scanning == 0 else { return false }
        let left = Int64(bitPattern: hint) &- now
        return left > 0 && left <= Self.hintNanoseconds
    }

    private struct Scan {
        var claim: Claim?
        var capacity = 0
        var lastBlock = LeaseBlock(offset: 0, count: 0)
        var firstEnd = Int64.max
        var isWhole = true
    }

    private func scan(owner: LeaseOwner, expiry: UInt64, now: Int64, limit: Int64) -> Scan {
        var scan = Scan()
        scan.isWhole = forEachBlock { block in
            scan.lastBlock = block
            for index in 0..<block.count where scan.claim == nil && scan.capacity + index < limit {
                let offset = block.slot(index)
                while true {
                    let word = self.word(offset).load()
                    let isLive = LeaseSlots.isLive(word, now: now)
                    if isLive && !isOwnerDead(word) {
                        scan.firstEnd = min(scan.firstEnd, LeaseSlots.end(of: word, now: now))
                        break
                    }
                    let claimed = LeaseSlots.word(
                        owner: owner.word, generation: LeaseSlots.generation(of: word) &+ 1,
                        expiry: expiry)
                    if self.word(offset).swapSequential(word, claimed) {
                        if isLive { self.word(Segment.Header.reclaimedLeases).increment() }
                        scan.claim = Claim(offset: offset, word: claimed)
                        break
                    }
                    countRetry()
                }
            }
            scan.capacity += block.count
        }
        return scan
    }

    /// Whether the owner of a slot's word was found dead: nobody will give the slot back.
    private func isOwnerDead(_ slot: UInt64) -> Bool {
        let owner = LeaseOwner(word: LeaseSlots.owner(of: slot))
        return OwnerEntry.state(word(owner.entry).load()) == .dead
    }

    /// A live lease of a live owner, or of one that nobody has found dead.
    private func isHeld(_ slot: UInt64, now: Int64) -> Bool {
        LeaseSlots.isLive(slot, now: now) && !isOwnerDead(slot)
    }

    /// After a reload to fewer slots leases may live above the limit: count, and step back.
    private func settle(
        _ claim: Claim, of owner: LeaseOwner, scan: Scan, limit: Int64, now: Int64
    ) -> ClaimOutcome {
        // Two that claim at a time: each counts behind its own swap, so one of them counts both.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if scan.capacity > limit, liveCount(now: now) > limit {
            release(claim)
            return .full
        }
        guard Self.isOpen(state.loadSequential()) else {
            release(claim)
            return .retired
        }
        guard isInForce(owner) else {
            release(claim)
            return .disowned
        }
        return .claimed(claim)
    }

    /// Whether the owner's entry still is the claimant's: behind the swap that claimed, so that either
    /// who found it dead meets the slot, or the claimant meets the mark.
    @inline(__always)
    func isInForce(_ owner: LeaseOwner) -> Bool {
        owner.owns(word(owner.entry).loadSequential())
    }

    private func append(
        after block: LeaseBlock, slots: Int, in segment: Segment
    ) throws(StoreError) {
        let new = try segment.makeLeaseBlock(slots: min(slots, max(block.count * 2, 8)))
        guard block.offset != 0, word(block.offset).swap(0, UInt64(new.offset / 16)) else {
            segment.freeLeaseBlock(new)
            if block.offset == 0 { throw segment.damagedLeases() }
            return
        }
    }

    /// Frees a claim that is still the caller's.
    ///
    /// - Returns: false when the slot is no longer its own: the lease ran out and was taken over.
    @inline(__always)
    @discardableResult
    func release(_ claim: Claim) -> Bool {
        let slot = word(claim.offset)
        while true {
            let word = slot.load()
            guard LeaseArray.isSame(word, claim.word) else { return false }
            if slot.swapSequential(word, LeaseSlots.freed(word)) { break }
            countRetry()
        }
        freedSlot()
        return true
    }

    /// Takes the hint back that all slots are taken. Behind the swap that freed one: pairs with the
    /// fence in `claimAny`, which sets it before it scans.
    @inline(__always)
    func freedSlot() {
        if fullHint.loadSequential() != 0 { fullHint.store(0) }
    }

    /// Whether a claim still is the caller's and has not run out.
    @inline(__always)
    func isLive(_ claim: Claim, now: Int64) -> Bool {
        let word = self.word(claim.offset).load()
        return LeaseArray.isSame(word, claim.word) && LeaseSlots.isLive(word, now: now)
    }

    /// Extends a claim that is still the caller's and has not run out.
    func renew(_ claim: Claim, expiry: UInt64, now: Int64) -> Bool {
        let slot = word(claim.offset)
        while true {
            let word = slot.load()
            guard LeaseArray.isSame(word, claim.word), LeaseSlots.isLive(word, now: now) else {
                return false
            }
            let renewed = LeaseSlots.word(
                owner: LeaseSlots.owner(of: word),
                generation: LeaseSlots.generation(of: word), expiry: expiry)
            if slot.swap(word, renewed) { return true }
            countRetry()
        }
    }

    /// Whether two words are one lease: owner and generation agree.
    @inline(__always)
    static func isSame(_ word: UInt64, _ other: UInt64) -> Bool { (word ^ other) >> 36 == 0 }

    /// Every block, in order.
    ///
    /// - Returns: false where a link leads astray: the walk ends there.
    @discardableResult
    func forEachBlock(_ body: (LeaseBlock) -> Void) -> Bool {
        LeaseBlock.forEach(from: first, base: base, size: size, body)
    }

    /// Slots of all blocks.
    var capacity: Int64 {
        var capacity: Int64 = 0
        forEachBlock { capacity += Int64($0.count) }
        return capacity
    }

    /// Whether there are no more slots than a limit, so that a claim needs no count. A decision under
    /// an older and larger document may have appended a block since a plan was made.
    ///
    /// - Parameter limit: no less than the first block's slots.
    @inline(__always)
    func hasAtMost(_ limit: Int64) -> Bool {
        _fastPath(word(first.offset).loadRelaxed() == 0) || capacity <= limit
    }

    /// Leases live at an instant, without those of dead owners. O(slots).
    func liveCount(now: Int64) -> Int64 {
        var live: Int64 = 0
        forEachBlock { block in
            for index in 0..<block.count
            where isHeld(word(block.slot(index)).loadRelaxed(), now: now) {
                live += 1
            }
        }
        return live
    }

    /// Leases live, exact up to 16 slots, else as counted at most 10 ms ago.
    @inline(__always)
    func liveEstimate(limit: Int64, now: Int64) -> Int64 {
        guard limit > 16 else { return shortCount(now: now) }
        return longEstimate(now: now)
    }

    @inline(__always)
    private func shortCount(now: Int64) -> Int64 {
        guard first.count <= 16, word(first.offset).loadRelaxed() == 0 else {
            return liveCount(now: now)
        }
        var live: Int64 = 0
        for index in 0..<first.count {
            let word = self.word(first.slot(index)).loadRelaxed()
            live &+= LeaseSlots.isLive(word, now: now) ? 1 : 0
        }
        return live
    }

    /// `steady ns / 2^20 : 40 | count : 24`.
    @inline(never)
    private func longEstimate(now: Int64) -> Int64 {
        let estimate = SharedWord(record, at: KeyRecord.liveEstimate)
        let step = UInt64(bitPattern: now) >> 20 & 0xff_ffff_ffff
        let known = estimate.loadRelaxed()
        if known != 0, step &- known >> 24 < 10 { return Int64(known & 0xff_ffff) }
        let live = liveCount(now: now)
        estimate.storeRelaxed(step << 24 | UInt64(min(live, 0xff_ffff)))
        return live
    }

    /// A slot to begin with: the first of the first block; 0 where there is none.
    var firstSlot: Int { first.offset == 0 ? 0 : first.slot(0) }

    /// Retires the key when no lease lives, or finishes what another caller began.
    ///
    /// - Returns: whether the key is retired; a key that was found closing is open again otherwise.
    func retireIfIdle(now: Int64) -> Bool {
        var seen = state.load()
        if Self.isRetired(seen) { return true }
        if Self.isOpen(seen) {
            let closing = Self.next(seen, Self.closing)
            guard state.swap(seen, closing) else { return false }
            seen = closing
        }
        // A claim that swapped before this look is seen by it; one that swaps later sees `closing`
        // and steps back. The fence pairs with the claim's swap and look.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        let code = liveCount(now: now) > 0 ? Self.open : Self.retired
        return state.swap(seen, Self.next(seen, code)) && code == Self.retired
    }
}
