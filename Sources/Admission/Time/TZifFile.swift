/// What a time-zone file says: UTC offsets, when they change, and the rule after that.
///
/// Source: RFC 9636, "The Time Zone Information Format (TZif)", 2024,
/// https://www.rfc-editor.org/rfc/rfc9636 (versions 1 to 4; it replaces RFC 8536). Versions above 4
/// are read as the RFC asks: what we need stands where it stood. Of a file of version 2 or above
/// only the 64-bit block and the footer are read.
///
/// Every count is checked against the bytes that are there before anything is read: a damaged file
/// is an error, never a trap. Abbreviations, and the indicators that only matter to a TZ string
/// without rules, are skipped. A file that counts leap seconds (`right/…`) is refused: its instants
/// are not Unix time.
struct TZifFile: Sendable, Hashable {
    /// From `unixSeconds` on, `offsetSeconds` are to be added to UTC.
    struct Transition: Sendable, Hashable {
        var unixSeconds: Int64
        var offsetSeconds: Int64
    }

    /// Before the first transition, or always where there is none and no rule.
    var initialOffsetSeconds: Int64
    /// Strictly ascending.
    var transitions: [Transition]
    /// From the last transition on; nil: the last offset stays.
    var rule: ZoneRule?

    /// The largest file that is read; the largest of tzdata has 4 KiB.
    static let maximumByteCount = 1 << 20

    /// Reads a file's bytes: O(bytes).
    init(_ bytes: [UInt8]) throws(TZifError) {
        guard bytes.count <= Self.maximumByteCount else {
            throw TZifError(
                reason: "has \(bytes.count) bytes, more than \(Self.maximumByteCount)")
        }
        let first = try TZifHeader(bytes, at: 0)
        guard first.version > 1 else {
            self = try Self.readBlock(bytes, first, timeByteCount: 4)
            return
        }
        let second = try TZifHeader(bytes, at: first.endOfBlock(timeByteCount: 4))
        self = try Self.readBlock(bytes, second, timeByteCount: 8)
        rule = try Self.readFooter(bytes, at: second.endOfBlock(timeByteCount: 8))
    }

    private init(initialOffsetSeconds: Int64, transitions: [Transition]) {
        self.initialOffsetSeconds = initialOffsetSeconds
        self.transitions = transitions
    }

    private static func readBlock(
        _ bytes: [UInt8], _ header: TZifHeader, timeByteCount: Int
    ) throws(TZifError) -> TZifFile {
        try header.validate()
        let end = header.endOfBlock(timeByteCount: timeByteCount)
        guard end <= bytes.count else {
            throw TZifError(reason: "is cut short: \(bytes.count) bytes where \(end) are needed")
        }
        let times = header.startOfBlock
        let indices = times + header.timeCount * timeByteCount
        let types = indices + header.timeCount
        var offsets: [Int64] = []
        offsets.reserveCapacity(header.typeCount)
        for index in 0..<header.typeCount {
            offsets.append(try readOffset(bytes, at: types + 6 * index, header))
        }
        var transitions: [Transition] = []
        transitions.reserveCapacity(header.timeCount)
        for index in 0..<header.timeCount {
            let instant = bytes.bigEndianInteger(
                at: times + index * timeByteCount, byteCount: timeByteCount)
            let type = Int(bytes[indices + index])
            guard type < offsets.count else {
                throw TZifError(
                    reason: "transition \(index) has type \(type) of \(offsets.count)")
            }
            if let last = transitions.last, last.unixSeconds >= instant {
                throw TZifError(
                    reason: "transition \(index) at \(instant) is not after \(last.unixSeconds)")
            }
            transitions.append(Transition(unixSeconds: instant, offsetSeconds: offsets[type]))
        }
        return TZifFile(initialOffsetSeconds: offsets[0], transitions: transitions)
    }

    /// One local time type: offset (4 bytes), daylight saving (1), index of its abbreviation (1).
    private static func readOffset(
        _ bytes: [UInt8], at position: Int, _ header: TZifHeader
    ) throws(TZifError) -> Int64 {
        let offset = bytes.bigEndianInteger(at: position, byteCount: 4)
        guard ZoneTimeline.offsetRange.contains(offset) else {
            throw TZifError(reason: "a UTC offset of \(offset) s is not within -25 to 26 hours")
        }
        guard bytes[position + 4] <= 1 else {
            throw TZifError(reason: "a daylight-saving indicator is \(bytes[position + 4])")
        }
        guard Int(bytes[position + 5]) < header.characterCount else {
            throw TZifError(
                reason: "an abbreviation begins at \(bytes[position + 5]) of "
                    + "\(header.characterCount) characters")
        }
        return offset
    }

    /// A newline, a TZ string or nothing, a newline.
    private static func readFooter(
        _ bytes: [UInt8], at position: Int
    ) throws(TZifError) -> ZoneRule? {
        let newline = UInt8(ascii: "\n")
        guard position < bytes.count, bytes[position] == newline else {
            throw TZifError(reason: "has no footer at byte \(position) of \(bytes.count)")
        }
        guard let end = bytes[(position + 1)...].firstIndex(of: newline) else {
            throw TZifError(reason: "is cut short in its footer: \(bytes.count) bytes")
        }
        guard end > position + 1 else { return nil }
        return try ZoneRule(bytes[(position + 1)..<end])
    }
}

/// Why a time-zone file cannot be read; `Zone` adds its name and path.
struct TZifError: Error, Sendable, Hashable {
    var reason: String
}

/// The 44 bytes before a block of a time-zone file.
struct TZifHeader: Sendable {
    /// Where the block after the header starts.
    var startOfBlock: Int
    var version: Int
    var indicatorUTCount: Int
    var indicatorStandardCount: Int
    var leapCount: Int
    var timeCount: Int
    var typeCount: Int
    var characterCount: Int

    init(_ bytes: [UInt8], at position: Int) throws(TZifError) {
        guard position <= bytes.count, bytes.count - position >= 44 else {
            throw TZifError(
                reason: "is cut short: \(bytes.count) bytes, a header of 44 begins at \(position)")
        }
        guard bytes[position..<(position + 4)].elementsEqual("TZif".utf8) else {
            throw TZifError(reason: "is no time-zone file: no `TZif` at byte \(position)")
        }
        switch bytes[position + 4] {
        case 0: version = 1
        case UInt8(ascii: "2")...UInt8(ascii: "9"): version = Int(bytes[position + 4]) - 48
        default: throw TZifError(reason: "has version byte \(bytes[position + 4])")
        }
        startOfBlock = position + 44
        func count(_ index: Int) -> Int {
            // Four bytes unsigned: nothing below overflows 64 bits.
            Int(bytes.bigEndianInteger(at: position + 20 + 4 * index, byteCount: 4) & 0xFFFF_FFFF)
        }
        indicatorUTCount = count(0)
        indicatorStandardCount = count(1)
        leapCount = count(2)
        timeCount = count(3)
        typeCount = count(4)
        characterCount = count(5)
    }

    func endOfBlock(timeByteCount: Int) -> Int {
        startOfBlock + timeCount * (timeByteCount + 1) + typeCount * 6 + characterCount
            + leapCount * (timeByteCount + 4) + indicatorStandardCount + indicatorUTCount
    }

    func validate() throws(TZifError) {
        guard (1...256).contains(typeCount), characterCount > 0 else {
            throw TZifError(
                reason: "has \(typeCount) local time types and \(characterCount) characters")
        }
        for count in [indicatorUTCount, indicatorStandardCount]
        where count != 0 && count != typeCount {
            throw TZifError(reason: "has \(count) indicators for \(typeCount) local time types")
        }
        guard leapCount == 0 else {
            throw TZifError(
                reason: "counts \(leapCount) leap seconds, which Unix time does not have")
        }
    }
}

extension [UInt8] {
    /// The signed integer in `byteCount` (4 or 8) bytes at `position`, which must be there.
    fileprivate func bigEndianInteger(at position: Int, byteCount: Int) -> Int64 {
        var value: UInt64 = 0
        for byte in self[position..<(position + byteCount)] { value = value << 8 | UInt64(byte) }
        return byteCount == 4
            ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
    }
}
