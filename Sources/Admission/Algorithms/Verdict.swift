/// A pure algorithm's answer about one limit: what the state allows, without changing it.
package struct Verdict: Sendable, Hashable {
    /// Why not.
    package enum Refusal: UInt8, Sendable {
        /// Nothing stands against the charge.
        case none = 0
        /// The cost is above the limit: no state would admit it.
        case exceedsLimit = 1
        /// All slots are taken; nobody knows until when.
        case concurrency = 2
        /// Not until `retryAfterNanoseconds` have passed.
        case exhausted = 3
        /// The cost is 0 on this limit, but more than the limit was used.
        case debt = 4
        /// The guard time behind a calendar boundary has not passed.
        case boundaryGuard = 5
        /// The store could not be reached, and nothing may go without it.
        case storeUnavailable = 6
    }

    /// `.none`: the charge fits.
    package var refusal: Refusal
    /// Nanoseconds after which the same charge would fit if nothing else happened; 0 when it fits.
    package var retryAfterNanoseconds: Int64
    /// Units left before the charge, never below 0.
    package var remaining: Int64

    package init(_ refusal: Refusal, retryAfterNanoseconds: Int64 = 0, remaining: Int64) {
        self.refusal = refusal
        self.retryAfterNanoseconds = retryAfterNanoseconds
        self.remaining = remaining
    }
}
