import CCounter
import Glibc
import Synchronization

/// Two readings of time at one instant, and the scale from counter ticks to nanoseconds.
///
/// All fields are words that are written only while `CounterClock.index` points at the other slot;
/// a reader that finds `index` unchanged after reading them has read one whole anchor.
struct CounterAnchor: ~Copyable {
    /// Counter value at the anchor.
    let ticks = Atomic<UInt64>(0)
    /// Monotonic nanoseconds at the anchor.
    let nanoseconds = Atomic<UInt64>(0)
    /// Nanoseconds per tick, times 2^32.
    let multiplier = Atomic<UInt64>(0)
    /// Ticks for which the anchor may be used without a look at the kernel's clock: one second.
    let validTicks = Atomic<UInt64>(0)
}

/// One simultaneous reading of the counter and of the kernel's monotonic clock.
struct CounterSample {
    var ticks: UInt64
    var monotonicNanoseconds: Int64

    /// The tightest of five readings: the one during which the counter moved least.
    static func take() -> CounterSample {
        var best = CounterSample(ticks: 0, monotonicNanoseconds: 0)
        var bestSpread = UInt64.max
        for _ in 0..<5 {
            let before = admission_counter_read()
            let monotonic = KernelClock.monotonicNanoseconds()
            let after = admission_counter_read()
            let spread = after &- before
            if spread < bestSpread {
                bestSpread = spread
                best = CounterSample(
                    ticks: before &+ spread / 2, monotonicNanoseconds: monotonic)
            }
        }
        return best
    }
}

/// The kernel's clocks, in nanoseconds.
package enum KernelClock {
    /// `CLOCK_MONOTONIC`.
    package static func monotonicNanoseconds() -> Int64 { read(CLOCK_MONOTONIC) }

    /// `CLOCK_REALTIME`, as nanoseconds since 1970.
    package static func wallNanoseconds() -> Int64 {
        read(CLOCK_REALTIME) &+ wallStep.load(ordering: .relaxed)
    }

    /// Nanoseconds by which a test has stepped this process's wall clock, as an operator steps the
    /// host's. No decision reads it: the wall clock itself is read once a second.
    package static let wallStep = Atomic<Int64>(0)

    /// `CLOCK_MONOTONIC_COARSE`: the last tick's reading, at most some milliseconds old.
    package static func coarseNanoseconds() -> Int64 { read(CLOCK_MONOTONIC_COARSE) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
