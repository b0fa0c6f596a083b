/// What the limits of one gate say to a cost, without charging it.
public struct Explanation: Sendable {
    /// Every limit of the gate, in document order.
    public let limits: [LimitExplanation]
    /// Limits of the document that never mattered since it was loaded.
    public let unused: [UnusedLimit]

    /// A limit that no gate matched, or that never met a cost with its count: a silent no-op.
    public struct UnusedLimit: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// `no gate matched` or `no cost carried its count`.
        public let why: String
    }

    /// The explanation as JSON, the form that C and Python give.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("limits", each: limits) { $1.write(&$0) }
            writer.member("unused", each: unused) { writer, limit in
                writer.object { writer in
                    writer.member("policy", limit.policy)
                    writer.member("limit", limit.limit)
                    writer.member("why", limit.why)
                }
            }
        }
        return writer.text
    }
}

/// One limit of a gate at one instant.
public struct LimitExplanation: Sendable {
    /// What the limit says to the cost.
    public enum Outcome: String, Sendable { case admit, reject, never }

    /// The policy's name.
    public let policy: String
    /// The limit's name.
    public let limit: String
    /// `bucket`, `rolling`, `calendar` or `concurrency`.
    public let kind: String
    /// What it counts.
    public let count: Count
    /// The attributes whose values make the key.
    public let key: [Attribute]
    /// Burst or limit.
    public let capacity: Int64
    /// Units used; above the capacity in debt.
    public let used: Int64
    /// Whole units left, never below 0.
    public let remaining: Int64
    /// Nanoseconds until the limit is untouched again; nil for concurrency.
    public let fullAgainNanoseconds: Int64?
    /// The same as an instant.
    public let fullAgain: WallInstant?
    /// The next boundary of a calendar limit.
    public let reset: WallInstant?
    /// What it would answer to the cost.
    public let outcome: Outcome
    /// Why not; nil where it admits.
    public let reason: RejectionReason?
    /// Nanoseconds until it would admit; nil: never or unknown.
    public let retryAfterNanoseconds: Int64?
    /// Whether the decision would name this limit.
    public let binds: Bool

    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("kind", kind)
            writer.member("count", count.name)
            writer.member("key", key)
            writer.member("capacity", capacity)
            writer.member("used", used)
            writer.member("remaining", remaining)
            writer.member("full_again_in_ns", orNull: fullAgainNanoseconds)
            writer.member("full_again_unix_ns", orNull: fullAgain?.unixNanoseconds)
            writer.member("reset_unix_ns", orNull: reset?.unixNanoseconds)
            writer.member("outcome", outcome.rawValue)
            writer.member("reason", orNull: reason?.name)
            writer.member("retry_after_ns", orNull: retryAfterNanoseconds)
            writer.member("binds", binds)
        }
    }
}

extension GateStorage {
    func explain(_ cost: Cost) throws(LimiterError) -> Explanation {
        let hasNegative = cost.extra.contains { $0.amount < 0 }
        guard cost.requests >= 0, cost.inputTokens >= 0, cost.outputTokens >= 0, !hasNegative else {
            throw LimiterError(.negativeCost, "a cost is below 0; costs are 0 or more")
        }
        try core.requireFile()
        var stale: ChargePlanReference?
        for _ in 0..<1_000 {
            let plan = try currentPlan(replacing: stale)
            if plan.head.pointee.isRemote {
                return explanation(try core.viewsRemotely(plan, cost))
            }
            let views = cost.extra.withUnsafeBufferPointer { extra in
                plan.views(
                    CostAmounts(
                        requests: cost.requests, inputTokens: cost.inputTokens,
                        outputTokens: cost.outputTokens, extra: extra),
                    clock: core.store.clock)
            }
            if let views { return explanation(views) }
            stale = plan
        }
        throw LimiterError(.internalError, "the gate's keys were reclaimed a thousand times")
    }

    private func explanation(_ views: [StepView]) -> Explanation {
        let limits = views.sorted { $0.documentIndex < $1.documentIndex }.map { view in
            let wall = view.wall
            let verdict = view.verdict
            let isKnown = verdict.refusal != .exceedsLimit && verdict.refusal != .concurrency
            let reset = view.resetUnixNanoseconds
            return LimitExplanation(
                policy: view.policy, limit: view.limit.name, kind: view.limit.kind.name,
                count: view.limit.count, key: view.key, capacity: view.capacity, used: view.used,
                remaining: verdict.remaining, fullAgainNanoseconds: view.fullAgainNanoseconds,
                fullAgain: view.fullAgainNanoseconds.map {
                    WallInstant(unixNanoseconds: wall.addingSaturated($0))
                },
                reset: reset.map { WallInstant(unixNanoseconds: $0) },
                outcome: verdict.refusal == .none
                    ? .admit : verdict.refusal == .exceedsLimit ? .never : .reject,
                reason: verdict.refusal == .none
                    ? nil : RejectionReason(rawValue: Int32(verdict.refusal.rawValue)),
                retryAfterNanoseconds: isKnown ? verdict.retryAfterNanoseconds : nil,
                binds: view.binds)
        }
        return Explanation(limits: limits, unused: core.unusedLimits())
    }
}

extension LimiterCore {
    /// Limits that never mattered since the document was loaded.
    func unusedLimits() -> [Explanation.UnusedLimit] {
        let loaded = state.withLock { $0.loaded }
        var unused: [Explanation.UnusedLimit] = []
        for (policy, notes) in zip(loaded.table.document.policies, loaded.limits.notes) {
            for notes in notes {
                let why: String
                if !notes.tally.wasMatched.load(ordering: .relaxed) {
                    why = "no gate matched"
                } else if !notes.tally.wasCharged.load(ordering: .relaxed) {
                    why = "no cost carried its count"
                } else {
                    continue
                }
                unused.append(
                    Explanation.UnusedLimit(
                        policy: policy.name, limit: notes.limit.name, why: why))
            }
        }
        return unused
    }
}
