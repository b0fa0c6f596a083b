/// What a limiter was asked and what it answered, in order, as plain numbers.
///
/// It is what an oracle reads: nothing in it comes from the limiter's counters. The log grows with
/// the workload; it has no bound of its own.
public struct DecisionLog: Sendable, Hashable {
    /// What happened to a call.
    public enum Event: UInt8, Sendable, Hashable {
        /// It was admitted; the entry's amounts are its cost.
        case admitted = 1
        /// It was rejected; the entry's amounts are its cost.
        case rejected = 2
        /// It was completed; the entry's amounts are its usage.
        case settled = 3
    }

    /// One thing that happened.
    public struct Entry: Sendable, Hashable {
        /// What happened.
        public var event: Event
        /// The call, as an index into the workload's arrivals.
        public var call: Int
        /// Who called, as an index into the workload's callers.
        public var caller: Int
        /// The decision's own instant, in nanoseconds after the workload's start.
        public var atNanoseconds: Int64
        /// Requests of the cost or usage.
        public var requests: Int64
        /// Input tokens of the cost or usage.
        public var inputTokens: Int64
        /// Output tokens of the cost or usage.
        public var outputTokens: Int64

        /// An entry; by default one request without tokens, of the only caller.
        public init(
            _ event: Event, call: Int, caller: Int = 0, atNanoseconds: Int64, requests: Int64 = 1,
            inputTokens: Int64 = 0, outputTokens: Int64 = 0
        ) {
            self.event = event
            self.call = call
            self.caller = caller
            self.atNanoseconds = atNanoseconds
            self.requests = requests
            self.inputTokens = inputTokens
            self.outputTokens = outputTokens
        }

        /// How much the entry has of a count: 0 of one that a workload does not know.
        func amount(of count: Count) -> Int64 {
            switch count {
            case .requests: requests
            case .inputTokens: inputTokens
            case .outputTokens: outputTokens
            case .tokens: inputTokens + outputTokens
            case .concurrency: 1
            default: 0
            }
        }
    }

    /// What happened, in order.
    public private(set) var entries: [Entry] = []

    /// An empty log.
    public init() {}

    /// Adds what happened next.
    public mutating func append(_ entry: Entry) {
        entries.append(entry)
    }

    /// A number that differs where two logs differ (FNV-1a, 64 bits).
    public var digest: UInt64 {
        var digest = Digest()
        for entry in entries {
            digest.add(Int64(entry.event.rawValue))
            digest.add(Int64(entry.call))
            digest.add(Int64(entry.caller))
            digest.add(entry.atNanoseconds)
            digest.add(entry.requests)
            digest.add(entry.inputTokens)
            digest.add(entry.outputTokens)
        }
        return digest.value
    }
}
