/// Space in the arena, and what is believed of an offset that was read from the segment: nothing,
/// until `contains` has looked at it.
extension Segment {
    /// End of what is handed out. A record's fixed fields and the largest ring fit in behind it, so
    /// that a record that is shorter than its definition says is read wrongly, never beyond the
    /// mapping.
    var arenaEnd: Int { size - Self.arenaMargin }
    private static let arenaMargin = 1_024

    /// Whether a record of so many bytes may lie at an offset that was read from the segment.
    @inline(__always)
    func contains(_ offset: Int, _ bytes: Int) -> Bool {
        offset >= arenaStart && offset & 15 == 0 && bytes >= 0 && bytes <= arenaEnd
            && offset <= arenaEnd - bytes
    }

    /// The error for a word that no writer leaves.
    func corrupted(_ what: String) -> StoreError { .corrupted(path: path ?? "memory:", what: what) }

    /// Links that a walk over one chain, or over all of them, follows at most: more keys than fit
    /// mean that a chain leads back into itself. Twice the capacity, since a walk may meet records
    /// that are just being removed.
    var maximumChain: Int { 2 * keyCapacity + 1_024 }

    /// Walks of one caller over a chain that changed under it every time. Far more than contention
    /// explains: words that nobody changes keep a walk from ending.
    static var maximumRestarts: Int { 1 << 16 }

    /// Bytes of the arena in use or on free lists.
    package var allocatedBytes: Int {
        let end = word(Header.allocated).load()
        return min(max(0, Int(clamping: end) - arenaStart), size - arenaStart)
    }
}

/// Handing out and taking back.
extension Segment {
    /// Bytes that a record of this size really takes: its size class.
    static func roundedSize(_ bytes: Int) -> Int {
        guard bytes > 2_032 else { return (bytes + 15) & ~15 }
        var rounded = 4_096
        while rounded < bytes { rounded *= 2 }
        return rounded
    }

    /// The size class of a number of bytes.
    static func sizeClass(_ bytes: Int) -> Int {
        let rounded = roundedSize(bytes)
        guard rounded > 2_032 else { return rounded / 16 }
        return min(128 + (rounded.trailingZeroBitCount - 12), sizeClasses - 1)
    }

    /// Bytes of every record of a size class.
    static func bytes(ofSizeClass sizeClass: Int) -> Int {
        sizeClass < 128 ? sizeClass * 16 : 4_096 << (sizeClass - 128)
    }

    /// Head of a free list: `tag:32 | offset:32`. The tag changes with every push and pop, so that a
    /// head that went away and came back is not taken for unchanged.
    func freeList(kind: LimitKindCode, sizeClass: Int) -> SharedWord {
        word(Header.freeLists + (Int(kind.rawValue) * Self.sizeClasses + sizeClass) * 8)
    }

    /// Takes zeroed or used space for a record; the caller writes every word of it but the tag, whose
    /// incarnation goes on.
    ///
    /// Lock-free. Space of one kind is never used for another, so that a stale reader of a word
    /// meets only words of its own kind there. Who dies behind the swap loses the space, no more.
    ///
    /// - Throws: `StoreError.arenaFull`, `.diskFull`, `.unavailable`, `.corrupted`.
    func allocate(kind: LimitKindCode, bytes: Int) throws(StoreError) -> Int {
        guard bytes <= arenaEnd - arenaStart else {
            throw .arenaFull(neededBytes: bytes, sizeBytes: size)
        }
        let rounded = Self.roundedSize(bytes)
        let list = freeList(kind: kind, sizeClass: Self.sizeClass(bytes))
        while true {
            let head = list.load()
            let offset = Int(head & 0xffff_ffff) * 16
            guard offset != 0 else { break }
            guard contains(offset, rounded) else {
                throw corrupted("a free list of kind \(kind) leads to byte \(offset)")
            }
            let next = word(offset + KeyRecord.link).load() & 0xffff_ffff
            if list.swap(head, (head >> 32 &+ 1) << 32 | next) { return offset }
        }
        return try bump(rounded)
    }

    /// Takes untouched space from the end of the arena.
    ///
    /// - Throws: as `allocate`.
    func bump(_ bytes: Int) throws(StoreError) -> Int {
        let allocated = word(Header.allocated)
        while true {
            let start = Int(clamping: allocated.load())
            guard start >= arenaStart, start <= arenaEnd, start & 15 == 0 else {
                throw corrupted("\(start) bytes handed out of \(size)")
            }
            guard bytes <= arenaEnd - start else {
                throw .arenaFull(neededBytes: bytes, sizeBytes: size)
            }
            try reserve(through: start + bytes)
            if allocated.swap(UInt64(start), UInt64(start + bytes)) { return start }
        }
    }

    /// Gives a record's space back to its free list. The caller has checked where it lies.
    ///
    /// Who dies in front of the swap loses the space, no more.
    func free(_ offset: Int, kind: LimitKindCode, bytes: Int) {
        let list = freeList(kind: kind, sizeClass: Self.sizeClass(bytes))
        while true {
            let head = list.load()
            word(offset + KeyRecord.link).store(head & 0xffff_ffff)
            if list.swap(head, (head >> 32 &+ 1) << 32 | UInt64(offset / 16)) { return }
        }
    }
}
