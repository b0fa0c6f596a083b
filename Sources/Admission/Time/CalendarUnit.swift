/// The length of a calendar window, as a policy document writes it.
public enum CalendarUnit: UInt8, Sendable, Hashable, CaseIterable {
    /// From one full minute of the local clock to the next, or to a transition.
    case minute = 1
    /// From one full hour of the local clock to the next, or to a transition: a repeated hour is two.
    case hour = 2
    /// One local date, from its first instant: 23 and 25 hours where the clock is changed.
    case day = 3
    /// From Monday.
    case week = 4
    /// From the first day of a month.
    case month = 5
    /// From the first of January.
    case year = 6

    /// The word in a policy document: `minute`, `hour`, `day`, `week`, `month` or `year`.
    public var name: String {
        switch self {
        case .minute: "minute"
        case .hour: "hour"
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .year: "year"
        }
    }

    /// The unit a policy document's word stands for, or nil where it is no unit.
    public init?(name: String) {
        guard let unit = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = unit
    }
}

/// One calendar window in wall time: from `startSeconds` up to, not including, `endSeconds`.
package struct CalendarSpan: Sendable, Hashable {
    /// Unix seconds of the first second inside.
    package var startSeconds: Int64
    /// Unix seconds of the first second after.
    package var endSeconds: Int64

    package init(startSeconds: Int64, endSeconds: Int64) {
        self.startSeconds = startSeconds
        self.endSeconds = endSeconds
    }
}
