/// Whether it is worth asking a server that failed, so that a dead one costs nobody time.
///
/// Closed: everybody asks. After `threshold` failures in a row it opens: nobody asks until an
/// instant that the backoff gives, longer each time. Then it is half open: one caller asks, the
/// others are still refused; an answer closes it, a failure opens it again. An answer closes it in
/// every state (Nygard, "Release It!", 2007), but for one that nobody waits for any more: that server
/// lives, and is too slow for those who ask. It is asked again soon, by one caller at a time.
///
/// Pure: instants are nanoseconds of one monotonic clock. It does not know what a failure is.
package struct Circuit: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        case closed(failures: Int)
        case open(untilNanoseconds: Int64)
        /// One caller was let through; another one may go where it has not reported by then.
        case halfOpen(untilNanoseconds: Int64)
    }

    /// What a caller may do.
    package enum Passage: Sendable, Hashable {
        case free
        /// As the one caller of a half-open circuit, which reports how it went.
        case probe
        /// Not now; not before that instant, and perhaps not then.
        case refused(untilNanoseconds: Int64)
    }

    package let threshold: Int
    package private(set) var backoff: Backoff
    /// How long a half-open circuit waits for its one caller.
    package let probeNanoseconds: Int64
    package private(set) var state = State.closed(failures: 0)
    /// Times that it opened since the last answer.
    package private(set) var openings = 0

    /// - Parameter threshold: failures in a row that open it; at least 1.
    package init(threshold: Int, backoff: Backoff, probeNanoseconds: Int64) {
        precondition(threshold > 0 && probeNanoseconds > 0, "a circuit without bounds")
        self.threshold = threshold
        self.backoff = backoff
        self.probeNanoseconds = probeNanoseconds
    }

    /// Stays open no longer than this at a time, 1 ns or more.
    package mutating func limitBackoff(nanoseconds: Int64) {
        let ceiling = min(backoff.ceilingNanoseconds, nanoseconds)
        backoff = Backoff(
            baseNanoseconds: min(backoff.baseNanoseconds, ceiling), ceilingNanoseconds: ceiling)
    }

    /// Whether somebody may ask at `now`; the answer `probe` is given once.
    package mutating func pass(now: Int64) -> Passage {
        switch state {
        case .closed: return .free
        case .open(let until), .halfOpen(let until):
            guard now >= until else { return .refused(untilNanoseconds: until) }
            state = .halfOpen(untilNanoseconds: now.addingSaturated(probeNanoseconds))
            return .probe
        }
    }

    /// The server answered somebody.
    package mutating func succeed() {
        state = .closed(failures: 0)
        openings = 0
    }

    /// The server answered somebody who had given up.
    package mutating func hearLate(now: Int64) {
        guard case .open(let until) = state else { return }
        let pause = backoff.baseNanoseconds.multipliedSaturated(Self.latePauses)
        state = .open(untilNanoseconds: min(until, now.addingSaturated(pause)))
    }

    /// Pauses of the backoff's base until a server that answers late is asked again.
    private static let latePauses: Int64 = 8

    /// Somebody got no answer.
    ///
    /// - Parameter random: 64 random bits for the backoff.
    package mutating func fail(now: Int64, random: UInt64) {
        switch state {
        case .closed(let failures):
            state = .closed(failures: min(failures, threshold) + 1)
            if failures + 1 >= threshold { open(now: now, random: random) }
        case .halfOpen: open(now: now, random: random)
        // Who asked before it opened: that the server is dead is known already.
        case .open: break
        }
    }

    private mutating func open(now: Int64, random: UInt64) {
        let wait = backoff.nanoseconds(attempt: openings, random: random)
        state = .open(untilNanoseconds: now.addingSaturated(wait))
        openings = min(openings, 62) + 1
    }
}
