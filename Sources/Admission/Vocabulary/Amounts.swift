/// A cost as decisions take it: no ARC, valid for the call alone.
@frozen
@usableFromInline
package struct CostAmounts {
    @usableFromInline package var requests: Int64
    @usableFromInline package var inputTokens: Int64
    @usableFromInline package var outputTokens: Int64
    /// Further counts; owned by the caller.
    @usableFromInline package var extra: UnsafeBufferPointer<CountAmount>

    @inlinable @inline(__always)
    package init(
        requests: Int64, inputTokens: Int64, outputTokens: Int64,
        extra: UnsafeBufferPointer<CountAmount>
    ) {
        self.requests = requests
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.extra = extra
    }

    /// Units of one count; concurrency is always 1, a count that is not named 0.
    @inline(__always)
    func amount(ofCount index: Int32) -> Int64 {
        // Comparisons that become selections: a jump table in a loop over limits costs more.
        if index == 0 { return requests }
        if index == 1 { return inputTokens }
        if index == 4 { return 1 }
        return otherAmount(index)
    }

    @inline(never)
    private func otherAmount(_ index: Int32) -> Int64 {
        if index == 2 { return outputTokens }
        if index == 3 { return inputTokens.addingSaturated(outputTokens) }
        var sum: Int64 = 0
        for entry in extra where entry.count.index == index {
            sum = sum.addingSaturated(entry.amount)
        }
        return sum
    }

    /// Whether an amount is below 0.
    @inline(__always)
    package var hasNegative: Bool {
        if (requests | inputTokens | outputTokens) < 0 { return true }
        return !extra.isEmpty && extra.contains { $0.amount < 0 }
    }
}

/// A usage as settlement takes it; valid for the call alone.
@frozen
@usableFromInline
package struct UsageAmounts {
    /// -1: as charged.
    @usableFromInline package var requests: Int64
    /// -1: as charged.
    @usableFromInline package var inputTokens: Int64
    /// -1: as charged.
    @usableFromInline package var outputTokens: Int64
    /// Further counts, -1: as charged; owned by the caller.
    @usableFromInline package var extra: UnsafeBufferPointer<CountAmount>
    /// False: a lower bound; nothing is given back.
    @usableFromInline package var isExact: Bool

    @inlinable @inline(__always)
    package init(
        requests: Int64, inputTokens: Int64, outputTokens: Int64,
        extra: UnsafeBufferPointer<CountAmount>, isExact: Bool
    ) {
        self.requests = requests
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.extra = extra
        self.isExact = isExact
    }

    /// Whether an amount is below -1.
    @inline(__always)
    package var hasNegative: Bool {
        if requests < -1 || inputTokens < -1 || outputTokens < -1 { return true }
        return !extra.isEmpty && extra.contains { $0.amount < -1 }
    }

    /// Whether every count is as charged.
    @inline(__always)
    package var isAsCharged: Bool {
        (requests & inputTokens & outputTokens) == -1 && extra.isEmpty
    }

    /// What a further count was told to have used, or -1.
    func extraAmount(_ index: Int32) -> Int64 {
        var sum: Int64 = -1
        for entry in extra where entry.count.index == index && entry.amount >= 0 {
            sum = max(0, sum).addingSaturated(entry.amount)
        }
        return sum
    }
}

/// What one step of a decision charged, as a permit keeps it.
///
/// `place` is where it went: rolling, the cell's epoch; calendar, the window's number; concurrency,
/// the slot's offset, with the claiming word in `amount`. Usage added later goes to the cell of
/// that moment; the newest such place is kept beside the first.
package struct StepCharge {
    package var amount: Int64 = 0
    package var place: UInt64 = 0
    package var laterAmount: Int64 = 0
    package var laterPlace: UInt64 = 0
    /// Everything charged, additions to places that are not kept any more included.
    package var total: Int64 = 0

    package init() {}
}
