/// The bounds of what a document may say. Each is stated here once: checks, error texts and the
/// documentation follow.
enum PolicyBounds {
    /// Rate, burst and limit: fits the 41 bits a rolling cell counts in.
    static let units: ClosedRange<Int64> = 1...1_000_000_000_000
    /// Slots of one concurrency limit: they are an array, searched.
    static let slots: ClosedRange<Int64> = 1...1_000_000
    /// (burst + 1) x interval: what a bucket's clock can be ahead and still be told apart.
    static let bucketSpanNanoseconds: Int64 = 1 << 62

    /// The time a rate is meant over, up to 2^62 ns in whole hours.
    static let periodNanoseconds = 1 * millisecond...1_281_023 * hour
    /// A rolling window, up to ten years of 365 days.
    static let windowNanoseconds = 1 * millisecond...87_600 * hour
    /// How long a lease lives without being renewed.
    static let leaseNanoseconds = 100 * millisecond...24 * hour
    /// How long a permit may be held; at least the lease.
    static let maxHoldNanoseconds = 100 * millisecond...8_760 * hour
    static let deadlineNanoseconds = 1 * millisecond...60 * second
    static let sliceTTLNanoseconds = 1 * millisecond...60 * second

    static let maxWaiting: ClosedRange<Int64> = 1...10_000_000
    static let share: ClosedRange<Int64> = 1...1_000_000
    static let processes: ClosedRange<Int64> = 1...1_000_000
    static let shareDenominator: ClosedRange<Int64> = 1...1_000_000

    static let nameBytes = 255
    static let matchValueBytes = 4_096
    static let policies = 100_000
    static let limitsPerPolicy = 64
    static let attributesPerPolicy = 64
    static let matchValues = 10_000
    static let priorities = 64

    static let defaultLeaseNanoseconds = 30 * second
    static let defaultMaxHoldNanoseconds = 15 * minute

    static let millisecond: Int64 = 1_000_000
    static let second: Int64 = 1_000 * millisecond
    static let minute: Int64 = 60 * second
    static let hour: Int64 = 60 * minute

    /// The guard on a calendar limit stays below this, or nothing would ever be admitted: the
    /// unit's length without daylight saving, and the shortest month and year.
    static func nominalNanoseconds(of unit: CalendarUnit) -> Int64 {
        switch unit {
        case .minute: minute
        case .hour: hour
        case .day: 24 * hour
        case .week: 7 * 24 * hour
        case .month: 28 * 24 * hour
        case .year: 365 * 24 * hour
        }
    }
}
