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
/// happens in it is computed. It renews no leases: who steps over a lease's end with permits open
/// renews them on the way.
public struct VirtualClock: Sendable {
    /// The limiter whose time this is; nothing else may advance it.
    public let limiter: Limiter
    /// Nanoseconds since the clock began to drive the limiter.
    public private(set) var elapsedNanoseconds: Int64 = 0

    /// A clock at 0, for a limiter that was opened with a manual clock.
    public init(driving limiter: Limiter) {
        self.limiter = limiter
    }

    /// Moves to that many nanoseconds since the start, not before `elapsedNanoseconds`.
    ///
    /// - Throws: `clockBackwards` for an instant that has passed, `notManualClock`.
    public mutating func advance(toNanoseconds instant: Int64) throws(LimiterError) {
        guard instant != elapsedNanoseconds else { return }
        try limiter.advance(nanoseconds: instant - elapsedNanoseconds)
        elapsedNanoseconds = instant
    }
}
