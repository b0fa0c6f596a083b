/// The bounds of what a document may say. Each is stated here once: checks, error texts and the
/// documentation follow.
enum PolicyBounds {
    // What an algorithm's arithmetic is made for: `LimitBounds` says why.
    static let units = LimitBounds.units
    static let slots = LimitBounds.slots
    static let bucketSpanNanoseconds = LimitBounds.bucketSpanNanoseconds
    static let periodNanoseconds = LimitBounds.periodNanoseconds
    static let windowNanoseconds = LimitBounds.windowNanoseconds
    static let leaseNanoseconds = LimitBounds.leaseNanoseconds
    static let maxHoldNanoseconds = LimitBounds.maxHoldNanoseconds

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
}
