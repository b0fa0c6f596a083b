/// One block of slots of a concurrency limit's key.
///
/// ```
///  0  next block (offset / 16)        8  number of slots
/// 32  slot words                      …  as many stamps, from the middle of what is left
/// ```
///
/// A stamp tells since when a renewed lease is held: `acquired (steady ns >> 20):48 | generation:16`,
/// believed where the generation is the slot's. Renewals alone write it; the age of a lease that was
/// never renewed follows from its end.
///
/// Space that was a block is used for blocks of the same size class only, and the stamps begin at a
/// place that the class fixes: a word that was a slot stays one, so its generation goes on.
struct LeaseBlock {
    /// Bytes from the segment's start.
    var offset: Int
    /// Slots.
    var count: Int

    static let largestFirst = 254
    /// Slots of a key that a walk counts: above what limits may be, below what would take long.
    static let mostSlots = 1 << 21
    static let stampShift: UInt64 = 20

    /// The word of a slot.
    @inline(__always)
    func slot(_ index: Int) -> Int { offset &+ KeyRecord.body &+ index &* 8 }

    /// Bytes that it takes.
    static func bytes(slots: Int) -> Int { KeyRecord.body + slots * 16 }

    /// The stamp of a slot.
    func stamp(_ index: Int) -> Int {
        let rounded = Segment.roundedSize(Self.bytes(slots: count))
        return offset + KeyRecord.body + (rounded - KeyRecord.body) / 2 + index * 8
    }

    /// Which slot's word lies at an offset; nil: none of this block's.
    func index(ofSlot place: Int) -> Int? {
        let distance = place - slot(0)
        guard distance >= 0, distance & 7 == 0, distance / 8 < count else { return nil }
        return distance / 8
    }

    /// The block at an offset; nil where none can be: beyond the segment, or of an impossible size.
    static func checked(
        at offset: Int, base: UnsafeMutableRawPointer, size: Int
    ) -> LeaseBlock? {
        guard offset >= Segment.Header.bytes, offset & 15 == 0, offset <= size - KeyRecord.body
        else { return nil }
        let count = SharedWord(base, at: offset + 8).load()
        guard count > 0, count <= UInt64(mostSlots),
            Segment.roundedSize(bytes(slots: Int(count))) <= size - offset
        else { return nil }
        return LeaseBlock(offset: offset, count: Int(count))
    }

    /// Every block of a chain; ends at a link that leads astray, or to a block that was passed.
    ///
    /// - Returns: whether the chain is whole.
    static func forEach(
        from first: LeaseBlock, base: UnsafeMutableRawPointer, size: Int,
        _ body: (LeaseBlock) -> Void
    ) -> Bool {
        guard first.offset != 0 else { return false }
        var block = first
        var slots = 0
        // Brent's (1980): a block that is kept is met again in a cycle; which one doubles.
        var kept = block.offset
        var steps = 0
        var stepsToKeep = 2
        while true {
            slots += block.count
            guard slots <= mostSlots + largestFirst else { return false }
            body(block)
            let next = Int(SharedWord(base, at: block.offset).load() & 0xffff_ffff) * 16
            if next == 0 { return true }
            guard next != kept, let following = checked(at: next, base: base, size: size) else {
                return false
            }
            block = following
            steps += 1
            if steps == stepsToKeep {
                kept = block.offset
                steps = 0
                stepsToKeep *= 2
            }
        }
    }
}

extension Segment {
    /// The block at an offset that was read from the segment; nil where none can be.
    func leaseBlock(at offset: Int) -> LeaseBlock? {
        LeaseBlock.checked(at: offset, base: base, size: size)
    }

    /// Space for a block of free slots.
    func makeLeaseBlock(slots: Int) throws(StoreError) -> LeaseBlock {
        let count = min(max(1, slots), LeaseBlock.mostSlots)
        let offset = try allocate(kind: .slots, bytes: LeaseBlock.bytes(slots: count))
        let block = LeaseBlock(offset: offset, count: count)
        for index in 0..<count {
            // The generation goes on where the space was a block before: a permit that is still
            // open on the key of that life must not take the next lease here for its own.
            let slot = word(block.slot(index))
            while true {
                let word = slot.load()
                if slot.swap(word, LeaseSlots.freed(word)) { break }
            }
        }
        word(offset + 8).store(UInt64(count))
        word(offset).store(0)
        return block
    }

    func freeLeaseBlock(_ block: LeaseBlock) {
        free(block.offset, kind: .slots, bytes: LeaseBlock.bytes(slots: block.count))
    }

    /// What is thrown where a key's blocks cannot be what a writer left.
    func damagedLeases() -> StoreError { corrupted("a concurrency key's slots lead astray") }
}

extension LeaseArray {
    /// Space for the first block of a new key.
    static func makeBlock(_ segment: Segment, slots: Int) throws(StoreError) -> Int {
        try segment.makeLeaseBlock(slots: min(slots, LeaseBlock.largestFirst)).offset
    }

    /// Gives the blocks of a key that nobody can reach any more back.
    static func freeBlocks(_ segment: Segment, of offset: Int) {
        var blocks: [LeaseBlock] = []
        LeaseArray(segment, at: offset).forEachBlock { blocks.append($0) }
        for block in blocks { segment.freeLeaseBlock(block) }
    }

    /// A lease that lives, as a person wants to see it.
    package struct Held: Sendable, Hashable {
        /// Position among the key's slots.
        package var slot: Int
        /// Number of the owner's entry.
        package var owner: Int
        /// Steady nanoseconds, a millisecond coarse.
        package var acquiredAt: Int64
        /// Steady nanoseconds at which it runs out.
        package var endsAt: Int64
    }

    /// Every lease that lives, those of dead owners included. O(slots).
    ///
    /// - Parameter lease: length of a lease, for those that were never renewed.
    func forEachHeld(now: Int64, leaseNanoseconds lease: Int64, _ body: (Held) -> Void) {
        var number = 0
        forEachBlock { block in
            for index in 0..<block.count {
                let word = self.word(block.slot(index)).load()
                guard LeaseSlots.isLive(word, now: now) else { continue }
                let end = LeaseSlots.end(of: word, now: now)
                let stamp = self.word(block.stamp(index)).load()
                var acquired = end &- lease
                if stamp != 0, stamp & 0xffff == LeaseSlots.generation(of: word) {
                    acquired = Int64(bitPattern: (stamp >> 16) << LeaseBlock.stampShift)
                }
                body(
                    Held(
                        slot: number + index, owner: Int(LeaseSlots.owner(of: word)),
                        acquiredAt: min(now, acquired), endsAt: end))
            }
            number += block.count
        }
    }

    /// Notes since when a lease that was just renewed is held.
    func stamp(_ claim: Claim, acquiredAt: Int64) {
        let value =
            (UInt64(bitPattern: acquiredAt) >> LeaseBlock.stampShift) << 16
            | LeaseSlots.generation(of: claim.word)
        forEachBlock { block in
            guard let index = block.index(ofSlot: claim.offset) else { return }
            let stamp = word(block.stamp(index))
            if stamp.loadRelaxed() != value { stamp.storeRelaxed(value) }
        }
    }

    /// Frees the slots of dead owners.
    ///
    /// - Parameters:
    ///   - entries: the owners' numbers, and their entries' words while they are the dead ones'.
    ///   - freed: called with the owner's number of each lease that lived.
    func free(
        of owners: OwnerSet, _ entries: [Int: UInt64], now: Int64, freed: (Int) -> Void
    ) {
        var isAnyFree = false
        forEachBlock { block in
            for index in 0..<block.count {
                let slot = self.word(block.slot(index))
                while true {
                    let word = slot.load()
                    let owner = Int(LeaseSlots.owner(of: word))
                    // The entry is read behind the slot: while it is the dead one's, so is the slot.
                    // Else another caller has swept it, and the number may be somebody else's.
                    guard owner != 0, owners.contains(owner),
                        self.word(Segment.Header.owners + owner * 64).load() == entries[owner]
                    else { break }
                    if slot.swapSequential(word, LeaseSlots.freed(word)) {
                        isAnyFree = true
                        if LeaseSlots.isLive(word, now: now) { freed(owner) }
                        break
                    }
                }
            }
        }
        if isAnyFree {
            freedSlot()
            SharedWord(record, at: KeyRecord.liveEstimate).storeRelaxed(0)
        }
    }
}
