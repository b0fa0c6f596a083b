/// What a policy did to a workload.
///
/// ```swift
/// let report = try Simulator(policy: document).run(workload)
/// for limit in report.limits { print(limit.limit.name, limit.peak, limit.limit.kind.capacity) }
/// ```
///
/// Use and peaks are recomputed from the plain log, not read from the limiter's counters.
public struct SimulationReport: Sendable {
    /// What the workload calls itself.
    public let title: String
    /// The workload's digest: reports with the same one are about the same calls.
    public let workloadDigest: UInt64
    /// The hash of the policy document.
    public let policyHash: UInt64
    /// Wall time of the workload's start.
    public let startUnixNanoseconds: Int64
    /// Nanoseconds from the start to the last arrival.
    public let durationNanoseconds: Int64
    /// All calls of the workload, with what their callers expected.
    public let offered: TrafficSummary
    /// The calls that were admitted, likewise.
    public let admitted: TrafficSummary
    /// Admitted calls that no limit applied to.
    public let unlimitedCount: Int
    /// Calls that ran longer than their lease could be held.
    public let leasesExpiredCount: Int
    /// Why calls were rejected: the limit that bound, in document order, and the reason.
    public let rejections: [RejectionSummary]
    /// Each limit of the document, in its order.
    public let limits: [LimitSummary]
    /// Admissions above a limit, found in the log: none, unless the limiter is at fault. At most
    /// `InvariantChecker.maximumViolations`.
    public let violations: [InvariantChecker.Violation]
    /// How many there were in all.
    public let violationCount: Int
    /// Every decision and settlement.
    public let log: DecisionLog

    init(
        workload: Workload, policyHash: UInt64, offered: TrafficSummary, admitted: TrafficSummary,
        unlimitedCount: Int, leasesExpiredCount: Int, rejections: RejectionTable,
        checker: InvariantChecker, log: DecisionLog
    ) {
        title = workload.title
        workloadDigest = workload.digest
        self.policyHash = policyHash
        startUnixNanoseconds = workload.startUnixNanoseconds
        durationNanoseconds = workload.durationNanoseconds
        self.offered = offered
        self.admitted = admitted
        self.unlimitedCount = unlimitedCount
        self.leasesExpiredCount = leasesExpiredCount
        self.rejections = rejections.summaries
        limits = checker.accounts.map { account in
            LimitSummary(
                account,
                peakAttributes: account.peak > 0 ? workload.callers[account.peakCaller] : [],
                rejectedCount: rejections.count(
                    policyName: account.policyName, limitName: account.limit.name),
                durationNanoseconds: workload.durationNanoseconds)
        }
        violations = checker.violations
        violationCount = checker.violationCount
        self.log = log
    }

    /// Calls that were rejected, those that can never be admitted included.
    public var rejectedCount: Int {
        rejections.reduce(0) { $0 + $1.count }
    }

    /// Calls that cost more than a limit can hold.
    public var neverCount: Int {
        rejections.reduce(0) { $0 + ($1.reason == .exceedsLimit ? $1.count : 0) }
    }
}

/// Calls that one limit turned away for one reason.
public struct RejectionSummary: Sendable, Hashable {
    /// Nil where the decision named no limit.
    public let policyName: String?
    /// Nil likewise.
    public let limitName: String?
    /// Why the limit turned them away.
    public let reason: RejectionReason
    /// How many calls, at least one.
    public internal(set) var count: Int
    /// When the first one was, in nanoseconds after the workload's start.
    public let firstAtNanoseconds: Int64
    /// When the last one was, likewise.
    public internal(set) var lastAtNanoseconds: Int64
}

/// What one limit held in the course of a simulation.
public struct LimitSummary: Sendable, Hashable {
    /// The policy that declares it.
    public let policyName: String
    /// The limit as the policy declares it.
    public let limit: Limit
    /// How many keys the workload's callers have in it; 0: it applied to nobody.
    public let keyCount: Int
    /// Units of admitted calls, after settlement, over all keys.
    public let units: Int64
    /// The most that one key held at an instant; above the capacity only by usage that exceeded
    /// its cost.
    public let peak: Int64
    /// When it first held that, in nanoseconds after the workload's start.
    public let peakAtNanoseconds: Int64
    /// The attributes of a caller of the key that held it; empty where nothing was used.
    public let peakAttributes: [Attribute]
    /// Calls that this limit turned away.
    public let rejectedCount: Int
    /// Thousandths of what all its keys could have admitted in the workload's duration: of a
    /// calendar limit the peak's share, of concurrency the mean of the slots in use.
    public let usedPermille: Int64

    init(
        _ account: LimitAccount, peakAttributes: [Attribute], rejectedCount: Int,
        durationNanoseconds: Int64
    ) {
        policyName = account.policyName
        limit = account.limit
        keyCount = account.keyCount
        units = account.units
        peak = account.peak
        peakAtNanoseconds = account.peakAtNanoseconds
        self.peakAttributes = peakAttributes
        self.rejectedCount = rejectedCount
        let duration = Int128(durationNanoseconds)
        let keys = Int128(account.keyCount)
        let (used, possible): (Int128, Int128) =
            switch account.limit.kind {
            case .tokenBucket(let units, let periodNanoseconds, let burst):
                (
                    Int128(account.units) * Int128(periodNanoseconds),
                    (Int128(units) * duration + Int128(burst) * Int128(periodNanoseconds)) * keys
                )
            case .rollingWindow(let limit, let windowNanoseconds, _):
                (
                    Int128(account.units) * Int128(windowNanoseconds),
                    Int128(limit) * max(duration, Int128(windowNanoseconds)) * keys
                )
            case .calendarWindow(let limit, _, _, _): (Int128(account.peak), Int128(limit))
            case .concurrency(let limit, _, _):
                (account.heldNanoseconds, Int128(limit) * duration * keys)
            }
        usedPermille = possible > 0 ? Int64(clamping: used * 1000 / possible) : 0
    }
}

/// How much traffic there was, and its busiest minute: any 60 seconds, not one of the clock.
public struct TrafficSummary: Sendable, Hashable {
    /// How many calls.
    public internal(set) var calls = 0
    /// Input tokens of all calls, as their callers expected.
    public internal(set) var inputTokens: Int64 = 0
    /// Output tokens likewise.
    public internal(set) var outputTokens: Int64 = 0
    /// The most calls in 60 seconds.
    public internal(set) var busiestMinuteCalls = 0
    /// When the first of those calls came, in nanoseconds after the workload's start.
    public internal(set) var busiestMinuteCallsAtNanoseconds: Int64 = 0
    /// The most input tokens in 60 seconds.
    public internal(set) var busiestMinuteInputTokens: Int64 = 0
    /// When the first of those calls came, in nanoseconds after the workload's start.
    public internal(set) var busiestMinuteInputTokensAtNanoseconds: Int64 = 0

    /// Counts calls as they come; O(1) amortised for each.
    struct Builder {
        private(set) var summary = TrafficSummary()
        private var recent: [(atNanoseconds: Int64, inputTokens: Int64)] = []
        /// The first of `recent` that is less than 60 seconds old.
        private var first = 0
        private var recentInputTokens: Int64 = 0

        mutating func add(_ arrival: Workload.Arrival, _ cost: Cost) {
            summary.calls += 1
            summary.inputTokens += cost.inputTokens
            summary.outputTokens += cost.outputTokens
            let now = arrival.offsetNanoseconds
            while first < recent.count, now - recent[first].atNanoseconds >= 60_000_000_000 {
                recentInputTokens -= recent[first].inputTokens
                first += 1
            }
            recent.append((now, cost.inputTokens))
            recentInputTokens += cost.inputTokens
            let begin = recent[first].atNanoseconds
            if recent.count - first > summary.busiestMinuteCalls {
                summary.busiestMinuteCalls = recent.count - first
                summary.busiestMinuteCallsAtNanoseconds = begin
            }
            if recentInputTokens > summary.busiestMinuteInputTokens {
                summary.busiestMinuteInputTokens = recentInputTokens
                summary.busiestMinuteInputTokensAtNanoseconds = begin
            }
        }
    }
}

/// Counts rejections by limit and reason, in document order.
struct RejectionTable: Sendable {
    /// Each limit's place in the document, by policy and name.
    private var placeOfLimit: [LimitName: Int] = [:]
    private var rows: [Int: [RejectionSummary]] = [:]

    private struct LimitName: Hashable {
        let policy: String
        let limit: String
    }

    init(_ document: PolicyDocument) {
        for policy in document.policies {
            for limit in policy.limits {
                placeOfLimit[LimitName(policy: policy.name, limit: limit.name)] = placeOfLimit.count
            }
        }
    }

    mutating func note(_ rejection: Rejection, atNanoseconds: Int64) {
        let policyName = rejection.binding.policyName
        let limitName = rejection.binding.limitName
        let place = place(policyName: policyName, limitName: limitName)
        if let index = rows[place]?.firstIndex(where: { $0.reason == rejection.reason }) {
            rows[place]?[index].count += 1
            rows[place]?[index].lastAtNanoseconds = atNanoseconds
        } else {
            rows[place, default: []].append(
                RejectionSummary(
                    policyName: policyName, limitName: limitName, reason: rejection.reason,
                    count: 1, firstAtNanoseconds: atNanoseconds, lastAtNanoseconds: atNanoseconds))
        }
    }

    /// In document order; within a limit in the order of the first rejections.
    var summaries: [RejectionSummary] {
        rows.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    func count(policyName: String, limitName: String) -> Int {
        rows[place(policyName: policyName, limitName: limitName)]?
            .reduce(0) { $0 + $1.count } ?? 0
    }

    private func place(policyName: String?, limitName: String?) -> Int {
        guard let policyName, let limitName else { return Int.max }
        return placeOfLimit[LimitName(policy: policyName, limit: limitName)] ?? Int.max
    }
}
