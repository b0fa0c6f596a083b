/// At most `limit` units between two local boundaries of a calendar.
///
/// State: one word, `number:22 | count:42`: the window's number and what was used in it. A window
/// that is newer than the word's takes over with the same swap that charges it; nothing is turned.
/// Where the boundaries lie is the zone's business (`Zone.span`); this type is the arithmetic.
///
/// Numbers are start seconds / quantum, modulo 2^22, compared by signed distance: a quantum of a
/// minute for minutes and hours (they repeat after 8 years), of half a day otherwise (5,700 years).
package struct CalendarWindow: Sendable, Hashable {
    /// The most units in a window.
    package let limit: Int64
    /// Refuse that long after each boundary.
    package let guardNanoseconds: Int64
    /// Seconds by which start seconds are divided to get a window's number.
    package let quantumSeconds: Int64

    /// A word that no limit ever has: the key was retired.
    package static let retired = UInt64.max
    /// The largest count; more saturates.
    package static let largestCount: UInt64 = (1 << 42) - 2

    private static let countMask: UInt64 = (1 << 42) - 1
    private static let numberMask: UInt64 = (1 << 22) - 1

    package init(limit: Int64, unit: CalendarUnit, guardNanoseconds: Int64) {
        self.limit = limit
        self.guardNanoseconds = guardNanoseconds
        switch unit {
        case .minute, .hour: quantumSeconds = 60
        case .day, .week, .month, .year: quantumSeconds = 43_200
        }
    }

    /// The number of the window that starts at an instant.
    package func number(startSeconds: Int64) -> UInt64 {
        var quotient = startSeconds / quantumSeconds
        if startSeconds % quantumSeconds < 0 { quotient -= 1 }
        return UInt64(bitPattern: quotient) & Self.numberMask
    }

    @inline(__always)
    package static func word(number: UInt64, count: UInt64) -> UInt64 { number << 42 | count }

    @inline(__always)
    package static func number(ofWord word: UInt64) -> UInt64 { word >> 42 }

    @inline(__always)
    package static func count(ofWord word: UInt64) -> UInt64 { word & countMask }

    /// Whether `number` is later than `other`, by signed distance.
    @inline(__always)
    package static func isLater(_ number: UInt64, than other: UInt64) -> Bool {
        let distance = (number &- other) & numberMask
        return distance != 0 && distance < 1 << 21
    }
}
