/// Replays a workload against a policy with the code that decides in production, on virtual time.
///
/// ```swift
/// let report = try Simulator(policy: document).run(workload)
/// print(report.admitted.calls, report.rejectedCount)
/// ```
///
/// Each call is tried once, at its instant; what is rejected is gone: callers that wait or retry
/// are not modelled. An admitted call is completed with what the workload says it used, after the
/// time that `Options` gives it. The same policy, workload and options give the same report, to the
/// last digit.
public struct Simulator: Sendable {
    /// How calls that were admitted go on.
    public struct Options: Sendable, Hashable {
        /// How long a call takes before its first output token, 0 or more.
        public var firstTokenNanoseconds: Int64 = 300_000_000
        /// How long each output token takes, 0 or more.
        public var outputTokenNanoseconds: Int64 = 15_000_000
        /// The output tokens that a caller expects of every call, 0 to `Workload.maximumTokens`;
        /// nil: exactly those that will come. Input tokens are always known beforehand.
        public var expectedOutputTokens: Int64?
        /// The most calls in flight at once; one more is the error `permitTableFull`.
        public var permitCapacity: Int = 65_536

        /// The defaults above.
        public init() {}
    }

    /// What is enforced.
    public let policy: PolicyDocument
    /// How calls go on.
    public let options: Options

    /// A simulator; nothing is computed yet.
    ///
    /// The ranges of the options are the caller's part: the process ends where one is broken.
    public init(policy: PolicyDocument, options: Options = Options()) {
        let expected = options.expectedOutputTokens ?? 0
        precondition(
            (0...Workload.maximumTokens).contains(expected),
            "\(expected) expected output tokens; 0 to \(Workload.maximumTokens) fit")
        precondition(
            options.firstTokenNanoseconds >= 0 && options.outputTokenNanoseconds >= 0,
            "a call takes \(options.firstTokenNanoseconds) ns and "
                + "\(options.outputTokenNanoseconds) ns a token; 0 or more fit")
        self.policy = policy
        self.options = options
    }

    /// Replays a workload from fresh counters.
    ///
    /// - Throws: What `Limiter` throws: `missingAttribute` where a policy counts by an attribute
    ///   that a caller lacks, `keyTableFull`, `permitTableFull`.
    /// - Complexity: O(arrivals × (limits + log calls in flight)); keeps one log entry for each
    ///   decision and settlement.
    public func run(_ workload: Workload) throws(LimiterError) -> SimulationReport {
        var run = try SimulationRun(policy: policy, options: options, workload: workload)
        for (index, arrival) in workload.arrivals.enumerated() {
            try run.settleCalls(untilNanoseconds: arrival.offsetNanoseconds)
            try run.arrive(index, arrival)
        }
        try run.settleCalls(untilNanoseconds: .max)
        return try run.report()
    }
}

/// One replay while it goes on.
private struct SimulationRun {
    private let policy: PolicyDocument
    private let options: Simulator.Options
    private let workload: Workload
    private let gates: [Gate]
    private var clock: VirtualClock
    /// How often the leases of open calls are renewed, as a process does.
    private let beatNanoseconds: Int64
    /// When they are renewed next; means nothing while no call is open.
    private var nextBeatNanoseconds: Int64 = 0
    private var calls = CallHeap()
    private var log = DecisionLog()
    private var admitted = TrafficSummary.Builder()
    private var offered = TrafficSummary.Builder()
    private var rejections: RejectionTable
    private var unlimitedCount = 0
    private var leasesExpiredCount = 0

    init(
        policy: PolicyDocument, options: Simulator.Options, workload: Workload
    ) throws(LimiterError) {
        var limiterOptions = Limiter.Options()
        limiterOptions.store = "memory:"
        limiterOptions.clock = .manual(startUnixNanoseconds: workload.startUnixNanoseconds)
        limiterOptions.permitCapacity = options.permitCapacity
        // Leases are renewed here: the limiter would look through its permits at every step.
        limiterOptions.heartbeat = .manual
        let limiter = try Limiter(policy: policy, options: limiterOptions)
        var gates: [Gate] = []
        for caller in workload.callers { gates.append(try limiter.gate(caller)) }
        self.policy = policy
        self.options = options
        self.workload = workload
        self.gates = gates
        clock = VirtualClock(driving: limiter)
        beatNanoseconds = policy.shortestBeatNanoseconds
        rejections = RejectionTable(policy)
    }

    mutating func arrive(_ index: Int, _ arrival: Workload.Arrival) throws(LimiterError) {
        try advance(toNanoseconds: arrival.offsetNanoseconds)
        let cost = Cost(
            inputTokens: arrival.inputTokens,
            outputTokens: options.expectedOutputTokens ?? arrival.outputTokens)
        offered.add(arrival, cost)
        switch try gates[arrival.caller].tryAcquire(cost) {
        case .admitted(let permit):
            admitted.add(arrival, cost)
            if permit.binding.policyName == nil { unlimitedCount += 1 }
            record(.admitted, index, arrival, cost, at: permit.binding)
            let finish = arrival.offsetNanoseconds.saturatingAdd(
                options.serviceNanoseconds(of: arrival))
            if calls.isEmpty {
                nextBeatNanoseconds = clock.elapsedNanoseconds.saturatingAdd(beatNanoseconds)
            }
            calls.push(
                OpenCall(permit: permit, index: index, finishNanoseconds: finish))
        case .rejected(let rejection):
            record(.rejected, index, arrival, cost, at: rejection.binding)
            rejections.note(rejection, atNanoseconds: arrival.offsetNanoseconds)
        }
    }

    /// Completes the calls that are done by then, in the order of their ends.
    mutating func settleCalls(untilNanoseconds end: Int64) throws(LimiterError) {
        while let call = calls.pop(untilNanoseconds: end) {
            try advance(toNanoseconds: call.finishNanoseconds, finishing: call)
            let arrival = workload.arrivals[call.index]
            let settlement = try call.complete(
                Usage(inputTokens: arrival.inputTokens, outputTokens: arrival.outputTokens))
            if settlement == .leaseExpired { leasesExpiredCount += 1 }
            log.append(
                DecisionLog.Entry(
                    .settled, call: call.index, caller: arrival.caller,
                    atNanoseconds: clock.elapsedNanoseconds, inputTokens: arrival.inputTokens,
                    outputTokens: arrival.outputTokens))
        }
    }

    /// Moves the clock, and renews the open calls' leases beat by beat on the way.
    private mutating func advance(
        toNanoseconds instant: Int64, finishing call: OpenCall? = nil
    ) throws(LimiterError) {
        while nextBeatNanoseconds <= instant, call != nil || !calls.isEmpty {
            try clock.advance(toNanoseconds: nextBeatNanoseconds)
            call?.renew()
            calls.renewAll()
            nextBeatNanoseconds = nextBeatNanoseconds.saturatingAdd(beatNanoseconds)
        }
        try clock.advance(toNanoseconds: instant)
    }

    private mutating func record(
        _ event: DecisionLog.Event, _ index: Int, _ arrival: Workload.Arrival, _ cost: Cost,
        at binding: Binding
    ) {
        let at = binding.decidedAtWall.unixNanoseconds - workload.startUnixNanoseconds
        log.append(
            DecisionLog.Entry(
                event, call: index, caller: arrival.caller, atNanoseconds: at,
                requests: cost.requests, inputTokens: cost.inputTokens,
                outputTokens: cost.outputTokens))
    }

    func report() throws(LimiterError) -> SimulationReport {
        var checker = try InvariantChecker(
            policy: policy, callers: workload.callers,
            startUnixNanoseconds: workload.startUnixNanoseconds)
        checker.check(log)
        return SimulationReport(
            workload: workload, policyHash: policy.hash, offered: offered.summary,
            admitted: admitted.summary, unlimitedCount: unlimitedCount,
            leasesExpiredCount: leasesExpiredCount, rejections: rejections, checker: checker,
            log: log)
    }
}

extension Simulator.Options {
    /// How long a call takes from its admission to its completion.
    fileprivate func serviceNanoseconds(of arrival: Workload.Arrival) -> Int64 {
        let (tokens, overflows) = arrival.outputTokens.multipliedReportingOverflow(
            by: outputTokenNanoseconds)
        return overflows ? .max : firstTokenNanoseconds.saturatingAdd(tokens)
    }
}

extension Int64 {
    fileprivate func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}

extension PolicyDocument {
    /// A third of the shortest lease, as a process renews them; without leases, no beat.
    fileprivate var shortestBeatNanoseconds: Int64 {
        var shortest = Int64.max
        for limit in policies.flatMap(\.limits) {
            guard case .concurrency(_, let leaseNanoseconds, _) = limit.kind else { continue }
            shortest = min(shortest, leaseNanoseconds / 3)
        }
        return shortest
    }
}

/// An admitted call until it is completed. It is a class because a permit cannot be copied, and the
/// heap moves what it holds.
private final class OpenCall {
    private var permit: Permit?
    let index: Int
    let finishNanoseconds: Int64

    init(permit: consuming Permit, index: Int, finishNanoseconds: Int64) {
        self.permit = consume permit
        self.index = index
        self.finishNanoseconds = finishNanoseconds
    }

    func complete(_ usage: Usage) throws(LimiterError) -> Settlement {
        guard let permit = permit.take() else { return .alreadyCompleted }
        return try permit.complete(usage)
    }

    /// Renews its leases; one that was held for as long as it may be stays ended.
    func renew() {
        _ = permit?.renew()
    }

    /// Whether it ends first; of equal ends the one that came first.
    func ends(before other: OpenCall) -> Bool {
        (finishNanoseconds, index) < (other.finishNanoseconds, other.index)
    }
}

/// The calls in flight, the next to end on top: a binary heap.
private struct CallHeap {
    private var calls: [OpenCall] = []

    var isEmpty: Bool { calls.isEmpty }

    func renewAll() {
        for call in calls { call.renew() }
    }

    mutating func push(_ call: OpenCall) {
        var position = calls.count
        calls.append(call)
        while position > 0, call.ends(before: calls[(position - 1) / 2]) {
            calls.swapAt(position, (position - 1) / 2)
            position = (position - 1) / 2
        }
    }

    /// Takes the next call to end, unless it ends after that instant.
    mutating func pop(untilNanoseconds end: Int64) -> OpenCall? {
        guard let first = calls.first, first.finishNanoseconds <= end else { return nil }
        calls.swapAt(0, calls.count - 1)
        calls.removeLast()
        var position = 0
        while true {
            var least = position
            for child in [2 * position + 1, 2 * position + 2]
            where child < calls.count && calls[child].ends(before: calls[least]) {
                least = child
            }
            guard least != position else { return first }
            calls.swapAt(position, least)
            position = least
        }
    }
}
