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
extension Segment {
    /// Index word of a hash.
    private func head(_ hash: UInt64) -> SharedWord {
        word(Header.bytes + Int(hash & indexMask) * 8)
    }

    static func hash(_ definition: Definition, _ text: UnsafeRawBufferPointer) -> UInt64 {
        FNV.hash(text, seed: UInt64(definition.offset) &* 0x9e37_79b9_7f4a_7c15 ^ 0xcbf2_9ce4)
    }

    /// The key's record where it exists. Lock-free, O(1) expected.
    package func findKey(
        _ definition: Definition, text: UnsafeRawBufferPointer
    ) -> KeyReference? {
        walk(definition, hash: Self.hash(definition, text), text: text).found
    }

    /// The key's record, made where it is new. Lock-free, O(1) expected.
    ///
    /// - Parameter seed: the words of a new record, asked for only when one is made.
    /// - Throws: `StoreError.keyTableFull`, `.arenaFull`.
    package func findOrCreateKey(
        _ definition: Definition, text: UnsafeRawBufferPointer, seed: () -> KeySeed
    ) throws(StoreError) -> KeyReference {
        let hash = Self.hash(definition, text)
        var prepared: KeyReference?
        while true {
            let (found, first) = walk(definition, hash: hash, text: text)
            if let found {
                if let prepared { discard(prepared) }
                return found
            }
            if prepared == nil {
                guard keyCount < keyCapacity else {
                    throw .keyTableFull(keys: keyCount, capacity: keyCapacity)
                }
                prepared = try write(definition, hash: hash, text: text, seed: seed())
            }
            guard let record = prepared else { continue }
            word(record.offset + KeyRecord.link).store(KeyLink.held(first, byTag: record.tag))
            noteTouched(hash)
            if head(hash).swap(first, KeyLink.to(record.offset, tag: record.tag)) {
                word(Header.keyCount).increment()
                return record
            }
            retries.increment()
        }
    }

    /// Walks a chain; returns the key where it is there, and the head that the walk began at.
    private func walk(
        _ definition: Definition, hash: UInt64, text: UnsafeRawBufferPointer
    ) -> (found: KeyReference?, first: UInt64) {
        restart: while true {
            let first = head(hash).load()
            var previous = head(hash)
            var link = first
            while true {
                let offset = KeyLink.offset(link)
                guard offset != 0 else { return (nil, first) }
                let next = word(offset + KeyRecord.link).load()
                let tag = word(offset + KeyRecord.tag).load()
                guard KeyLink.matches(link, tag: tag), previous.load() == link else {
                    continue restart
                }
                if KeyLink.isMarked(next) {
                    unlink(previous, link, next, offset)
                    continue restart
                }
                if isKey(offset, tag: tag, definition, hash: hash, text: text) {
                    guard word(offset + KeyRecord.tag).load() == tag else { continue restart }
                    if isRetired(offset, kind: definition.kind) {
                        finishRetirement(offset, tag: tag)
                        continue restart
                    }
                    return (KeyReference(offset: offset, tag: tag), first)
                }
                previous = word(offset + KeyRecord.link)
                link = next
            }
        }
    }

    private func isKey(
        _ offset: Int, tag: UInt64, _ definition: Definition, hash: UInt64,
        text: UnsafeRawBufferPointer
    ) -> Bool {
        let hashAndLength = word(offset + KeyRecord.hashAndLength).load()
        guard hashAndLength == (hash & 0xffff_ffff_0000_0000) | UInt64(text.count),
            tag & 0xffff_ffff == UInt64(definition.offset / 16)
        else { return false }
        return textBytes(of: offset, definition: definition).elementsEqual(text)
    }

    /// Writes a record off-table.
    private func write(
        _ definition: Definition, hash: UInt64, text: UnsafeRawBufferPointer, seed: KeySeed
    ) throws(StoreError) -> KeyReference {
        let textStart = KeyRecord.textStart(kind: seed.kind, ringCount: seed.ringCount)
        let offset = try allocate(kind: seed.kind, bytes: textStart + text.count)
        // The place's next incarnation: fresh space holds 0.
        let incarnation = word(offset + KeyRecord.tag).load() >> 32 &+ 1
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
                let epoch = epoch - distance
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

    /// The bytes of a key's attribute values.
    package func textBytes(of offset: Int, definition: Definition) -> UnsafeRawBufferPointer {
        let length = Int(word(offset + KeyRecord.hashAndLength).load() & 0xffff_ffff)
        let start =
            offset
            + KeyRecord.textStart(
                kind: definition.kind, ringCount: definition.ringCount)
        return UnsafeRawBufferPointer(start: base + start, count: min(length, size - start))
    }
}

/// Removal.
extension Segment {
    /// Whether the record's decision word is final.
    func isRetired(_ offset: Int, kind: LimitKindCode) -> Bool {
        let state = word(offset + KeyRecord.state).load()
        switch kind {
        case .bucket: return state == TokenBucket.retired
        case .calendar: return state == CalendarWindow.retired
        case .concurrency: return LeaseArray.isRetired(state)
        case .rolling: return state == RollingCells.retiredBase
        case .slots, .parameters: return false
        }
    }

    /// Marks and unlinks a record whose decision word is retired. Anyone may; done once.
    func finishRetirement(_ offset: Int, tag: UInt64) {
        let link = word(offset + KeyRecord.link)
        while true {
            let next = link.load()
            guard word(offset + KeyRecord.tag).load() == tag else { return }
            if KeyLink.isMarked(next) || link.swap(next, KeyLink.marking(next)) { break }
        }
        let hash = word(offset + KeyRecord.hashAndLength).load()
        sweepChain(of: offset, tag: tag, hash: hash)
    }

    /// Walks the chain that a record is in, unlinking what is marked, until it is gone.
    private func sweepChain(of target: Int, tag: UInt64, hash: UInt64) {
        guard let start = chain(of: target, tag: tag) else { return }
        restart: while word(target + KeyRecord.tag).load() == tag {
            var previous = start
            var link = start.load()
            while true {
                let offset = KeyLink.offset(link)
                guard offset != 0 else { return }
                let next = word(offset + KeyRecord.link).load()
                let seen = word(offset + KeyRecord.tag).load()
                guard KeyLink.matches(link, tag: seen), previous.load() == link else {
                    continue restart
                }
                if KeyLink.isMarked(next) {
                    unlink(previous, link, next, offset)
                    continue restart
                }
                previous = word(offset + KeyRecord.link)
                link = next
            }
        }
    }

    /// The head of the chain that a record belongs to, from its definition and text.
    private func chain(of offset: Int, tag: UInt64) -> SharedWord? {
        guard let definition = definition(at: Int(tag & 0xffff_ffff) * 16) else { return nil }
        let bytes = textBytes(of: offset, definition: definition)
        return head(Self.hash(definition, bytes))
    }

    /// The definition at an offset that a tag named.
    package func definition(at offset: Int) -> Definition? {
        guard offset > 0,
            let kind = LimitKindCode(
                rawValue: UInt8(truncatingIfNeeded: word(offset + 8).load() >> 32))
        else { return nil }
        return Definition(segment: self, offset: offset, kind: kind)
    }

    /// Takes a marked record out of its chain and, when this caller did it, frees it.
    private func unlink(_ previous: SharedWord, _ link: UInt64, _ next: UInt64, _ offset: Int) {
        let tag = word(offset + KeyRecord.tag).load()
        guard previous.swap(link, KeyLink.passing(next, over: link)) else {
            retries.increment()
            return
        }
        word(Header.keyCount).decrement()
        discard(KeyReference(offset: offset, tag: tag))
    }

    /// Frees a record that no chain leads to.
    private func discard(_ key: KeyReference) {
        guard let definition = definition(at: Int(key.tag & 0xffff_ffff) * 16) else { return }
        let textLength = textBytes(of: key.offset, definition: definition).count
        let text = textBytes(of: key.offset, definition: definition)
        let start = text.baseAddress.map { $0 - UnsafeRawPointer(base) } ?? key.offset
        if definition.kind == .concurrency { LeaseArray.freeBlocks(self, of: key.offset) }
        // Before the space is free: who still holds the key finds another tag.
        word(key.offset + KeyRecord.tag).store((key.tag >> 32 &+ 1) << 32)
        free(key.offset, kind: definition.kind, bytes: start - key.offset + textLength)
    }

    /// Calls `body` for every key that lives. The callback may retire keys.
    package func forEachKey(_ body: (KeyReference, Definition) -> Void) {
        let buckets = Int(indexMask) + 1
        for granule in 0..<Self.touchedBits {
            let bits = word(Header.touched + granule / 64 * 8).load()
            guard bits >> UInt64(granule % 64) & 1 != 0 else { continue }
            let first = granule * bucketsPerGranule
            for bucket in first..<min(buckets, first + bucketsPerGranule) {
                for key in keys(inBucket: bucket) {
                    guard let definition = definition(at: Int(key.tag & 0xffff_ffff) * 16) else {
                        continue
                    }
                    body(key, definition)
                }
            }
        }
    }

    /// Bits that tell which parts of the index ever held a key: walks leave the others untouched,
    /// since reading an untouched page of a shared mapping would allocate it.
    private static var touchedBits: Int { 32_768 }

    /// Index words behind one such bit: a page of them, more in the largest indexes.
    private var bucketsPerGranule: Int { max(512, (Int(indexMask) + 1) / Self.touchedBits) }

    /// Sets the bit of a chain that is about to hold a key; before the key is there.
    private func noteTouched(_ hash: UInt64) {
        let granule = Int(hash & indexMask) / bucketsPerGranule
        let bits = word(Header.touched + granule / 64 * 8)
        let bit: UInt64 = 1 << UInt64(granule % 64)
        while true {
            let seen = bits.load()
            if seen & bit != 0 || bits.swap(seen, seen | bit) { return }
        }
    }

    private func keys(inBucket bucket: Int) -> [KeyReference] {
        restart: while true {
            var keys: [KeyReference] = []
            var link = word(Header.bytes + bucket * 8).load()
            while KeyLink.offset(link) != 0 {
                let offset = KeyLink.offset(link)
                let next = word(offset + KeyRecord.link).load()
                let tag = word(offset + KeyRecord.tag).load()
                guard KeyLink.matches(link, tag: tag) else { continue restart }
                if !KeyLink.isMarked(next) { keys.append(KeyReference(offset: offset, tag: tag)) }
                link = KeyLink.unmarking(next)
            }
            return keys
        }
    }
}
