/// Moves a limiter's manual clock, as far as the next thing that happens.
///
/// ```swift
/// var options = Limiter.Options()
/// options.clock = .manual(startUnixNanoseconds: 0)
/// var clock = VirtualClock(driving: try Limiter(policy: document, options: options))
/// try clock.advance(toNanoseconds: 1_500_000_000)
/// ```
///
/// It only goes forward, and only when it is told: nothing waits, so an hour passes as fast as what
/// happens in it is computed.
public struct VirtualClock: Sendable {
    /// The limiter whose time this is; nothing else may advance it.
    public let limiter: Limiter
    /// Nanoseconds since the clock began to drive the limiter.
    public private(set) var elapsedNanoseconds: Int64 = 0
    /// The longest step while permits are open, so that their leases are renewed in time; at
    /// least 1.
    private let beatNanoseconds: Int64

    /// A clock at 0.
    ///
    /// - Parameters:
    ///   - limiter: Opened with a manual clock.
    ///   - beatNanoseconds: How often leases are renewed, 1 or more: a third of the shortest lease.
    public init(driving limiter: Limiter, beatNanoseconds: Int64 = .max) {
        precondition(beatNanoseconds >= 1, "a beat lasts at least 1 ns, not \(beatNanoseconds)")
        self.limiter = limiter
        self.beatNanoseconds = beatNanoseconds
    }

    /// Moves to that many nanoseconds since the start.
    ///
    /// - Parameters:
    ///   - instant: Nanoseconds since the start, not before `elapsedNanoseconds`.
    ///   - isHoldingPermits: Whether permits are open: then it goes beat by beat.
    /// - Throws: `clockBackwards` for an instant that has passed, `notManualClock`.
    public mutating func advance(
        toNanoseconds instant: Int64, isHoldingPermits: Bool = false
    ) throws(LimiterError) {
        let longest = isHoldingPermits ? beatNanoseconds : .max
        repeat {
            let step = min(instant - elapsedNanoseconds, longest)
            guard step != 0 else { return }
            try limiter.advance(nanoseconds: step)
            elapsedNanoseconds += step
        } while elapsedNanoseconds < instant
    }
}
