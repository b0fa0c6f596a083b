/// Definitions as offsets lead to them: from tags, from the list, and from keys.
extension Segment {
    /// The definition at an offset that a tag named; nil where there is none.
    ///
    /// Its identity is compared with its hash, so that what lies there is a definition or a fault
    /// that was made by design.
    package func definition(at offset: Int) -> Definition? {
        guard identity(ofDefinitionAt: offset) != nil else { return nil }
        let code = word(offset + Definition.kindAndLength).load() >> 32
        guard let kind = LimitKindCode(rawValue: UInt8(truncatingIfNeeded: code)),
            kind != .slots, kind != .parameters
        else { return nil }
        return Definition(segment: self, offset: offset, kind: kind)
    }

    /// The identity's bytes; nil where there is no definition.
    package func identity(ofDefinitionAt offset: Int) -> UnsafeRawBufferPointer? {
        guard contains(offset, Definition.identity) else { return nil }
        let length = Int(word(offset + Definition.kindAndLength).load() & 0xffff_ffff)
        guard contains(offset, Definition.identity + length) else { return nil }
        let bytes = UnsafeRawBufferPointer(
            start: base + offset + Definition.identity, count: length)
        guard FNV.hash(bytes) == word(offset + Definition.identityHash).load() else { return nil }
        return bytes
    }

    /// Offsets of the definitions, newest first; as far as their list leads where it is not sound.
    func definitionOffsets() -> (offsets: [Int], isSound: Bool) {
        var offsets: [Int] = []
        var seen: Set<Int> = []
        var link = word(Header.definitions).load()
        while link != 0 {
            let offset = Int(link & 0xffff_ffff) * 16
            guard link >> 32 == 0, contains(offset, Definition.identity),
                seen.insert(offset).inserted, offsets.count < mostDefinitions
            else { return (offsets, false) }
            offsets.append(offset)
            link = word(offset + Definition.next).load()
        }
        return (offsets, true)
    }
}

/// Definitions by the hash of their identity, as far as their list was read. The list grows at its
/// head alone, so what was read once is not read again.
struct DefinitionIndex {
    private(set) var offsets: [UInt64: [Int]] = [:]
    private var seen: Set<Int> = []
    /// The link to the newest that was read; 0: none was.
    private var head: UInt64 = 0

    /// Reads what is newer than what was read before.
    ///
    /// - Parameter first: the link that the list's head holds.
    /// - Throws: `StoreError.corrupted` where a link leads out of the segment or back.
    mutating func read(_ segment: Segment, from first: UInt64) throws(StoreError) {
        var link = first
        while link != head {
            let offset = Int(link & 0xffff_ffff) * 16
            guard link >> 32 == 0, segment.contains(offset, Definition.identity),
                seen.insert(offset).inserted
            else { throw segment.corrupted("the list of definitions leads to \(link)") }
            let hash = segment.word(offset + Definition.identityHash).load()
            offsets[hash, default: []].append(offset)
            link = segment.word(offset + Definition.next).load()
        }
        head = first
    }
}

/// Slot blocks of a concurrency key, as anyone may read them who does not trust them.
extension Segment {
    /// Whether every block of a concurrency key lies in the segment and the list of them ends.
    func hasSoundBlocks(_ record: Int) -> Bool { blocks(of: record).isSound }

    /// The blocks as far as their list leads.
    func blocks(of record: Int) -> (blocks: [LeaseBlock], isSound: Bool) {
        let link = word(record + KeyRecord.firstBlock).load()
        let offset = Int(link & 0xffff_ffff) * 16
        guard link >> 32 == 0, contains(offset, KeyRecord.body),
            let first = leaseBlock(at: offset)
        else { return ([], false) }
        var blocks: [LeaseBlock] = []
        let isSound = LeaseBlock.forEach(from: first, base: base, size: size) { blocks.append($0) }
        return (blocks, isSound)
    }
}

extension Definition.Parameters {
    /// The window of a rolling limit.
    var rolling: RollingWindow {
        RollingWindow(
            limit: values[0], windowNanoseconds: values[1], guardNanoseconds: values[2])
    }
}
