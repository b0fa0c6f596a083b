/// How requests that do not fit wait: a document's `queue`.
public struct QueueSettings: Sendable, Hashable {
    /// The attribute whose values are served fairly beside each other, or nil: one flow.
    public var flow: String?
    /// The most requests that may wait on one limiter, 1 to 10,000,000; a newcomer beyond is
    /// rejected.
    public var maxWaiting: Int
    /// The classes a request may name, most 64; empty: one class.
    public var priorities: [PriorityShare]

    /// Settings with a document's defaults; they are checked when the document is made.
    public init(flow: String? = nil, maxWaiting: Int = 10_000, priorities: [PriorityShare] = []) {
        self.flow = flow
        self.maxWaiting = maxWaiting
        self.priorities = priorities
    }
}

/// A class of waiting requests and its part of the capacity.
public struct PriorityShare: Sendable, Hashable {
    /// The name that a cost gives, unique in its document.
    public var name: String
    /// Its part of the capacity beside the other classes' shares, 1 to 1,000,000.
    public var share: Int64

    /// A class of that name with that share; checked when the document is made.
    public init(name: String, share: Int64) {
        self.name = name
        self.share = share
    }
}

/// What to do when a shared store is slow, gone or empty: a document's `store`.
///
/// A limiter whose counters are in `memory:` has no use for any of it.
public struct StoreSettings: Sendable, Hashable {
    /// What a decision is while the store cannot be reached.
    public var onOutage: OutageResponse
    /// What follows when the store has lost its counters.
    public var onLoss: LossResponse
    /// How long a call to the store may take, 1 ms to 60 s; default 50 ms.
    public var deadlineNanoseconds: Int64
    /// Whether processes take pre-charged slices of a limit and spend them locally.
    public var usesSlices: Bool
    /// How long a slice lives from the instant it was asked for, 1 ms to 60 s; default 500 ms.
    public var sliceTTLNanoseconds: Int64
    /// How many processes share the limits, 1 to 1,000,000, or nil: not told.
    public var processes: Int?
    /// The part of each limit that a process holds pre-charged for an outage, or nil: none.
    public var outageShare: OutageShare?

    /// Settings with a document's defaults; they are checked when the document is made.
    public init(
        onOutage: OutageResponse = .reject, onLoss: LossResponse = .hold,
        deadlineNanoseconds: Int64 = 50_000_000, usesSlices: Bool = false,
        sliceTTLNanoseconds: Int64 = 500_000_000, processes: Int? = nil,
        outageShare: OutageShare? = nil
    ) {
        self.onOutage = onOutage
        self.onLoss = onLoss
        self.deadlineNanoseconds = deadlineNanoseconds
        self.usesSlices = usesSlices
        self.sliceTTLNanoseconds = sliceTTLNanoseconds
        self.processes = processes
        self.outageShare = outageShare
    }

    /// What a decision is while the store cannot be reached.
    public enum OutageResponse: String, Sendable, Hashable, CaseIterable {
        /// Reject: nothing is exceeded.
        case reject
        /// Admit without counting.
        case admit
        /// Spend only what this process holds for an outage (`outageShare`, or the limit divided
        /// by `processes`); with neither it holds nothing, and rejects.
        case local
    }

    /// What follows when the store has lost its counters.
    public enum LossResponse: String, Sendable, Hashable, CaseIterable {
        /// Count every limit as full until it would have recovered: nothing is exceeded.
        case hold
        /// Start again from fresh counters.
        case reset
    }
}

/// A part of a limit, as an exact fraction; a document writes it as text: `"1/4"`.
public struct OutageShare: Sendable, Hashable {
    /// 1 to the denominator.
    public var numerator: Int64
    /// 1 to 1,000,000.
    public var denominator: Int64

    /// That fraction; checked when the document is made.
    public init(numerator: Int64, denominator: Int64) {
        self.numerator = numerator
        self.denominator = denominator
    }
}
