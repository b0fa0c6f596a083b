/// Why a text is not the value that is meant.
struct TextFault: Error {
    let kind: PolicyError.Kind
    /// Follows the quoted text: `is not a duration; accepted: …`.
    let reason: String
}

/// Durations as a document writes them: a whole number and `ms`, `s`, `m` or `h`.
enum DurationText {
    static let accepted = "a whole number and ms, s, m or h, as in \"90s\""

    /// From the largest: what is written out takes the largest that divides.
    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("h", PolicyBounds.hour), ("m", PolicyBounds.minute), ("s", PolicyBounds.second),
        ("ms", PolicyBounds.millisecond),
    ]

    /// Nanoseconds of a unit's suffix, or nil.
    static func nanoseconds(ofUnit suffix: Substring) -> Int64? {
        units.first { $0.suffix == suffix }?.nanoseconds
    }

    static func parse(_ text: String) throws(TextFault) -> Int64 {
        let (digits, suffix) = splitDigits(text[...])
        if !digits.isEmpty, suffix == "d" { throw dayFault(days: digits) }
        guard !digits.isEmpty, let unit = nanoseconds(ofUnit: suffix) else {
            throw TextFault(
                kind: .unreadableValue, reason: "is not a duration; accepted: \(accepted)")
        }
        let (product, overflows) = (Int64(digits) ?? .max).multipliedReportingOverflow(by: unit)
        guard Int64(digits) != nil, !overflows else {
            throw TextFault(
                kind: .outOfRange, reason: "is longer than 2^63 nanoseconds, about 292 years")
        }
        return product
    }

    /// `1d` could be 24 hours or a local day, which has 23 to 25: whoever wrote it must say.
    private static func dayFault(days: Substring) -> TextFault {
        let hours = Int64(days).flatMap { $0 > 0 && $0 < 10_000 ? $0 * 24 : nil } ?? 24
        return TextFault(
            kind: .unreadableValue,
            reason: "is not a duration; accepted: \"\(hours)h\" for a span of hours, or the window "
                + "\"day\" for a day of the calendar")
    }

    /// The shortest text for whole milliseconds; `…ns` for what no document can say.
    static func text(of nanoseconds: Int64) -> String {
        for unit in units where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(nanoseconds == 0 ? "ms" : unit.suffix)"
        }
        return "\(nanoseconds)ns"
    }

    /// Leading ASCII digits, and what follows.
    static func splitDigits(_ text: Substring) -> (digits: Substring, rest: Substring) {
        let end = text.utf8.firstIndex { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return (text[..<(end ?? text.endIndex)], text[(end ?? text.endIndex)...])
    }

    /// All but the first byte, which must be ASCII where it matters. Not `dropFirst()`, which
    /// would drop a combining mark with it.
    static func behindFirstByte(of text: Substring) -> Substring {
        guard let first = text.unicodeScalars.first else { return text }
        return Substring(text.unicodeScalars.dropFirst(first.isASCII ? 1 : 0))
    }
}

/// Rates: `N/unit` or `N/Munit`.
enum RateText {
    static let accepted =
        "a whole number, a slash and a time in ms, s, m or h, as in \"5/s\" or \"1/90ms\""

    static func parse(_ text: String) throws(TextFault) -> (units: Int64, periodNanoseconds: Int64)
    {
        let (digits, rest) = DurationText.splitDigits(text[...])
        guard !digits.isEmpty, rest.utf8.first == UInt8(ascii: "/") else { throw notARate() }
        guard let units = Int64(digits) else {
            throw TextFault(
                kind: .outOfRange,
                reason: "is too fast; accepted: 1 to \(PolicyBounds.units.upperBound) units a time")
        }
        let time = DurationText.behindFirstByte(of: rest)
        if let unit = DurationText.nanoseconds(ofUnit: time) { return (units, unit) }
        do {
            return (units, try DurationText.parse(String(time)))
        } catch {
            throw error.kind == .outOfRange ? error : notARate()
        }
    }

    private static func notARate() -> TextFault {
        TextFault(kind: .unreadableValue, reason: "is not a rate; accepted: \(accepted)")
    }

    /// The shortest text, as `parse` reads it.
    static func text(units: Int64, periodNanoseconds: Int64) -> String {
        let period = DurationText.text(of: periodNanoseconds)
        let unit = period.dropFirst()
        let isOne =
            period.utf8.first == UInt8(ascii: "1")
            && DurationText.nanoseconds(ofUnit: unit) != nil
        return "\(units)/\(isOne ? unit : period[...])"
    }
}

/// Fractions: `"1/4"`.
enum FractionText {
    static let accepted = "a fraction in quotes, as in \"1/4\", from 1/1000000 to 1/1"

    static func parse(_ text: String) throws(TextFault) -> OutageShare {
        let (numerator, rest) = DurationText.splitDigits(text[...])
        let (denominator, end) = DurationText.splitDigits(
            DurationText.behindFirstByte(of: rest))
        guard let numerator = Int64(numerator), let denominator = Int64(denominator),
            rest.utf8.first == UInt8(ascii: "/"), end.isEmpty
        else {
            throw TextFault(
                kind: .unreadableValue, reason: "is not a fraction; accepted: \(accepted)")
        }
        return OutageShare(numerator: numerator, denominator: denominator)
    }
}
