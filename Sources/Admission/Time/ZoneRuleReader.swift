/// Reads a POSIX TZ string byte by byte; the grammar is in `ZoneRule`'s sources.
///
/// Every number has at most three digits, so nothing overflows.
struct ZoneRuleReader {
    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func readRule() throws(TZifError) -> ZoneRule {
        try skipName()
        let standard = -(try readSignedTime(hours: 0...24, called: "UTC offset"))
        guard next != nil else {
            return ZoneRule(standardOffsetSeconds: standard, daylight: nil)
        }
        try skipName()
        var daylightOffset = standard + 3600
        if let byte = next, byte != UInt8(ascii: ",") {
            daylightOffset = -(try readSignedTime(hours: 0...24, called: "UTC offset"))
        }
        guard next != nil else { throw failure("has daylight-saving time without a rule") }
        let start = try readChange()
        let end = try readChange()
        guard next == nil else { throw failure("has bytes after its end") }
        return ZoneRule(
            standardOffsetSeconds: standard,
            daylight: ZoneRule.Daylight(offsetSeconds: daylightOffset, start: start, end: end))
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// A name is three or more letters, or three or more of letters, digits, `+`, `-` in `<>`.
    private mutating func skipName() throws(TZifError) {
        let isQuoted = take(UInt8(ascii: "<"))
        let start = position
        while let byte = next, Self.isLetter(byte) || (isQuoted && Self.isDigitOrSign(byte)) {
            position += 1
        }
        guard position - start >= 3 else { throw failure("has a name of less than 3 letters") }
        if isQuoted && !take(UInt8(ascii: ">")) { throw failure("has a name without its `>`") }
    }

    /// `,date[/time]`; without a time the change is at 02:00.
    private mutating func readChange() throws(TZifError) -> ZoneRule.Change {
        guard take(UInt8(ascii: ",")) else { throw failure("lacks the comma before a date") }
        let day: ZoneRule.Day
        if take(UInt8(ascii: "J")) {
            day = .withoutLeapDay(try readNumber(1...365, called: "day of the year"))
        } else if take(UInt8(ascii: "M")) {
            let month = try readNumber(1...12, called: "month")
            guard take(UInt8(ascii: ".")) else { throw failure("lacks the week after a month") }
            let week = try readNumber(1...5, called: "week")
            guard take(UInt8(ascii: ".")) else { throw failure("lacks the day after a week") }
            let weekday = try readNumber(0...6, called: "weekday")
            day = .weekday(month: month, week: week, weekday: weekday)
        } else {
            day = .zeroBased(try readNumber(0...365, called: "day of the year"))
        }
        guard take(UInt8(ascii: "/")) else { return ZoneRule.Change(day: day, secondsOfDay: 7200) }
        let seconds = try readSignedTime(hours: 0...167, called: "hour of a change")
        return ZoneRule.Change(day: day, secondsOfDay: seconds)
    }

    /// `[+-]h[h[h]][:mm[:ss]]` in seconds.
    private mutating func readSignedTime(
        hours: ClosedRange<Int64>, called noun: String
    ) throws(TZifError) -> Int64 {
        let isNegative = take(UInt8(ascii: "-"))
        if !isNegative { _ = take(UInt8(ascii: "+")) }
        var seconds = try readNumber(hours, called: noun) * 3600
        if take(UInt8(ascii: ":")) {
            seconds += try readNumber(0...59, called: "minute") * 60
            if take(UInt8(ascii: ":")) { seconds += try readNumber(0...59, called: "second") }
        }
        return isNegative ? -seconds : seconds
    }

    private mutating func readNumber(
        _ range: ClosedRange<Int64>, called noun: String
    ) throws(TZifError) -> Int64 {
        var value: Int64 = 0
        let start = position
        while let byte = next, byte >= 48, byte <= 57 {
            guard position - start < 3 else { throw failure("has a \(noun) of over 3 digits") }
            value = value * 10 + Int64(byte - 48)
            position += 1
        }
        guard position > start else { throw failure("lacks a \(noun)") }
        guard range.contains(value) else {
            throw failure(
                "has \(noun) \(value), outside \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private func failure(_ what: String) -> TZifError {
        TZifError(reason: "the footer \(what), at byte \(position) of \(bytes.count)")
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (65...90).contains(byte) || (97...122).contains(byte)
    }

    private static func isDigitOrSign(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
    }
}
