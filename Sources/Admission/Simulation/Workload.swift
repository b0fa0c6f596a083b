/// Calls over time, ready to be replayed: what arrived when, and what it really used.
///
/// ```swift
/// let trace = try Workload(trace: bytes, title: "yesterday", attributes: [Attribute("project", "acme")])
/// let made = try Workload(SyntheticTraffic(seed: 7))
/// ```
///
/// A workload is a plain value: it holds no clock, decides nothing and does not know policies.
public struct Workload: Sendable, Hashable {
    /// One call as it came in.
    public struct Arrival: Sendable, Hashable {
        /// Nanoseconds after the workload's start, 0 or more.
        public var offsetNanoseconds: Int64
        /// Tokens that the caller sent, 0 to `Workload.maximumTokens`.
        public var inputTokens: Int64
        /// Tokens that the provider generated, 0 to `Workload.maximumTokens`.
        public var outputTokens: Int64
        /// Who called: an index into `Workload.callers`.
        public var caller: Int

        /// A call; ranges are checked by the workload.
        public init(
            offsetNanoseconds: Int64, inputTokens: Int64, outputTokens: Int64, caller: Int = 0
        ) {
            self.offsetNanoseconds = offsetNanoseconds
            self.inputTokens = inputTokens
            self.outputTokens = outputTokens
            self.caller = caller
        }
    }

    /// The most tokens of one kind that a call may have: few enough that no sum overflows.
    public static let maximumTokens: Int64 = 1_000_000_000

    /// What the workload is called in reports.
    public let title: String
    /// Wall time of offset 0, in nanoseconds since the Unix epoch.
    public let startUnixNanoseconds: Int64
    /// The distinct attribute sets of the calls, in the order in which they first appear.
    public let callers: [[Attribute]]
    /// The calls; offsets never go back.
    public let arrivals: [Arrival]

    /// The workload of those calls.
    ///
    /// - Parameters:
    ///   - title: What reports call it; may be empty.
    ///   - startUnixNanoseconds: Wall time of offset 0.
    ///   - callers: Attribute sets that arrivals point into.
    ///   - arrivals: Ordered by offset; equal offsets keep their order.
    /// - Throws: `WorkloadError` that names the first arrival that does not fit, counted from 1.
    /// - Complexity: O(arrivals).
    public init(
        title: String, startUnixNanoseconds: Int64, callers: [[Attribute]], arrivals: [Arrival]
    ) throws(WorkloadError) {
        var previousNanoseconds: Int64 = 0
        for (index, arrival) in arrivals.enumerated() {
            guard arrival.offsetNanoseconds >= previousNanoseconds else {
                throw WorkloadError(
                    line: nil,
                    "arrival \(index + 1) at \(arrival.offsetNanoseconds) ns comes before the one "
                        + "ahead of it at \(previousNanoseconds) ns")
            }
            guard callers.indices.contains(arrival.caller) else {
                throw WorkloadError(
                    line: nil,
                    "arrival \(index + 1) names caller \(arrival.caller) of \(callers.count)")
            }
            for tokens in [arrival.inputTokens, arrival.outputTokens] {
                guard (0...Self.maximumTokens).contains(tokens) else {
                    throw WorkloadError(
                        line: nil,
                        "arrival \(index + 1) has \(tokens) tokens; 0 to \(Self.maximumTokens) fit")
                }
            }
            previousNanoseconds = arrival.offsetNanoseconds
        }
        self.init(
            checkedTitle: title, startUnixNanoseconds: startUnixNanoseconds, callers: callers,
            arrivals: arrivals)
    }

    /// The workload of arrivals that were checked while they were made.
    init(
        checkedTitle title: String, startUnixNanoseconds: Int64, callers: [[Attribute]],
        arrivals: [Arrival]
    ) {
        self.title = title
        self.startUnixNanoseconds = startUnixNanoseconds
        self.callers = callers
        self.arrivals = arrivals
    }

    /// Nanoseconds from the start to the last arrival; 0 where there is none.
    public var durationNanoseconds: Int64 {
        arrivals.last?.offsetNanoseconds ?? 0
    }

    /// A number that differs where callers, start, offsets or tokens differ (FNV-1a, 64 bits).
    ///
    /// Reports carry it so that two of them can be seen to be about the same calls; the title is
    /// left out. It is no protection against somebody who wants two workloads to look alike.
    public var digest: UInt64 {
        var digest = Digest()
        digest.add(startUnixNanoseconds)
        for caller in callers {
            digest.add(Int64(caller.count))
            for attribute in caller {
                digest.add(attribute.name)
                digest.add(attribute.value)
            }
        }
        for arrival in arrivals {
            digest.add(arrival.offsetNanoseconds)
            digest.add(arrival.inputTokens)
            digest.add(arrival.outputTokens)
            digest.add(Int64(arrival.caller))
        }
        return digest.value
    }
}

/// What is wrong with a workload, and in which line of its text.
public struct WorkloadError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Line of the text, counted from 1; nil where the workload did not come from text.
    public let line: Int?
    /// What is wrong, with the value that was found.
    public let message: String

    init(line: Int?, _ message: String) {
        self.line = line
        self.message = message
    }

    public var description: String {
        guard let line else { return message }
        return "line \(line): \(message)"
    }
}

/// FNV-1a over 64-bit words and texts: Fowler, Noll and Vo, 1991
/// (http://www.isthe.com/chongo/tech/comp/fnv/). Texts end with a byte that UTF-8 does not use.
struct Digest {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ number: Int64) {
        var rest = UInt64(bitPattern: number)
        for _ in 0..<8 {
            add(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte) }
        add(UInt8.max)
    }

    private mutating func add(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }
}
