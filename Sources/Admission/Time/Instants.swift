/// A point of steady time: nanoseconds that never go back.
///
/// Buckets, rolling windows and leases run on steady time. Its zero is when the counters were
/// created, so it never leaves the process (or the store) it came from. A step of the wall clock
/// does not move it.
public struct SteadyInstant: Sendable, Hashable, Comparable {
    /// Nanoseconds since the store's own zero.
    public var nanoseconds: Int64

    /// The instant so many nanoseconds after the store's zero.
    @inlinable
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (left: SteadyInstant, right: SteadyInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

/// A point of wall time: nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
///
/// Only calendar windows look at wall time; it can step.
public struct WallInstant: Sendable, Hashable, Comparable {
    /// Nanoseconds since the Unix epoch.
    public var unixNanoseconds: Int64

    /// The instant so many nanoseconds after the Unix epoch, or before it where negative.
    @inlinable
    public init(unixNanoseconds: Int64) {
        self.unixNanoseconds = unixNanoseconds
    }

    @inlinable
    public static func < (left: WallInstant, right: WallInstant) -> Bool {
        left.unixNanoseconds < right.unixNanoseconds
    }
}
