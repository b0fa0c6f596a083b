/// One count and how much of it.
public struct CountAmount: Sendable, Hashable {
    /// What is counted.
    public var count: Count
    /// How much, in units of that count.
    public var amount: Int64

    /// So much of that count.
    public init(_ count: Count, _ amount: Int64) {
        self.count = count
        self.amount = amount
    }
}

/// What a caller expects a request to use.
///
/// ```swift
/// let cost = Cost(inputTokens: 1_200)
/// let image = Cost(extra: [CountAmount(Count("images"), 2)])
/// ```
///
/// A count that is not named is 0, except `requests`, which is 1. Concurrency is always 1 and
/// cannot be set. Amounts are checked when the cost is used: a negative one is
/// `LimiterError.Code.negativeCost`.
public struct Cost: Sendable, Hashable {
    /// Requests, 0 or more.
    public var requests: Int64
    /// Tokens that the caller sends, 0 or more.
    public var inputTokens: Int64
    /// Tokens that the caller expects back, 0 or more.
    public var outputTokens: Int64
    /// Further counts by name; those of the properties above do not belong here.
    public var extra: [CountAmount]

    /// A cost of these amounts; nothing is checked before it is used.
    public init(
        requests: Int64 = 1, inputTokens: Int64 = 0, outputTokens: Int64 = 0,
        extra: [CountAmount] = []
    ) {
        self.requests = requests
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.extra = extra
    }
}

/// What a request really used, told when its permit is completed.
///
/// A count that is nil counts as charged. A negative one is `LimiterError.Code.negativeUsage`.
public struct Usage: Sendable, Hashable {
    /// Requests, or nil: as charged.
    public var requests: Int64?
    /// Tokens sent, or nil: as charged.
    public var inputTokens: Int64?
    /// Tokens received, or nil: as charged.
    public var outputTokens: Int64?
    /// Further counts by name; a count that is left out counts as charged.
    public var extra: [CountAmount]
    /// Whether the numbers are the whole usage. False: a lower bound (the stream broke), so an
    /// excess over the charge is booked and nothing is given back.
    public var isExact: Bool

    /// Everything as charged.
    public static let asCharged = Usage()

    /// A usage of these amounts; nothing is checked before it is used.
    public init(
        requests: Int64? = nil, inputTokens: Int64? = nil, outputTokens: Int64? = nil,
        extra: [CountAmount] = [], isExact: Bool = true
    ) {
        self.requests = requests
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.extra = extra
        self.isExact = isExact
    }
}
