/// How a decision over a whole plan ended.
package struct ChargeResult {
    package enum Outcome: UInt8, Sendable {
        case admitted
        case rejected
        /// The plan is out of date: resolve the gate anew and try again.
        case stale
        /// No room for another slot: see `failure`.
        case failed
    }

    /// As whole words: a field of one byte is copied with its padding in overlapping pieces, each of
    /// which waits for the one before.
    private var outcomeWord: UInt64
    /// A rejection's refusal, or a failure's reason.
    private var reasonWord: UInt64 = 0

    package var outcome: Outcome {
        @inline(__always) get {
            Outcome(rawValue: UInt8(truncatingIfNeeded: outcomeWord)) ?? .failed
        }
        @inline(__always) set { outcomeWord = UInt64(newValue.rawValue) }
    }
    package var refusal: Verdict.Refusal {
        @inline(__always) get {
            Verdict.Refusal(rawValue: UInt8(truncatingIfNeeded: reasonWord)) ?? .none
        }
        @inline(__always) set { reasonWord = UInt64(newValue.rawValue) }
    }
    /// Why it failed; only of one whose outcome says so.
    package var failure: StoreFailure {
        get { StoreFailure(rawValue: reasonWord) ?? .unavailable }
        set { reasonWord = newValue.rawValue }
    }

    @inline(__always)
    package var isAdmitted: Bool { outcomeWord == 0 }

    /// The decision's own steady instant.
    package var now: Int64
    /// Wall minus steady nanoseconds at the decision.
    package var wallOffset: Int64
    /// Index of the step that the answer speaks of; -1 for a plan without steps.
    package var step: Int = -1
    /// Units left on that step.
    package var remaining: Int64 = 0
    package var retryAfterNanoseconds: Int64 = 0
    package var asked: Int64 = 0

    @inline(__always)
    package init(outcome: Outcome, now: Int64, wallOffset: Int64) {
        outcomeWord = UInt64(outcome.rawValue)
        self.now = now
        self.wallOffset = wallOffset
    }

    /// Nothing was decided.
    package static var none: ChargeResult {
        ChargeResult(outcome: .failed, now: 0, wallOffset: 0)
    }
}
