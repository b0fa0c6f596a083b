/// The rule for all time after a zone file's last transition: a POSIX TZ string.
///
/// Source: POSIX.1-2024, "Other Environment Variables", TZ; with the extension of RFC 9636 section
/// 3.3.1 (https://www.rfc-editor.org/rfc/rfc9636): the hour of a change goes from -167 to 167. We
/// accept that extension in files of version 2 too, where it does harm to nobody. A daylight-saving
/// name without a rule, which POSIX leaves to the implementation, is refused.
struct ZoneRule: Sendable, Hashable {
    /// Seconds to add to UTC for standard time (the sign is the opposite of the TZ string's).
    var standardOffsetSeconds: Int64
    /// Nil: standard time all year.
    var daylight: Daylight?

    /// Daylight-saving time and when it begins and ends in a year.
    struct Daylight: Sendable, Hashable {
        /// Seconds to add to UTC; may be less than standard time's (Europe/Dublin).
        var offsetSeconds: Int64
        /// On the clock of standard time.
        var start: Change
        /// On the clock of daylight-saving time.
        var end: Change
    }

    /// One change of the clock each year.
    struct Change: Sendable, Hashable {
        var day: Day
        /// After the day's midnight on the clock before the change; from -167 h to below 168 h.
        var secondsOfDay: Int64

        /// The seconds since the Unix epoch that the clock before the change shows, as if in UTC.
        func localSeconds(inYear year: Int64) -> Int64 {
            day.dayNumber(inYear: year) * 86_400 + secondsOfDay
        }
    }

    /// The three ways in which POSIX names a day of the year.
    enum Day: Sendable, Hashable {
        /// `Jn`: 1 to 365, February 29th is never counted.
        case withoutLeapDay(Int64)
        /// `n`: 0 to 365, February 29th is counted; 365 of a common year is the next January 1st.
        case zeroBased(Int64)
        /// `Mm.w.d`: weekday `d` (0 is Sunday) of month `m`, the `w`-th time; 5 is the last.
        case weekday(month: Int64, week: Int64, weekday: Int64)

        /// Days since 1970-01-01.
        func dayNumber(inYear year: Int64) -> Int64 {
            let newYear = CalendarDate(year: year, month: 1, day: 1).dayNumber
            switch self {
            case .withoutLeapDay(let day):
                let skipsLeapDay = day >= 60 && CalendarDate.isLeap(year: year)
                return newYear + day - 1 + (skipsLeapDay ? 1 : 0)
            case .zeroBased(let day):
                return newYear + day
            case .weekday(let month, let week, let weekday):
                let first = CalendarDate(year: year, month: month, day: 1).dayNumber
                let next =
                    month == 12
                    ? CalendarDate(year: year + 1, month: 1, day: 1).dayNumber
                    : CalendarDate(year: year, month: month + 1, day: 1).dayNumber
                let fromMonday = (weekday + 6) % 7
                let firstWeekday = CalendarDate.weekdayFromMonday(ofDayNumber: first)
                let day = first + (fromMonday - firstWeekday + 7) % 7 + (week - 1) * 7
                return day < next ? day : day - 7
            }
        }
    }

    /// Reads a TZ string, of which every byte must be part.
    init(_ text: some Sequence<UInt8>) throws(TZifError) {
        var reader = ZoneRuleReader(bytes: Array(text))
        self = try reader.readRule()
    }

    init(standardOffsetSeconds: Int64, daylight: Daylight?) {
        self.standardOffsetSeconds = standardOffsetSeconds
        self.daylight = daylight
    }
}
