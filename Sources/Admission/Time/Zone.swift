/// A time zone and its calendar windows.
///
/// A day's window begins at the first instant of its local date and ends where the next existing
/// date's begins: it lasts 23 or 25 hours where the clock is put forward or back, begins late where
/// midnight is missing, and does not exist where the date was skipped (2011-12-30 in Apia). Where
/// the clock is put back over midnight a date's second stretch lies in the window of the date
/// already begun, so that a spent window is never reopened. Weeks (from Monday), months and years
/// begin with their first existing date. Hours and minutes end where the local clock shows a full
/// one, and wherever the UTC offset changes: a repeated hour is two windows. For every unit the
/// windows cover all time without gap or overlap, from a billion years ago to a billion years on.
///
/// It does not name the offset (no abbreviations), knows no leap seconds, and does not watch the
/// files: an update of tzdata is seen by the next `Zone`. Immutable; any thread may use it.
package final class Zone: Sendable {
    /// Coordinated Universal Time; needs no file.
    package static let utc = Zone(name: "UTC", timeline: ZoneTimeline(fixedOffsetSeconds: 0))

    /// The name as it was asked for, `America/Los_Angeles`.
    package let name: String
    private let timeline: ZoneTimeline

    private init(name: String, timeline: ZoneTimeline) {
        self.name = name
        self.timeline = timeline
    }

    /// Loads a zone of the time-zone database; "UTC" needs none.
    ///
    /// - Parameters:
    ///   - name: relative to the database's directory; empty names, absolute ones, and those with
    ///     `..` or a NUL byte are refused.
    ///   - directory: nil: the environment's `TZDIR`, or without it the first of the system's
    ///     directories that has the zone.
    /// - Throws: `ZoneError` with the path that was tried. One file is read.
    package init(named name: String, directory: String? = nil) throws(ZoneError) {
        self.name = name
        if name == "UTC" {
            timeline = ZoneTimeline(fixedOffsetSeconds: 0)
            return
        }
        let file = try ZoneFile(named: name, directory: directory)
        timeline = try Self.timeline(name: name, path: file.path, tzif: file.bytes)
    }

    /// A zone from a file's bytes.
    package convenience init(name: String, tzif: [UInt8]) throws(ZoneError) {
        let timeline = try Self.timeline(name: name, path: "", tzif: tzif)
        self.init(name: name, timeline: timeline)
    }

    private static func timeline(
        name: String, path: String, tzif: [UInt8]
    ) throws(ZoneError) -> ZoneTimeline {
        do {
            return ZoneTimeline(try TZifFile(tzif))
        } catch {
            throw ZoneError(name: name, path: path, reason: error.reason)
        }
    }

    /// The seconds to add to UTC for local time at an instant. O(log transitions).
    ///
    /// Instants beyond a billion years have the offset of that horizon.
    package func offsetSeconds(at unixSeconds: Int64) -> Int32 {
        let horizon = ZoneTimeline.horizonSeconds
        let clamped = min(max(unixSeconds, -horizon), horizon)
        let shifted = clamped - timeline.cycleShiftSeconds(at: clamped)
        return Int32(timeline.stretches[timeline.stretchIndex(at: shifted)].offsetSeconds)
    }

    /// The window of `unit` that an instant lies in. O(log transitions), no allocation.
    ///
    /// Never traps: what lies beyond a billion years is one window up to Int64's end.
    package func span(
        of unit: CalendarUnit, containing unixSeconds: Int64
    ) -> CalendarSpan {
        let horizon = ZoneTimeline.horizonSeconds
        if unixSeconds >= horizon {
            return CalendarSpan(startSeconds: horizon, endSeconds: .max)
        }
        if unixSeconds < -horizon {
            return CalendarSpan(startSeconds: .min, endSeconds: -horizon)
        }
        let shift = timeline.cycleShiftSeconds(at: unixSeconds)
        let shifted = unixSeconds - shift
        let index = timeline.stretchIndex(at: shifted)
        let span =
            switch unit {
            case .minute: clockSpan(of: 60, containing: shifted, inStretch: index)
            case .hour: clockSpan(of: 3600, containing: shifted, inStretch: index)
            case .day, .week, .month, .year:
                dateSpan(of: unit, containing: shifted, inStretch: index)
            }
        return CalendarSpan(
            startSeconds: max(span.startSeconds + shift, -horizon),
            endSeconds: min(span.endSeconds + shift, horizon))
    }

    /// An hour or minute: between two full ones of the local clock, cut at the stretch's ends.
    private func clockSpan(
        of lengthSeconds: Int64, containing unixSeconds: Int64, inStretch index: Int
    ) -> CalendarSpan {
        let stretch = timeline.stretches[index]
        let local = unixSeconds + stretch.offsetSeconds
        let full = local.flooredQuotient(dividedBy: lengthSeconds) * lengthSeconds
        let start = full - stretch.offsetSeconds
        let isLast = index + 1 == timeline.stretches.count
        return CalendarSpan(
            startSeconds: max(start, stretch.startSeconds),
            endSeconds: min(
                start + lengthSeconds,
                isLast ? .max : timeline.stretches[index + 1].startSeconds))
    }

    /// A day or longer: from its first existing date up to the first one after.
    private func dateSpan(
        of unit: CalendarUnit, containing unixSeconds: Int64, inStretch index: Int
    ) -> CalendarSpan {
        let stretch = timeline.stretches[index]
        let shown = (unixSeconds + stretch.offsetSeconds).flooredQuotient(dividedBy: 86_400)
        let days = Self.days(of: unit, containing: max(shown, stretch.latestDayBefore))
        return CalendarSpan(
            startSeconds: timeline.firstSecond(ofDayFrom: days.lowerBound),
            endSeconds: timeline.firstSecond(ofDayFrom: days.upperBound))
    }

    /// The day numbers of the calendar's day, week, month or year.
    private static func days(
        of unit: CalendarUnit, containing dayNumber: Int64
    ) -> Range<Int64> {
        switch unit {
        case .week:
            let monday = dayNumber - CalendarDate.weekdayFromMonday(ofDayNumber: dayNumber)
            return monday..<(monday + 7)
        case .month:
            let date = CalendarDate(dayNumber: dayNumber)
            let first = dayNumber - date.day + 1
            let next =
                date.month == 12
                ? CalendarDate(year: date.year + 1, month: 1, day: 1)
                : CalendarDate(year: date.year, month: date.month + 1, day: 1)
            return first..<next.dayNumber
        case .year:
            let year = CalendarDate(dayNumber: dayNumber).year
            return CalendarDate(year: year, month: 1, day: 1)
                .dayNumber..<CalendarDate(year: year + 1, month: 1, day: 1).dayNumber
        case .minute, .hour, .day:
            return dayNumber..<(dayNumber + 1)
        }
    }
}
