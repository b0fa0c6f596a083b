/// Values that belong together, as readers of a segment find them: an immutable block that one swap
/// of a word published.
///
/// ```
/// word    publication:32 | offset of the block / 16:32; 0 while nothing was published
///
/// block   0 number       8 load      16 link of the free list     24 the block before (offset / 16)
///        32 three values             56 loaded at
/// ```
/// A block is written before it is published and never again while the word, or the published
/// block's `previous`, leads to it. Whoever replaces it gives the one that nobody leads to back.
///
/// Reading: word, block, word again. The word's upper half counts publications, so that an equal
/// word means that nothing was published in between (2^32 of them would have to pass during one
/// reading), so this block was in force all the while and was not written: a block that was freed
/// and taken into use again, here or by another definition, is never believed. Replacing: a swap of
/// the word from what was read; the count makes it fail where anybody came first, even if the very
/// same block was freed and published again with other values. A process that dies before its swap
/// or between the swap and giving back leaks one block.
struct PublishedBlock: Sendable, Hashable {
    /// What the word held.
    var word: UInt64 = 0
    /// Which successive set of values this is; the publisher counts.
    var number: UInt64 = 0
    /// Serial number of the load that published it.
    var load: UInt64 = 0
    /// Offset of the block before, 0 for none; what it holds may be read while the word stands.
    var previous = 0
    var values: SIMD4<Int64> = .zero
    var loadedAt: Int64 = 0

    static let bytes = 64

    /// Where the block itself lies.
    var offset: Int { Int(word & 0xffff_ffff) * 16 }
}

/// The word that leads to a published block.
struct PublishedWord: Sendable {
    let segment: Segment
    /// Where the word lies, in bytes from the segment's start.
    let place: Int

    var word: SharedWord { segment.word(place) }

    /// Readings that met a publication each, after which something else is wrong than a race.
    private static let mostReadings = 100_000

    /// The block in force; nil when nothing was published or the word leads out of the segment.
    ///
    /// Lock-free: each further round means that another caller published.
    func load() -> PublishedBlock? {
        for _ in 0..<Self.mostReadings {
            let seen = word.load()
            let block = segment.block(at: Int(seen & 0xffff_ffff) * 16)
            // Behind the acquiring loads of the block.
            guard word.load() == seen else { continue }
            var found = block
            found?.word = seen
            return found
        }
        return nil
    }

    /// Publishes the block that was written at an offset, where `seen` still is in force.
    func replace(_ seen: UInt64, withBlockAt offset: Int) -> Bool {
        word.swap(seen, ((seen >> 32 &+ 1) & 0xffff_ffff) << 32 | UInt64(offset / 16))
    }
}

extension Segment {
    /// What lies at a block's place; nil where none can lie.
    func block(at offset: Int) -> PublishedBlock? {
        guard contains(offset, PublishedBlock.bytes) else { return nil }
        var block = PublishedBlock()
        block.number = word(offset).load()
        block.load = word(offset + 8).load()
        block.previous = Int(word(offset + 24).load() & 0xffff_ffff) * 16
        for index in 0..<3 {
            block.values[index] = Int64(bitPattern: word(offset + 32 + index * 8).load())
        }
        block.loadedAt = Int64(bitPattern: word(offset + 56).load())
        return block
    }

    /// Writes a block that nothing leads to yet.
    func write(_ block: PublishedBlock, at offset: Int) {
        word(offset).store(block.number)
        word(offset + 8).store(block.load)
        word(offset + 24).store(UInt64(block.previous / 16))
        for index in 0..<3 {
            word(offset + 32 + index * 8).store(UInt64(bitPattern: block.values[index]))
        }
        word(offset + 56).store(UInt64(bitPattern: block.loadedAt))
    }

    func allocateBlock() throws(StoreError) -> Int {
        let offset = try allocate(kind: .parameters, bytes: PublishedBlock.bytes)
        guard contains(offset, PublishedBlock.bytes) else {
            throw corrupted("the free list of parameters leads to \(offset)")
        }
        return offset
    }

    /// Gives a block back that nothing leads to any more; 0 is none.
    func freeBlock(_ offset: Int) {
        guard contains(offset, PublishedBlock.bytes) else { return }
        free(offset, kind: .parameters, bytes: PublishedBlock.bytes)
    }
}
