/// The two times of a store, as decisions read them.
///
/// On a manual clock both are words that `advance` and `setTime` move; else they are the process's
/// counter clock. A value of this type is a few addresses and is copied freely.
package struct StoreClock: Sendable {
    package let isManual: Bool
    private let steady: SharedWord
    private let offset: SharedWord
    /// Added to the process's steady nanoseconds: what a file that outlived a boot brings along.
    package let steadyOffset: Int64

    /// The system's clocks.
    ///
    /// - Parameter steadyOffset: nanoseconds, see `SegmentClock`; 0 in memory.
    package init(steadyOffset: Int64 = 0) {
        isManual = false
        self.steadyOffset = steadyOffset
        let unused = ProcessIdentity.word
        steady = unused
        offset = unused
        CounterClock.start()
    }

    /// A clock that stands still until it is moved.
    ///
    /// - Parameters:
    ///   - steady: word with steady nanoseconds; owned by the caller.
    ///   - wallOffset: word with wall minus steady nanoseconds.
    package init(steady: SharedWord, wallOffset: SharedWord) {
        isManual = true
        self.steady = steady
        offset = wallOffset
        steadyOffset = 0
    }

    /// Steady nanoseconds.
    @inline(__always)
    package func now() -> Int64 {
        if _slowPath(isManual) { return manualNow() }
        return CounterClock.shared.nanoseconds() &+ steadyOffset
    }

    /// Wall minus steady nanoseconds.
    @inline(__always)
    package func wallOffset() -> Int64 {
        if _slowPath(isManual) { return Int64(bitPattern: offset.load()) }
        return CounterClock.shared.wallOffsetNanoseconds() &- steadyOffset
    }

    /// Steady nanoseconds, some milliseconds late, at a third of the cost.
    @inline(__always)
    package func coarseNow() -> Int64 {
        if _slowPath(isManual) { return manualNow() }
        return CounterClock.shared.coarseNanoseconds() &+ steadyOffset
    }

    /// Cut to instants that make sense, whatever another program wrote there since it was opened.
    private func manualNow() -> Int64 {
        Int64(bitPattern: steady.load() & UInt64(SegmentClock.largest - 1))
    }
}
