import Synchronization

/// The slots of one concurrency limit's key: claim, renew and release on `LeaseSlots`' words.
///
/// Slots come in blocks (`next block | slots | slot words …`) that are appended and never moved
/// while the key lives. A claim is one swap of a slot, then a look at the key's state word: a key
/// that is being retired turns the claim down. A hint that all slots are taken spares callers the
/// scan; it is believed for at most 10 ms and not beyond the first lease that may run out, and a
/// release clears it behind freeing its slot, a scan sets it before it looks, so none is missed.
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
    private static let largestFirstBlock = 256

    @inline(__always)
    init(record: UnsafeMutableRawPointer, base: UnsafeMutableRawPointer) {
        self.record = record
        self.base = base
    }

    @inline(__always)
    private func word(_ offset: Int) -> SharedWord { SharedWord(base, at: offset) }

    /// The slot at an offset.
    @inline(__always)
    func slot(_ offset: Int) -> SharedWord { SharedWord(base, at: offset) }

    /// The word of a slot that nobody holds: the one at `offset`, else the first such of the first
    /// block, whose offset is put there. Nil: none was seen, or `offset` is 0.
    @inline(__always)
    func freeSlot(_ offset: inout Int, now: Int64) -> UInt64? {
        guard offset != 0 else { return nil }
        let word = slot(offset).load()
        if _fastPath(!LeaseSlots.isLive(word, now: now)) { return word }
        return searchFirstBlock(&offset, now: now)
    }

    @inline(never)
    private func searchFirstBlock(_ offset: inout Int, now: Int64) -> UInt64? {
        let block = Int(SharedWord(record, at: KeyRecord.firstBlock).load()) * 16
        for index in 0..<Int(slot(block + 8).load()) {
            let candidate = block + KeyRecord.body + index * 8
            let word = slot(candidate).load()
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

    /// Space for a block of free slots.
    static func makeBlock(_ segment: Segment, slots: Int) throws(StoreError) -> Int {
        let count = min(max(1, slots), largestFirstBlock)
        return try makeBlock(segment, exactly: count)
    }

    private static func makeBlock(_ segment: Segment, exactly count: Int) throws(StoreError) -> Int
    {
        let offset = try segment.allocate(kind: .slots, bytes: KeyRecord.body + count * 8)
        for index in 0..<count {
            // The generation goes on where the space was a block before: a permit that is still
            // open on the key of that life must not take the next lease here for its own.
            let slot = segment.word(offset + KeyRecord.body + index * 8)
            while true {
                let word = slot.load()
                if slot.swap(word, LeaseSlots.freed(word)) { break }
            }
        }
        segment.word(offset + 8).store(UInt64(count))
        segment.word(offset).store(0)
        return offset
    }

    /// Gives the blocks of a key that nobody can reach any more back.
    static func freeBlocks(_ segment: Segment, of offset: Int) {
        var block = Int(segment.word(offset + KeyRecord.firstBlock).load()) * 16
        while block != 0 {
            let next = Int(segment.word(block).load()) * 16
            let count = Int(segment.word(block + 8).load())
            segment.free(block, kind: .slots, bytes: KeyRecord.body + count * 8)
            block = next
        }
    }

    /// A claimed slot: where its word lies, and the word that claimed it.
    struct Claim {
        var offset: Int
        var word: UInt64
    }

    enum ClaimOutcome {
        case claimed(Claim)
        case full
        case retired
    }

    /// Claims the slot at `hint` where it is free: the fast path.
    @inline(__always)
    func claim(hint: Int, owner: UInt64, expiry: UInt64, now: Int64) -> Claim? {
        let slot = self.word(hint)
        let word = slot.load()
        guard !LeaseSlots.isLive(word, now: now) else { return nil }
        let claimed = LeaseSlots.word(
            owner: owner, generation: LeaseSlots.generation(of: word) &+ 1, expiry: expiry)
        guard slot.swapSequential(word, claimed) else { return nil }
        return Claim(offset: hint, word: claimed)
    }

    /// Claims any slot, appending a block where all are taken and the limit allows more.
    @inline(never)
    func claimAny(
        limit: Int64, owner: UInt64, expiry: UInt64, now: Int64, in segment: Segment
    ) throws(StoreError) -> ClaimOutcome {
        while true {
            guard Self.isOpen(state.loadSequential()) else { return .retired }
            let hint = fullHint.load()
            if hint != 0, hint & Self.scanning == 0, Int64(hint) > now,
                Int64(hint) - now <= Self.hintNanoseconds
            {
                return .full
            }
            let token = Self.scanning | UInt64(bitPattern: now)
            fullHint.store(token)
            // Pairs with the release: it finds this token, or the scan finds its free slot.
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            let scan = scan(owner: owner, expiry: expiry, now: now, limit: limit)
            if let claim = scan.claim {
                if fullHint.load() != 0 { fullHint.store(0) }
                return settle(claim, scan: scan, limit: limit, now: now)
            }
            if scan.capacity < limit {
                try append(after: scan.lastBlock, slots: Int(limit) - scan.capacity, in: segment)
                continue
            }
            let until = min(now + Self.hintNanoseconds, scan.firstEnd)
            _ = fullHint.swap(token, UInt64(max(1, until)))
            return .full
        }
    }

    private struct Scan {
        var claim: Claim?
        var capacity = 0
        var lastBlock = 0
        var firstEnd = Int64.max
    }

    private func scan(owner: UInt64, expiry: UInt64, now: Int64, limit: Int64) -> Scan {
        var scan = Scan()
        forEachBlock { block, count in
            scan.lastBlock = block
            for index in 0..<count where scan.claim == nil && scan.capacity + index < limit {
                let offset = block + KeyRecord.body + index * 8
                while true {
                    let word = self.word(offset).load()
                    if LeaseSlots.isLive(word, now: now) {
                        scan.firstEnd = min(scan.firstEnd, LeaseSlots.end(of: word, now: now))
                        break
                    }
                    scan.claim = claim(hint: offset, owner: owner, expiry: expiry, now: now)
                    if scan.claim != nil { break }
                    countRetry()
                }
            }
            scan.capacity += count
        }
        return scan
    }

    /// After a reload to fewer slots leases may live above the limit: count, and step back.
    private func settle(_ claim: Claim, scan: Scan, limit: Int64, now: Int64) -> ClaimOutcome {
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
        return .claimed(claim)
    }

    private func append(
        after block: Int, slots: Int, in segment: Segment
    ) throws(StoreError) {
        let last = Int(word(block + 8).load())
        let new = try Self.makeBlock(segment, exactly: min(slots, max(last * 2, 8)))
        if !word(block).swap(0, UInt64(new / 16)) {
            let count = Int(word(new + 8).load())
            segment.free(new, kind: .slots, bytes: KeyRecord.body + count * 8)
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

    /// The block's start and its number of slots, in order.
    private func forEachBlock(_ body: (Int, Int) -> Void) {
        var block = Int(SharedWord(record, at: KeyRecord.firstBlock).load()) * 16
        while block != 0 {
            body(block, Int(word(block + 8).load()))
            block = Int(word(block).load()) * 16
        }
    }

    /// Slots of all blocks.
    var capacity: Int64 {
        var capacity: Int64 = 0
        forEachBlock { _, count in capacity += Int64(count) }
        return capacity
    }

    /// Leases live at an instant. O(slots).
    func liveCount(now: Int64) -> Int64 {
        var live: Int64 = 0
        forEachBlock { block, count in
            for index in 0..<count {
                let word = self.word(block + KeyRecord.body + index * 8).loadRelaxed()
                if LeaseSlots.isLive(word, now: now) { live += 1 }
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
        let block = Int(SharedWord(record, at: KeyRecord.firstBlock).loadRelaxed()) * 16
        let count = Int(truncatingIfNeeded: word(block + 8).loadRelaxed())
        guard count <= 16, word(block).loadRelaxed() == 0 else {
            return liveCount(now: now)
        }
        var live: Int64 = 0
        for index in 0..<count {
            let word = self.word(block + KeyRecord.body + index &* 8).loadRelaxed()
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

    /// The first instant at which a lease may run out; `Int64.max` when none lives.
    func firstEnd(now: Int64) -> Int64 {
        var end = Int64.max
        forEachBlock { block, count in
            for index in 0..<count {
                let word = self.word(block + KeyRecord.body + index * 8).load()
                if LeaseSlots.isLive(word, now: now) {
                    end = min(end, LeaseSlots.end(of: word, now: now))
                }
            }
        }
        return end
    }

    /// A slot to begin with: the first of the first block.
    var firstSlot: Int {
        Int(SharedWord(record, at: KeyRecord.firstBlock).load()) * 16 + KeyRecord.body
    }

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
