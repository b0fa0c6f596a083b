import Synchronization

/// A limit's definition as a segment keeps it: identity, and the parameters in force.
///
/// ```
///  0  next definition (offset / 16)         32  swept: number whose words every key is kept in
///  8  cells:8 | kind:8 | identity length:32 40  spare
/// 16  in force: see `PublishedBlock`        64  identity bytes, then two blocks
/// 24  FNV-1a of the identity
/// ```
/// The identity is policy, limit, kind, shape and attribute names; a key adds the values. The list
/// of definitions only grows: their number is bounded by the limits ever loaded.
///
/// Two blocks belong to a definition at any time: the parameters in force and those before them,
/// by which words are converted that a load has not met yet. A load brings a third and takes the
/// one away that it sets free. The lowest bit of their `number` is the parity of a bucket's words
/// under them, so a word says under which of the two it was made, provided that none of older ones
/// is left: new parameters are published only when `swept` says that the words of the ones in
/// force are all there is (`DocumentLoad`).
package final class Definition: Sendable {
    let segment: Segment
    let offset: Int
    package let kind: LimitKindCode
    /// Cells in the ring of a rolling limit's keys, fixed by the identity; 0 for other kinds.
    let ringCount: Int

    static let next = 0
    static let kindAndLength = 8
    static let inForce = 16
    static let identityHash = 24
    static let swept = 32
    static let identity = 64

    /// The definition at an offset where one was found.
    init(segment: Segment, offset: Int, kind: LimitKindCode) {
        self.segment = segment
        self.offset = offset
        self.kind = kind
        let cells = Int(segment.word(offset + Self.kindAndLength).load() >> 40 & 0xff)
        // Others may have written it: no more than the two that there are.
        ringCount = kind == .rolling ? (cells == 97 ? 97 : 61) : 0
    }

    /// Parameters as they are loaded.
    package struct Parameters: Sendable, Hashable {
        /// Bucket: units, period ns, burst. Rolling: limit, window ns, guard ns. Calendar: limit,
        /// unit, guard ns. Concurrency: limit, lease ns, max hold ns.
        package var values: SIMD4<Int64>
        /// Steady nanoseconds at which they were loaded.
        package var loadedAt: Int64

        package init(_ kind: LimitKind, loadedAt: Int64) {
            self.loadedAt = loadedAt
            switch kind {
            case .tokenBucket(let units, let period, let burst): values = [units, period, burst, 0]
            case .rollingWindow(let limit, let window, let guarding):
                values = [limit, window, guarding, 0]
            case .calendarWindow(let limit, let unit, _, let guarding):
                values = [limit, Int64(unit.rawValue), guarding, 0]
            case .concurrency(let limit, let lease, let hold): values = [limit, lease, hold, 0]
            }
        }

        init(_ block: PublishedBlock) {
            values = block.values
            loadedAt = block.loadedAt
        }

        package var bucket: TokenBucket {
            TokenBucket(units: values[0], periodNanoseconds: values[1], burst: values[2])
        }

        /// The kind with these numbers; nil where a document could not say them, so that no
        /// algorithm sees what another program wrote. A calendar's zone is not among them.
        func limitKind(_ code: LimitKindCode, zone: String = "UTC") -> LimitKind? {
            let kind: LimitKind
            switch code {
            case .bucket:
                kind = .tokenBucket(
                    units: values[0], periodNanoseconds: values[1], burst: values[2])
            case .rolling:
                kind = .rollingWindow(
                    limit: values[0], windowNanoseconds: values[1], guardNanoseconds: values[2])
            case .calendar:
                guard let unit = UInt8(exactly: values[1]).flatMap({ CalendarUnit(rawValue: $0) })
                else { return nil }
                kind = .calendarWindow(
                    limit: values[0], unit: unit, zone: zone, guardNanoseconds: values[2])
            case .concurrency:
                kind = .concurrency(
                    limit: values[0], leaseNanoseconds: values[1], maxHoldNanoseconds: values[2])
            case .slots, .parameters: return nil
            }
            return kind.isWithinBounds && (0..<1 << 62).contains(loadedAt) ? kind : nil
        }
    }

    var published: PublishedWord { PublishedWord(segment: segment, place: offset + Self.inForce) }

    /// The parameters in force with everything beside them; nil when they are damaged.
    func blockInForce() -> PublishedBlock? {
        guard let block = published.load(), Parameters(block).limitKind(kind) != nil else {
            return nil
        }
        return block
    }

    /// The parameters before those of a block that is in force; nil when they are damaged or the
    /// block is not in force any more.
    func parameters(before block: PublishedBlock) -> Parameters? {
        guard let before = segment.block(at: block.previous),
            // Behind the reading of it: while the word stands nobody gives it back.
            published.word.load() == block.word
        else { return nil }
        let parameters = Parameters(before)
        return parameters.limitKind(kind) == nil ? nil : parameters
    }

    /// The parameters in force and their number; nil when they are damaged. Lock-free.
    package func parameters() -> (number: UInt64, current: Parameters)? {
        blockInForce().map { ($0.number, Parameters($0)) }
    }

    /// Number of the parameters in force; its lowest bit is the parity of bucket words under them.
    package var parameterNumber: UInt64 { published.load()?.number ?? 0 }

    /// Number of the parameters under which every word is known to be kept; only grows.
    var sweptNumber: SharedWord { segment.word(offset + Self.swept) }
}

extension Segment {
    /// Definitions that a walk over their list meets at most: none is smaller than this.
    var mostDefinitions: Int { (size - arenaStart) / Definition.identity }

    /// The definition with an identity, made with these parameters where it is new.
    ///
    /// A new one is written off the list and published by one swap of the list's head; two callers
    /// that make the same one meet there. A loser, and one who dies, leaks its space.
    ///
    /// - Parameter load: serial number of the load that makes it.
    /// - Throws: `StoreError.arenaFull`, `.diskFull`, `.corrupted`.
    package func definition(
        identity: [UInt8], kind: LimitKindCode, parameters: Definition.Parameters, load: UInt64 = 0
    ) throws(StoreError) -> Definition {
        var index = DefinitionIndex()
        return try definition(
            identity: identity, kind: kind, parameters: parameters, load: load, index: &index)
    }

    /// The same of many: O(1) each behind one walk over the list.
    ///
    /// - Parameter index: of this segment.
    func definition(
        identity: [UInt8], kind: LimitKindCode, parameters: Definition.Parameters, load: UInt64,
        index: inout DefinitionIndex
    ) throws(StoreError) -> Definition {
        let hash = FNV.hash(identity)
        let head = word(Header.definitions)
        var cells: UInt64 = 0
        if kind == .rolling {
            let window = RollingWindow(
                limit: 1, windowNanoseconds: parameters.values[1], guardNanoseconds: 0)
            cells = UInt64(window.ringCount)
        }
        let code = cells << 40 | UInt64(kind.rawValue) << 32 | UInt64(identity.count)
        var made = 0
        while true {
            let first = head.load()
            try index.read(self, from: first)
            if let found = try find(identity, index.offsets[hash] ?? [], code: code) {
                return Definition(segment: self, offset: found, kind: kind)
            }
            if made == 0 {
                made = try writeDefinition(
                    identity, hash: hash, code: code, parameters: parameters, load: load)
            }
            word(made).store(first)
            if head.swap(first, UInt64(made / 16)) {
                return Definition(segment: self, offset: made, kind: kind)
            }
        }
    }

    private func find(
        _ identity: [UInt8], _ offsets: [Int], code: UInt64
    ) throws(StoreError) -> Int? {
        guard let offset = offsets.first(where: { matches($0, identity) }) else { return nil }
        let found = word(offset + Definition.kindAndLength).load()
        guard found == code else {
            throw corrupted("a definition's kind is \(found), of its identity \(code)")
        }
        return offset
    }

    private func matches(_ offset: Int, _ identity: [UInt8]) -> Bool {
        let length = Int(word(offset + Definition.kindAndLength).load() & 0xffff_ffff)
        guard length == identity.count, contains(offset, Definition.identity + length) else {
            return false
        }
        return UnsafeRawBufferPointer(start: base + offset + Definition.identity, count: length)
            .elementsEqual(identity)
    }

    /// Writes a definition off the list, with its two blocks behind it.
    private func writeDefinition(
        _ identity: [UInt8], hash: UInt64, code: UInt64, parameters: Definition.Parameters,
        load: UInt64
    ) throws(StoreError) -> Int {
        let head = (Definition.identity + identity.count + 15) & ~15
        let bytes = head + 2 * PublishedBlock.bytes
        let new = try bump(Self.roundedSize(bytes))
        word(new + Definition.kindAndLength).store(code)
        word(new + Definition.identityHash).store(hash)
        word(new + Definition.swept).store(0)
        (base + new + Definition.identity).copyMemory(from: identity, byteCount: identity.count)
        var block = PublishedBlock(
            number: 0 &- 1, load: load, values: parameters.values, loadedAt: parameters.loadedAt)
        write(block, at: new + head)
        block.number = 0
        block.previous = new + head
        write(block, at: new + head + PublishedBlock.bytes)
        let published = PublishedWord(segment: self, place: new + Definition.inForce)
        published.word.store(UInt64((new + head + PublishedBlock.bytes) / 16))
        return new
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo, 1991), with a final mix so that low bits are usable alone.
package enum FNV {
    @inline(__always)
    package static func hash(
        _ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0xcbf2_9ce4_8422_2325
    )
        -> UInt64
    {
        var hash = seed
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        hash ^= hash >> 32
        hash = hash &* 0x9e37_79b9_7f4a_7c15
        return hash ^ hash >> 29
    }

    package static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { hash($0) }
    }
}
