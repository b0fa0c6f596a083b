/// A date of the proleptic Gregorian calendar, without a zone.
///
/// Converts between year, month, day and the day number (days since 1970-01-01) in constant time,
/// for every day number whose absolute value is below 2^48. The algorithms are `days_from_civil`
/// and `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013,
/// https://howardhinnant.github.io/date_algorithms.html; we count in 64 bits, otherwise unchanged.
/// It validates nothing: month 13 or day 32 give a day number, not an error.
struct CalendarDate: Sendable, Hashable {
    var year: Int64
    /// 1 to 12.
    var month: Int64
    /// 1 to 31.
    var day: Int64

    init(year: Int64, month: Int64, day: Int64) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date of a day number.
    init(dayNumber: Int64) {
        // Eras of 400 years that begin on March 1st: the leap day is a year's last.
        let shifted = dayNumber + 719_468
        let era = shifted.flooredQuotient(dividedBy: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01, negative before it.
    var dayNumber: Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let era = marchYear.flooredQuotient(dividedBy: 400)
        let yearOfEra = marchYear - era * 400
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The weekday of a day number: 0 is Monday, 6 is Sunday.
    static func weekdayFromMonday(ofDayNumber dayNumber: Int64) -> Int64 {
        let sinceMonday = dayNumber + 3  // 1970-01-01 was a Thursday.
        return sinceMonday - sinceMonday.flooredQuotient(dividedBy: 7) * 7
    }

    /// Whether February of `year` has 29 days.
    static func isLeap(year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }
}

extension Int64 {
    /// The quotient rounded towards negative infinity; `divisor` is above 0.
    func flooredQuotient(dividedBy divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
