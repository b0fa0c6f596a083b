/// How long to stay away after failures in a row: exponential, with full jitter.
///
/// The wait before attempt n is a random time between 0 and `base · 2^n`, and never above the
/// ceiling (Brooker, "Exponential Backoff and Jitter", 2015,
/// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): processes that lost
/// one server at the same instant do not come back at the same instant. Pure: the caller brings the
/// random bits, keeps the count and does the waiting.
package struct Backoff: Sendable, Hashable {
    /// The longest wait before attempt 0; above 0.
    package let baseNanoseconds: Int64
    /// The longest wait before any attempt; at least the base.
    package let ceilingNanoseconds: Int64

    package init(baseNanoseconds: Int64, ceilingNanoseconds: Int64) {
        precondition(
            baseNanoseconds > 0 && ceilingNanoseconds >= baseNanoseconds,
            "a backoff from \(baseNanoseconds) to \(ceilingNanoseconds) ns")
        self.baseNanoseconds = baseNanoseconds
        self.ceilingNanoseconds = ceilingNanoseconds
    }

    /// The longest wait before an attempt.
    ///
    /// - Parameter attempt: from 0; what is below counts as 0.
    package func longestNanoseconds(attempt: Int) -> Int64 {
        let doublings = max(0, attempt)
        guard doublings < baseNanoseconds.leadingZeroBitCount - 1 else { return ceilingNanoseconds }
        return min(baseNanoseconds << Int64(doublings), ceilingNanoseconds)
    }

    /// The wait before an attempt: every whole number of nanoseconds from 0 to the longest is as
    /// likely as the others.
    ///
    /// - Parameter random: 64 random bits.
    package func nanoseconds(attempt: Int, random: UInt64) -> Int64 {
        let values = UInt64(longestNanoseconds(attempt: attempt)) + 1
        return Int64(random.multipliedFullWidth(by: values).high)
    }
}
