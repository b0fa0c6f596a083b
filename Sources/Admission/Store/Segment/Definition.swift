import Synchronization

/// A limit's definition as a segment keeps it: identity, parameters and their version.
///
/// ```
///  0  next definition (offset / 16)         16  version: 2n stable, 2n + 1 while slot n + 1 is written
///  8  kind:8 | identity length:32           24  FNV-1a of the identity
/// 32  parameter slot of even n, 8 words     96  parameter slot of odd n, 8 words
/// 160 identity bytes
/// ```
///
/// The identity is policy, limit, kind, shape and attribute names; a key adds the values. Readers
/// take the slot of the stable version and never wait: a load writes the other slot.
package final class Definition: Sendable {
    let segment: Segment
    let offset: Int
    package let kind: LimitKindCode
    /// Cells in the ring of a rolling limit's keys, fixed by the identity; 0 for other kinds.
    let ringCount: Int

    private static let version = 16
    private static let slots = 32
    private static let identity = 160

    init(segment: Segment, offset: Int, kind: LimitKindCode) {
        self.segment = segment
        self.offset = offset
        self.kind = kind
        guard kind == .rolling else {
            ringCount = 0
            return
        }
        let window = Int64(bitPattern: segment.word(offset + Self.slots + 8).load())
        ringCount =
            RollingWindow(limit: 1, windowNanoseconds: window, guardNanoseconds: 0).ringCount
    }

    /// Parameters with the version they belong to.
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

        init(values: SIMD4<Int64>, loadedAt: Int64) {
            self.values = values
            self.loadedAt = loadedAt
        }

        package var bucket: TokenBucket {
            TokenBucket(units: values[0], periodNanoseconds: values[1], burst: values[2])
        }
    }

    /// Number of the stable parameters; its lowest bit is the parity of bucket words under them.
    package var parameterNumber: UInt64 { segment.word(offset + Self.version).load() >> 1 }

    /// The parameters with a number: the current one's or the one's before.
    private func slot(_ number: UInt64) -> Parameters {
        let start = offset + Self.slots + Int(number & 1) * 64
        var values = SIMD4<Int64>.zero
        for index in 0..<3 {
            values[index] = Int64(bitPattern: segment.word(start + index * 8).load())
        }
        return Parameters(
            values: values, loadedAt: Int64(bitPattern: segment.word(start + 24).load()))
    }

    /// The parameters in force and their number. Lock-free.
    package func parameters() -> (number: UInt64, current: Parameters) {
        while true {
            let before = segment.word(offset + Self.version).load()
            let parameters = slot(before >> 1)
            atomicMemoryFence(ordering: .acquiring)
            let after = segment.word(offset + Self.version).loadRelaxed()
            if after >> 1 == before >> 1 { return (before >> 1, parameters) }
        }
    }

    /// The parameters before those in force, for words that are still kept under them.
    func previousParameters() -> Parameters {
        slot(parameterNumber &- 1)
    }

    /// Puts new parameters in force. The caller has converted all words to the present ones, and
    /// no other load runs.
    func setParameters(_ parameters: Parameters) {
        let version = segment.word(offset + Self.version)
        let before = version.load() & ~1
        version.store(before | 1)
        writeSlot(before >> 1 &+ 1, parameters)
        version.store(before &+ 2)
    }

    /// Number of the parameters under which every word is known to be kept.
    var sweptNumber: UInt64 {
        get { segment.word(offset + Self.slots + 56).load() }
        set { segment.word(offset + Self.slots + 56).store(newValue) }
    }

    private func writeSlot(_ number: UInt64, _ parameters: Parameters) {
        let start = offset + Self.slots + Int(number & 1) * 64
        for index in 0..<3 {
            segment.word(start + index * 8).store(UInt64(bitPattern: parameters.values[index]))
        }
        segment.word(start + 24).store(UInt64(bitPattern: parameters.loadedAt))
    }
}

extension Segment {
    /// The definition with an identity, made with these parameters where it is new.
    ///
    /// A definition is never removed: their number is bounded by the limits ever loaded.
    package func definition(
        identity: [UInt8], kind: LimitKindCode, parameters: Definition.Parameters
    ) throws(StoreError) -> Definition {
        let hash = FNV.hash(identity)
        let head = word(Header.definitions)
        while true {
            let first = head.load()
            var offset = Int(first) * 16
            while offset != 0 {
                if matches(offset, identity: identity, hash: hash) {
                    return Definition(segment: self, offset: offset, kind: kind)
                }
                offset = Int(word(offset).load()) * 16
            }
            let new = try bump(Self.roundedSize(160 + identity.count))
            word(new).store(first)
            word(new + 8).store(UInt64(kind.rawValue) << 32 | UInt64(identity.count))
            word(new + 16).store(0)
            word(new + 24).store(hash)
            for index in 0..<3 {
                let value = parameters.values[index]
                word(new + 32 + index * 8).store(UInt64(bitPattern: value))
            }
            word(new + 88).store(0)
            word(new + 56).store(UInt64(bitPattern: parameters.loadedAt))
            (base + new + 160).copyMemory(from: identity, byteCount: identity.count)
            if head.swap(first, UInt64(new / 16)) {
                return Definition(segment: self, offset: new, kind: kind)
            }
        }
    }

    private func matches(_ offset: Int, identity: [UInt8], hash: UInt64) -> Bool {
        guard word(offset + 24).load() == hash,
            Int(word(offset + 8).load() & 0xffff_ffff) == identity.count
        else { return false }
        let bytes = UnsafeRawBufferPointer(start: base + offset + 160, count: identity.count)
        return bytes.elementsEqual(identity)
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
