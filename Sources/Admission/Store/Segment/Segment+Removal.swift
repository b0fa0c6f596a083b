/// Taking keys out of the table, and walking all of it.
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
        sweepChain(of: offset, tag: tag)
    }

    /// Walks the chain that a record is in, unlinking what is marked, until it is gone. A chain that
    /// leads nowhere is left as it is.
    private func sweepChain(of target: Int, tag: UInt64) {
        guard let start = chain(of: target, tag: tag) else { return }
        restart: for _ in 0..<Self.maximumRestarts {
            guard word(target + KeyRecord.tag).load() == tag else { return }
            var previous = start
            var link = start.load()
            for _ in 0..<maximumChain {
                switch look(previous, link) {
                case .end, .stuck: return
                case .moved: continue restart
                case .record(let offset, let seen, let next):
                    if KeyLink.isMarked(next) {
                        unlink(previous, link, next, offset, tag: seen)
                        continue restart
                    }
                    previous = word(offset + KeyRecord.link)
                    link = next
                }
            }
            return
        }
    }

    /// Takes a marked record out of its chain and, when this caller did it, frees it.
    func unlink(
        _ previous: SharedWord, _ link: UInt64, _ next: UInt64, _ offset: Int, tag: UInt64
    ) {
        guard previous.swap(link, KeyLink.passing(next, over: link)) else {
            retries.increment()
            return
        }
        word(Header.keyCount).decrement()
        discard(KeyReference(offset: offset, tag: tag))
    }

    /// Frees a record that no chain leads to. One that is no record is left alone: its space is
    /// lost.
    func discard(_ key: KeyReference) {
        let definition = definition(at: Int(key.tag & 0xffff_ffff) * 16)
        let text = definition.flatMap { textBytes(of: key.offset, definition: $0) }
        // Before anything is free: who still holds the key finds another tag.
        let incarnation = (key.tag >> 32 &+ 1) & 0xffff_ffff
        word(key.offset + KeyRecord.tag).store(incarnation << 32)
        guard let definition, let text else { return }
        if definition.kind == .concurrency {
            guard hasSoundBlocks(key.offset) else { return }
            LeaseArray.freeBlocks(self, of: key.offset)
        }
        let start = KeyRecord.textStart(kind: definition.kind, ringCount: definition.ringCount)
        free(key.offset, kind: definition.kind, bytes: start + text.count)
    }

    /// Whether two tags are of one life of a record: they differ where a reset has told the plans
    /// made before it from those made since, see `renewTag`.
    static func isSameLife(_ tag: UInt64, _ other: UInt64) -> Bool {
        (tag ^ other) & 0xffff_ffff_ffff == 0
    }

    /// Tells every plan and permit that holds a key that it is not the one they mean any more: plans
    /// are made anew, what was charged is not given back. The key stays, and so do the links to it,
    /// which carry the lower half of its incarnation.
    ///
    /// - Returns: the key's new tag; nil when it was removed.
    func renewTag(_ key: KeyReference) -> KeyReference? {
        let word = word(key.offset + KeyRecord.tag)
        while true {
            let seen = word.load()
            guard Self.isSameLife(seen, key.tag) else { return nil }
            let renewed = seen &+ 1 << 48
            if word.swap(seen, renewed) { return KeyReference(offset: key.offset, tag: renewed) }
        }
    }
}

/// Walking all of the table.
extension Segment {
    /// Calls `body` for every key that lives. The callback may retire keys.
    ///
    /// - Returns: false when a chain leads nowhere; its keys behind that place were not met.
    @discardableResult
    package func forEachKey(_ body: (KeyReference, Definition) -> Void) -> Bool {
        var known: [Int: Definition] = [:]
        return forEachChain { keys in
            for (key, isMarked) in keys where !isMarked {
                let offset = Int(key.tag & 0xffff_ffff) * 16
                guard let definition = known[offset] ?? definition(at: offset),
                    textBytes(of: key.offset, definition: definition) != nil
                else { continue }
                known[offset] = definition
                body(key, definition)
            }
        }
    }

    /// Calls `body` with the records of every chain that has any.
    ///
    /// - Returns: false when a chain leads nowhere, or all of them hold more than can be.
    func forEachChain(_ body: ([(key: KeyReference, isMarked: Bool)]) -> Void) -> Bool {
        let buckets = Int(indexMask) + 1
        var isWhole = true
        var budget = maximumChain
        for granule in 0..<(buckets + bucketsPerGranule - 1) / bucketsPerGranule
        where isTouched(granule: granule) {
            let first = granule * bucketsPerGranule
            for bucket in first..<min(buckets, first + bucketsPerGranule) {
                let (keys, isSound) = chain(bucket: bucket, atMost: budget)
                budget -= keys.count
                isWhole = isWhole && isSound
                if !keys.isEmpty { body(keys) }
            }
        }
        return isWhole
    }

    /// The records of one chain; as far as it leads where it is not sound.
    func chain(
        bucket: Int, atMost most: Int
    ) -> (keys: [(key: KeyReference, isMarked: Bool)], isSound: Bool) {
        var keys: [(key: KeyReference, isMarked: Bool)] = []
        restart: for _ in 0..<Self.maximumRestarts {
            keys.removeAll(keepingCapacity: true)
            var previous = word(Header.bytes + bucket * 8)
            var link = previous.load()
            while keys.count <= most {
                switch look(previous, link) {
                case .end: return (keys, true)
                // Behind a record that is being removed others may be, and be gone.
                case .stuck where KeyLink.isMarked(link): continue restart
                case .stuck: return (keys, false)
                case .moved: continue restart
                case .record(let offset, let tag, let next):
                    keys.append((KeyReference(offset: offset, tag: tag), KeyLink.isMarked(next)))
                    previous = word(offset + KeyRecord.link)
                    // With its mark: it is what stands there.
                    link = next
                }
            }
            return (keys, false)
        }
        return (keys, false)
    }

    /// Mends the count of keys where a process died between a swap and its counting.
    ///
    /// Counts twice, and only believes it when both agree and nobody counted meanwhile.
    func recountKeys() {
        let count = word(Header.keyCount)
        let before = count.load()
        guard let first = linkedKeys(), UInt64(first) != before, linkedKeys() == first else {
            return
        }
        _ = count.swap(before, UInt64(first))
    }

    /// Records that chains lead to; nil when one leads nowhere.
    private func linkedKeys() -> Int? {
        var count = 0
        return forEachChain { count += $0.count } ? count : nil
    }
}
