/// The ranges of a limit's numbers, for which the algorithms' arithmetic is made.
///
/// A policy document is held to them with an error that names its place; parameters that come out
/// of a store that others may write to are held to them before an algorithm sees them.
package enum LimitBounds {
    /// Rate, burst and limit: fits the 41 bits a rolling cell counts in.
    package static let units: ClosedRange<Int64> = 1...1_000_000_000_000
    /// Slots of one concurrency limit: they are an array, searched.
    package static let slots: ClosedRange<Int64> = 1...1_000_000
    /// (burst + 1) x interval: what a bucket's clock can be ahead and still be told apart.
    package static let bucketSpanNanoseconds: Int64 = 1 << 62

    /// The time a rate is meant over, up to 2^62 ns in whole hours.
    package static let periodNanoseconds = 1_000_000...1_281_023 * hour
    /// A rolling window, up to ten years of 365 days.
    package static let windowNanoseconds = 1_000_000...87_600 * hour
    /// How long a lease lives without being renewed.
    package static let leaseNanoseconds = 100_000_000...24 * hour
    /// How long a permit may be held; at least the lease.
    package static let maxHoldNanoseconds = 100_000_000...8_760 * hour

    private static let hour: Int64 = 3_600_000_000_000

    /// The guard on a calendar limit stays below this, or nothing would ever be admitted: the
    /// unit's length without daylight saving, and the shortest month and year.
    package static func nominalNanoseconds(of unit: CalendarUnit) -> Int64 {
        switch unit {
        case .minute: hour / 60
        case .hour: hour
        case .day: 24 * hour
        case .week: 7 * 24 * hour
        case .month: 28 * 24 * hour
        case .year: 365 * 24 * hour
        }
    }

    /// Whether a bucket's full span of time fits: see `bucketSpanNanoseconds`. All are in range.
    package static func hasFittingSpan(
        units: Int64, periodNanoseconds: Int64, burst: Int64
    ) -> Bool {
        // (burst + 1) x period / units against 2^62, without dividing. At most 2^40 x 2^62.
        UInt128(burst + 1) * UInt128(periodNanoseconds)
            <= UInt128(units) * UInt128(bucketSpanNanoseconds)
    }
}

extension LimitKind {
    /// Whether every number is one that a policy document may say, to the nanosecond.
    package var isWithinBounds: Bool {
        switch self {
        case .tokenBucket(let units, let period, let burst):
            return LimitBounds.units.contains(units) && LimitBounds.units.contains(burst)
                && LimitBounds.periodNanoseconds.contains(period)
                && LimitBounds.hasFittingSpan(
                    units: units, periodNanoseconds: period, burst: burst)
        case .rollingWindow(let limit, let window, let guarding):
            return LimitBounds.units.contains(limit)
                && LimitBounds.windowNanoseconds.contains(window)
                && (0..<window).contains(guarding)
        case .calendarWindow(let limit, let unit, _, let guarding):
            return LimitBounds.units.contains(limit)
                && (0..<LimitBounds.nominalNanoseconds(of: unit)).contains(guarding)
        case .concurrency(let limit, let lease, let hold):
            return LimitBounds.slots.contains(limit)
                && LimitBounds.leaseNanoseconds.contains(lease)
                && LimitBounds.maxHoldNanoseconds.contains(hold) && hold >= lease
        }
    }
}
