import Admission

/// Until when a caller waits: an instant of the system's monotonic clock.
package struct CallDeadline: Sendable, Hashable, Comparable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// So long from now on; what is below 0 has passed.
    package static func after(nanoseconds: Int64) -> CallDeadline {
        CallDeadline(nanoseconds: now().addingSaturated(nanoseconds))
    }

    /// The monotonic clock, about 25 ns a reading.
    package static func now() -> Int64 { KernelClock.monotonicNanoseconds() }

    package static func < (left: CallDeadline, right: CallDeadline) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
