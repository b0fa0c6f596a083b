/// Sums that stay at the end of their range instead of trapping or wrapping.
extension UInt64 {
    @inline(__always)
    func addingSaturated(_ other: UInt64, atMost ceiling: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? ceiling : Swift.min(sum, ceiling)
    }

    @inline(__always)
    func multipliedSaturated(_ other: UInt64, atMost ceiling: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ceiling : Swift.min(product, ceiling)
    }
}

extension Int64 {
    /// The product, or the end of the range.
    package func multipliedSaturated(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }

    /// The sum, or the end of the range.
    @inline(__always)
    package func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
