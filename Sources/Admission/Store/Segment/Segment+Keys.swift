/// One key's record, as a gate keeps it: where it lies and which incarnation was meant.
package struct KeyReference: Sendable, Hashable {
    /// Bytes from the segment's start.
    package var offset: Int
    /// The record's tag; another one there means that the key was reclaimed.
    package var tag: UInt64
}

/// What a new key's words start from.
package enum KeySeed: Sendable {
    /// The word of a full bucket, and its stamp.
    case bucket(UInt64, stamp: Int64)
    case rolling(RollingWindow, epoch: UInt64)
    /// A word of the current window, nothing used.
    case calendar(UInt64)
    /// Slots of the first block.
    case concurrency(slots: Int)

    var kind: LimitKindCode {
        switch self {
        case .bucket: .bucket
        case .rolling: .rolling
        case .calendar: .calendar
        case .concurrency: .concurrency
        }
    }

    var ringCount: Int {
        if case .rolling(let window, _) = self { return window.ringCount }
        return 0
    }
}

/// The key table: chains of records behind an index of heads, after Harris (2001) and Michael
/// (2002), "High performance dynamic lock-free hash tables and list-based sets".
///
/// A record is written off-table and published by one swap of its chain's head; two callers that
/// publish the same key meet at that head, so a key is never there twice. A record is removed by
/// retiring its decision word (final), marking its link, and unlinking it; whoever meets a record
/// half removed finishes. Links carry the incarnation of the record they lead to, so that a walk
/// that is overtaken by reuse notices and starts again.
///
/// Who dies on the way leaves: a record that no chain leads to (in front of the publishing swap and
/// behind the unlinking one), which is space lost and no more; a count of keys that is one too
/// small or too large, which `recountKeys` mends; a record that is retired and still linked, which
/// whoever looks for its key, or reclaims, finishes.
///
/// Nothing that was read is followed before it was looked at: see `look`.
extension Segment {
    /// Index word of a hash.
    private func head(_ hash: UInt64) -> SharedWord {
        word(Header.bytes + Int(hash & indexMask) * 8)
    }

    /// Bytes of one key's attribute values.
    static var maximumTextBytes: Int { 1 << 20 }

    static func hash(_ definition: Definition, _ text: UnsafeRawBufferPointer) -> UInt64 {
        hash(definitionOffset: definition.offset, text)
    }

    static func hash(definitionOffset: Int, _ text: UnsafeRawBufferPointer) -> UInt64 {
        FNV.hash(text, seed: UInt64(definitionOffset) &* 0x9e37_79b9_7f4a_7c15 ^ 0xcbf2_9ce4)
    }

    /// The key's record where it exists. Lock-free, O(1) expected.
    ///
    /// - Throws: `StoreError.corrupted`.
    package func findKey(
        _ definition: Definition, text: UnsafeRawBufferPointer
    ) throws(StoreError) -> KeyReference? {
        try walk(definition, hash: Self.hash(definition, text), text: text).found
    }

    /// The key's record, made where it is new. Lock-free, O(1) expected.
    ///
    /// - Parameter seed: the words of a new record, asked for only when one is made.
    /// - Throws: `StoreError.keyTableFull`, `.arenaFull`, `.corrupted`, and what reserving throws.
    package func findOrCreateKey(
        _ definition: Definition, text: UnsafeRawBufferPointer, seed: () -> KeySeed
    ) throws(StoreError) -> KeyReference {
        guard text.count <= Self.maximumTextBytes else {
            throw .arenaFull(neededBytes: text.count, sizeBytes: Self.maximumTextBytes)
        }
        let hash = Self.hash(definition, text)
        var prepared: KeyReference?
        do throws(StoreError) {
            while true {
                let (found, first) = try walk(definition, hash: hash, text: text)
                if let found {
                    if let prepared { discard(prepared) }
                    return found
                }
                let record: KeyReference
                if let prepared {
                    record = prepared
                } else {
                    guard keyCount < keyCapacity else {
                        throw .keyTableFull(keys: keyCount, capacity: keyCapacity)
                    }
                    record = try write(definition, hash: hash, text: text, seed: seed())
                    prepared = record
                }
                word(record.offset + KeyRecord.link).store(KeyLink.held(first, byTag: record.tag))
                try noteTouched(hash)
                if head(hash).swap(first, KeyLink.to(record.offset, tag: record.tag)) {
                    word(Header.keyCount).increment()
                    return record
                }
                retries.increment()
            }
        } catch {
            if let prepared { discard(prepared) }
            throw error
        }
    }

    /// Walks a chain; returns the key where it is there, and the head that the walk began at.
    private func walk(
        _ definition: Definition, hash: UInt64, text: UnsafeRawBufferPointer
    ) throws(StoreError) -> (found: KeyReference?, first: UInt64) {
        // A part of the index that never held a key is not read: that would allocate its page.
        guard isTouched(hash) else { return (nil, 0) }
        var stuck = 0
        for _ in 0..<Self.maximumRestarts {
            switch pass(definition, hash: hash, text: text) {
            case .found(let key, let first): return (key, first)
            case .absent(let first): return (nil, first)
            case .moved: stuck = 0
            case .stuck: stuck += 1
            }
            guard stuck < 16 else { break }
        }
        throw corrupted("chain \(hash & indexMask) of the key table")
    }

    private enum Pass {
        case found(KeyReference, first: UInt64)
        case absent(first: UInt64)
        /// The chain changed under the walk.
        case moved
        /// It leads nowhere, and did not change.
        case stuck
    }

    private func pass(
        _ definition: Definition, hash: UInt64, text: UnsafeRawBufferPointer
    ) -> Pass {
        var previous = head(hash)
        let first = previous.load()
        var link = first
        for _ in 0..<maximumChain {
            switch look(previous, link) {
            case .end: return .absent(first: first)
            case .moved: return .moved
            case .stuck: return .stuck
            case .record(let offset, let tag, let next):
                if KeyLink.isMarked(next) {
                    unlink(previous, link, next, offset, tag: tag)
                    return .moved
                }
                if isKey(offset, tag: tag, definition, hash: hash, text: text) {
                    guard word(offset + KeyRecord.tag).load() == tag else { return .moved }
                    if isRetired(offset, kind: definition.kind) {
                        finishRetirement(offset, tag: tag)
                        return .moved
                    }
                    return .found(KeyReference(offset: offset, tag: tag), first: first)
                }
                previous = word(offset + KeyRecord.link)
                link = next
            }
        }
        return .stuck
    }

    /// What a link leads to.
    enum LinkedRecord {
        case end
        /// A record, which was linked when its link was read; `next` may be marked.
        case record(offset: Int, tag: UInt64, next: UInt64)
        /// The link has changed, or its target was removed: begin anew.
        case moved
        /// The link stands and leads to no record that it was made for: no writer leaves that.
        case stuck
    }

    /// Follows one link, if it leads anywhere.
    ///
    /// - Parameters:
    ///   - previous: the word that held the link.
    ///   - link: what was read there.
    func look(_ previous: SharedWord, _ link: UInt64) -> LinkedRecord {
        let offset = KeyLink.offset(link)
        guard offset != 0 else { return .end }
        guard contains(offset, KeyRecord.smallest) else { return .stuck }
        let next = word(offset + KeyRecord.link).load()
        // Behind the link: a record that was freed since has another tag before another link.
        let tag = word(offset + KeyRecord.tag).load()
        let isMade = KeyLink.matches(link, tag: tag)
        guard previous.load() == link else { return .moved }
        return isMade ? .record(offset: offset, tag: tag, next: next) : .stuck
    }

    private func isKey(
        _ offset: Int, tag: UInt64, _ definition: Definition, hash: UInt64,
        text: UnsafeRawBufferPointer
    ) -> Bool {
        let hashAndLength = word(offset + KeyRecord.hashAndLength).load()
        guard hashAndLength == (hash & 0xffff_ffff_0000_0000) | UInt64(text.count),
            tag & 0xffff_ffff == UInt64(definition.offset / 16),
            let bytes = textBytes(of: offset, definition: definition)
        else { return false }
        return bytes.elementsEqual(text)
    }

    /// Writes a record off-table.
    private func write(
        _ definition: Definition, hash: UInt64, text: UnsafeRawBufferPointer, seed: KeySeed
    ) throws(StoreError) -> KeyReference {
        let textStart = KeyRecord.textStart(kind: seed.kind, ringCount: seed.ringCount)
        let offset = try allocate(kind: seed.kind, bytes: textStart + text.count)
        // The place's next incarnation: fresh space holds 0.
        let incarnation = (word(offset + KeyRecord.tag).load() >> 32 &+ 1) & 0xffff_ffff
        let tag = incarnation << 32 | UInt64(definition.offset / 16)
        // The tag first: who reads one of the words below must find the new tag.
        word(offset + KeyRecord.tag).store(tag)
        word(offset + KeyRecord.hashAndLength)
            .store((hash & 0xffff_ffff_0000_0000) | UInt64(text.count))
        switch seed {
        case .bucket(let state, let stamp):
            word(offset + KeyRecord.stamp).store(UInt64(bitPattern: stamp))
            word(offset + KeyRecord.state).store(state)
        case .calendar(let state):
            word(offset + KeyRecord.state).store(state)
        case .rolling(let window, let epoch):
            for distance in 0..<UInt64(window.ringCount) {
                let epoch = epoch &- distance
                let cell = RollingWindow.cell(epoch: epoch, count: 0, isSealed: distance > 0)
                word(offset + KeyRecord.ring + window.slot(ofEpoch: epoch) * 8).store(cell)
            }
            word(offset + KeyRecord.stamp).store(epoch)
            word(offset + KeyRecord.state).store(RollingWindow.base(epoch: epoch, sum: 0))
        case .concurrency(let slots):
            word(offset + KeyRecord.fullHint).store(0)
            word(offset + KeyRecord.liveEstimate).store(0)
            let block: Int
            do throws(StoreError) {
                block = try LeaseArray.makeBlock(self, slots: slots)
            } catch {
                word(offset + KeyRecord.tag).store(incarnation << 32)
                free(offset, kind: seed.kind, bytes: textStart + text.count)
                throw error
            }
            word(offset + KeyRecord.firstBlock).store(UInt64(block / 16))
            word(offset + KeyRecord.state).store(LeaseArray.open)
        }
        if let bytes = text.baseAddress {
            (base + offset + textStart).copyMemory(from: bytes, byteCount: text.count)
        }
        return KeyReference(offset: offset, tag: tag)
    }

    /// The bytes of a key's attribute values; nil where the record is not one.
    package func textBytes(of offset: Int, definition: Definition) -> UnsafeRawBufferPointer? {
        let length = Int(word(offset + KeyRecord.hashAndLength).load() & 0xffff_ffff)
        let start = KeyRecord.textStart(kind: definition.kind, ringCount: definition.ringCount)
        guard length <= Self.maximumTextBytes else { return nil }
        guard contains(offset, start + length) else { return nil }
        return UnsafeRawBufferPointer(start: base + offset + start, count: length)
    }
}

/// Which parts of the index ever held a key: walks leave the others untouched, since reading an
/// untouched page of a shared mapping would allocate it.
extension Segment {
    static var touchedBits: Int { 32_768 }

    /// Index words behind one such bit: a page of them, more in the largest indexes.
    var bucketsPerGranule: Int { max(512, (Int(indexMask) + 1) / Self.touchedBits) }

    private func touched(_ granule: Int) -> (word: SharedWord, bit: UInt64) {
        (word(Header.touched + granule / 64 * 8), 1 << UInt64(granule % 64))
    }

    /// Whether the chains of a part may be read.
    func isTouched(granule: Int) -> Bool {
        let (bits, bit) = touched(granule)
        return bits.load() & bit != 0
    }

    private func isTouched(_ hash: UInt64) -> Bool {
        isTouched(granule: Int(hash & indexMask) / bucketsPerGranule)
    }

    /// Sets the bit of a chain that is about to hold a key, and has its space promised; before the
    /// key is there.
    private func noteTouched(_ hash: UInt64) throws(StoreError) {
        let bucket = Int(hash & indexMask)
        let (bits, bit) = touched(bucket / bucketsPerGranule)
        while true {
            let seen = bits.load()
            if seen & bit != 0 { return }
            try reserveIndex(bucket: bucket)
            if bits.swap(seen, seen | bit) { return }
        }
    }

    /// The chain that a record belongs to, from its definition and text.
    func chain(of offset: Int, tag: UInt64) -> SharedWord? {
        guard let definition = definition(at: Int(tag & 0xffff_ffff) * 16),
            let bytes = textBytes(of: offset, definition: definition)
        else { return nil }
        return head(Self.hash(definition, bytes))
    }
}
