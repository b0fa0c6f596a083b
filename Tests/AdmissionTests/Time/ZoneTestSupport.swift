import Admission

/// Builds time-zone files byte by byte (RFC 9636 section 3).
struct TZifBytes {
    var version: UInt8 = UInt8(ascii: "3")
    /// Ascending instants with the index of the type from there on.
    var transitions: [(unixSeconds: Int64, type: UInt8)] = []
    /// UTC offsets in seconds, one a local time type.
    var offsets: [Int32] = [0]
    var leapCount: UInt32 = 0
    /// Nil: no footer at all.
    var footer: String? = ""
    /// Fat files have the transitions in the 32-bit block too.
    var isFat = false

    var bytes: [UInt8] {
        let isFirstVersion = version == 0
        var bytes = block(timeByteCount: 4, isEmpty: !isFat && !isFirstVersion)
        guard !isFirstVersion else { return bytes }
        bytes += block(timeByteCount: 8, isEmpty: false)
        if let footer { bytes += Array("\n\(footer)\n".utf8) }
        return bytes
    }

    private func block(timeByteCount: Int, isEmpty: Bool) -> [UInt8] {
        let transitions = isEmpty ? [] : transitions
        let offsets = isEmpty ? [0] : offsets
        var bytes = Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15)
        for count in [0, 0, isEmpty ? 0 : leapCount, UInt32(transitions.count)] {
            bytes += bigEndian(Int64(count), byteCount: 4)
        }
        bytes += bigEndian(Int64(offsets.count), byteCount: 4) + bigEndian(4, byteCount: 4)
        for transition in transitions {
            bytes += bigEndian(transition.unixSeconds, byteCount: timeByteCount)
        }
        bytes += transitions.map(\.type)
        for offset in offsets { bytes += bigEndian(Int64(offset), byteCount: 4) + [0, 0] }
        bytes += Array("ABC".utf8) + [0]
        if !isEmpty {
            bytes += [UInt8](repeating: 0, count: Int(leapCount) * (timeByteCount + 4))
        }
        return bytes
    }

    private func bigEndian(_ value: Int64, byteCount: Int) -> [UInt8] {
        (0..<byteCount).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * Int64($0))) }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed everywhere.
struct ZoneTestRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Unix seconds of a date and time in UTC, counted day by day from 1970 (no shared arithmetic).
func utc(
    _ year: Int, _ month: Int, _ day: Int, _ hour: Int = 0, _ minute: Int = 0, _ second: Int = 0
) -> Int64 {
    func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
    var days = 0
    for past in min(year, 1970)..<max(year, 1970) { days += isLeap(past) ? 366 : 365 }
    if year < 1970 { days = -days }
    let lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    days += lengths[..<(month - 1)].reduce(0, +) + day - 1
    return Int64(days * 86_400 + hour * 3600 + minute * 60 + second)
}

extension Zone {
    /// A zone by a TZ string alone.
    static func rule(_ text: String) throws(ZoneError) -> Zone {
        try Zone(name: text, tzif: TZifBytes(footer: text).bytes)
    }

    /// The length in seconds of the window that holds an instant.
    func length(of unit: CalendarUnit, containing unixSeconds: Int64) -> Int64 {
        let span = span(of: unit, containing: unixSeconds)
        return span.endSeconds - span.startSeconds
    }

    /// Windows from the one that holds `first` up to the one that holds `last`, as instants: each
    /// start, and the end of the last. Nil where two of them overlap or leave a gap, or where one
    /// is not found from its last second.
    func boundaries(of unit: CalendarUnit, from first: Int64, through last: Int64) -> [Int64]? {
        var found = [span(of: unit, containing: first).startSeconds]
        while let start = found.last, start <= last {
            let window = span(of: unit, containing: start)
            guard window.startSeconds == start, window.endSeconds > start,
                span(of: unit, containing: window.endSeconds - 1) == window
            else { return nil }
            found.append(window.endSeconds)
        }
        return found
    }
}
