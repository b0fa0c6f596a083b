import Glibc

/// Until when a caller waits: an instant of the system's monotonic clock.
package struct CallDeadline: Sendable, Hashable, Comparable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// So long from now on; what is below 0 has passed.
    package static func after(nanoseconds: Int64) -> CallDeadline {
        CallDeadline(nanoseconds: now().addingSaturating(nanoseconds))
    }

    /// The monotonic clock, about 25 ns a reading.
    package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    package static func < (left: CallDeadline, right: CallDeadline) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Int64 {
    /// The sum, or the end of the range.
    func addingSaturating(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
