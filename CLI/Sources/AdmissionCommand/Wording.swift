import Admission

/// How numbers, times and limits are written for people.
enum Wording {
    /// `1,327,909`.
    static func number(_ number: some BinaryInteger) -> String {
        let digits = Array(String(number.magnitude))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return number < 0 ? "-" + text : text
    }

    /// A share in percent with one decimal, rounded down: only what is full is `100.0 %`.
    static func percent(_ part: Int64, of whole: Int64) -> String {
        guard whole > 0 else { return "–" }
        let (scaled, overflows) = part.multipliedReportingOverflow(by: 1000)
        return permille(overflows ? part / (whole / 1000) : scaled / whole)
    }

    static func permille(_ permille: Int64) -> String {
        "\(permille / 10).\(permille % 10) %"
    }

    /// The largest two units: `57 min 16 s`, `1.5 s`, `250 ms`.
    static func duration(_ nanoseconds: Int64) -> String {
        let milliseconds = nanoseconds / 1_000_000
        let seconds = milliseconds / 1000
        if seconds >= 86_400 { return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h" }
        if seconds >= 3600 { return "\(seconds / 3600) h \(seconds % 3600 / 60) min" }
        if seconds >= 60 { return "\(seconds / 60) min \(seconds % 60) s" }
        if seconds >= 1 { return "\(seconds).\(milliseconds % 1000 / 100) s" }
        if milliseconds >= 1 { return "\(milliseconds) ms" }
        return nanoseconds >= 1000 ? "\(nanoseconds / 1000) µs" : "\(nanoseconds) ns"
    }

    /// As a policy document writes it: the largest unit that it is a whole number of.
    static func policyDuration(_ nanoseconds: Int64) -> String {
        for (unit, name) in [
            (3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"),
            (1_000_000, "ms"),
        ] as [(Int64, String)] where nanoseconds % unit == 0 {
            return "\(nanoseconds / unit)\(name)"
        }
        return "\(nanoseconds)ns"
    }

    /// `2023-11-16`, in UTC.
    static func date(_ unixNanoseconds: Int64) -> String {
        // Howard Hinnant's civil_from_days (https://howardhinnant.github.io/date_algorithms.html).
        let days = floor(unixNanoseconds, 86_400_000_000_000) + 719_468
        let era = floor(days, 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let isLate = month >= 10
        let year = yearOfEra + era * 400 + (isLate ? 1 : 0)
        return "\(year)-\(padded(isLate ? month - 9 : month + 3, 2))-"
            + padded(dayOfYear - (153 * month + 2) / 5 + 1, 2)
    }

    /// `18:31:07`, in UTC.
    static func time(_ unixNanoseconds: Int64) -> String {
        let seconds = floor(unixNanoseconds, 1_000_000_000)
        let ofDay = seconds - floor(seconds, 86_400) * 86_400
        return [ofDay / 3600, ofDay % 3600 / 60, ofDay % 60].map { padded($0, 2) }
            .joined(separator: ":")
    }

    private static func floor(_ number: Int64, _ divisor: Int64) -> Int64 {
        number >= 0 ? number / divisor : (number + 1) / divisor - 1
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// What a limit bounds, in words: `500 requests in any 1m`.
    static func limit(_ limit: Limit) -> String { bound(limit.kind, " " + limit.count.name) }

    /// The same of what it counts, or of nothing that is known: `500 in any 1m`.
    static func bound(_ kind: LimitKind, _ count: String = "") -> String {
        let amount = number(kind.capacity)
        switch kind {
        case .tokenBucket(let units, let periodNanoseconds, _):
            let period = policyDuration(periodNanoseconds)
            return "\(number(units))\(count) each \(period), \(amount) at once"
        case .rollingWindow(_, let windowNanoseconds, let guardNanoseconds):
            let window = policyDuration(windowNanoseconds)
            return "\(amount)\(count) in any \(window)" + suffix(guardNanoseconds)
        case .calendarWindow(_, let unit, let zone, let guardNanoseconds):
            return "\(amount)\(count) each \(unit.name) (\(zone))" + suffix(guardNanoseconds)
        case .concurrency(_, let leaseNanoseconds, let maxHoldNanoseconds):
            return "\(amount) calls at once, lease \(policyDuration(leaseNanoseconds)), held "
                + "\(policyDuration(maxHoldNanoseconds)) at most"
        }
    }

    private static func suffix(_ guardNanoseconds: Int64) -> String {
        guardNanoseconds > 0 ? ", guard \(policyDuration(guardNanoseconds))" : ""
    }

    /// `3 keys`.
    static func counted(_ number: Int, _ one: String, _ many: String? = nil) -> String {
        "\(Self.number(number)) \(number == 1 ? one : many ?? one + "s")"
    }

    /// `1.4 MB`: decimal units, rounded down.
    static func bytes(_ bytes: Int) -> String {
        var (whole, tenths) = (bytes, 0)
        for unit in ["B", "kB", "MB", "GB"] {
            guard whole >= 1_000 else {
                return whole < 10 && unit != "B" ? "\(whole).\(tenths) \(unit)" : "\(whole) \(unit)"
            }
            (whole, tenths) = (whole / 1_000, whole % 1_000 / 100)
        }
        return "\(number(whole)).\(tenths) TB"
    }

    /// Text without what a terminal would obey: control characters, and those that turn writing
    /// round, are shown by their numbers.
    static func printable(_ text: String) -> String {
        func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse: false
            default: true
            }
        }
        guard !text.unicodeScalars.allSatisfy(isHarmless) else { return text }
        return text.unicodeScalars.map { scalar in
            isHarmless(scalar)
                ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
        }.joined()
    }

    /// At most so many characters.
    static func shortened(_ text: String, to most: Int) -> String {
        text.count > most ? text.prefix(most - 1) + "…" : text
    }

    /// Sixteen digits.
    static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    static func attributes(_ attributes: [Attribute]) -> String {
        attributes.isEmpty
            ? "none" : attributes.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
    }
}
