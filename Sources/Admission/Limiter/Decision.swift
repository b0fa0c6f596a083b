/// The answer to one request: admitted with a permit, or rejected.
///
/// ```swift
/// switch try gate.tryAcquire(Cost(inputTokens: 1_200)) {
/// case .admitted(let permit):
///     try permit.complete(Usage(inputTokens: 1_180, outputTokens: 230))
/// case .rejected(let rejection):
///     print(rejection)
/// }
/// ```
@frozen
public enum Decision: ~Copyable, Sendable {
    /// The call may go now; the permit must be ended once, and drops itself where it is not.
    case admitted(Permit)
    /// The call must not go: a value, never an error.
    case rejected(Rejection)
}

/// The answer to `Gate.tryCharge`, which leaves nothing to complete.
@frozen
public enum ChargeDecision: Sendable {
    /// Booked.
    case admitted(Binding)
    /// Nothing was booked.
    case rejected(Rejection)
}

/// The limit that an answer speaks of, and when it was decided.
///
/// On admission it is the limit with the smallest remaining/limit, ties by document order. On
/// rejection it is the one that bound.
@frozen
public struct Binding: @unchecked Sendable {
    // Unchecked: the names' bytes are interned, never written again nor freed.

    /// The decision's own steady instant: promises speak of it.
    public let decidedAt: SteadyInstant
    /// The same in wall time.
    public let decidedAtWall: WallInstant
    /// The limit's capacity: its burst or limit; 0 where no policy applies.
    public let limit: Int64
    /// Units that this request asked of it.
    public let asked: Int64
    /// Units left on it, never below 0. For a concurrency limit above 16, up to 10 ms old.
    public let remaining: Int64
    @usableFromInline let policyAddress: UnsafePointer<CChar>?
    @usableFromInline let limitAddress: UnsafePointer<CChar>?

    /// How the decision was made.
    public var storeMode: StoreMode {
        limitAddress.flatMap { StoreMode(rawValue: InternedName.storeMode(of: $0)) } ?? .memory
    }
    /// The policy's name; nil where no policy applies.
    public var policyName: String? { policyAddress.map { String(cString: $0) } }
    /// The limit's name; nil where no policy applies.
    public var limitName: String? {
        // An empty one carries the store's mode alone.
        limitAddress.flatMap { $0.pointee == 0 ? nil : String(cString: $0) }
    }

    @inline(__always)
    init(_ record: borrowing DecisionRecord) {
        decidedAt = SteadyInstant(nanoseconds: record.decidedAtNanoseconds)
        decidedAtWall = WallInstant(unixNanoseconds: record.decidedAtUnixNanoseconds)
        limit = record.limit
        asked = record.asked
        remaining = record.remaining
        policyAddress = record.policyName
        limitAddress = record.limitName
    }

    @inlinable @inline(__always)
    init(
        now: Int64, wall: Int64, limit: Int64, asked: Int64, remaining: Int64,
        policyAddress: UnsafePointer<CChar>?, limitAddress: UnsafePointer<CChar>?
    ) {
        decidedAt = SteadyInstant(nanoseconds: now)
        decidedAtWall = WallInstant(unixNanoseconds: wall)
        self.limit = limit
        self.asked = asked
        self.remaining = remaining
        self.policyAddress = policyAddress
        self.limitAddress = limitAddress
    }

    /// The same straight from a result.
    @inline(__always)
    init(_ result: ChargeResult, of plan: ChargePlanReference) {
        decidedAt = SteadyInstant(nanoseconds: result.now)
        decidedAtWall = WallInstant(unixNanoseconds: result.now &+ result.wallOffset)
        asked = result.asked
        remaining = result.remaining
        guard _fastPath(result.step >= 0) else {
            (limit, policyAddress, limitAddress) = (0, nil, nil)
            return
        }
        let step = plan.step(result.step)
        limit = step.pointee.capacity
        policyAddress = step.pointee.policyName
        limitAddress = step.pointee.limitName
    }
}

/// Why a request was rejected. The numbers are those of `admission_reason` in C; more will come.
@frozen
public struct RejectionReason: Sendable, Hashable, CustomStringConvertible {
    /// The number in C.
    public let rawValue: Int32

    /// The cost is above the limit: it would never be admitted.
    public static let exceedsLimit = RejectionReason(rawValue: 1)
    /// All concurrency slots are taken; nobody knows until when.
    public static let concurrency = RejectionReason(rawValue: 2)
    /// The limit is used up until `retryAfterNanoseconds` have passed.
    public static let exhausted = RejectionReason(rawValue: 3)
    /// A cost of 0 on a limit of which more than everything was used.
    public static let debt = RejectionReason(rawValue: 4)
    /// The guard time behind a calendar boundary has not passed.
    public static let boundaryGuard = RejectionReason(rawValue: 5)
    /// The store could not be reached, and the document's `on_outage` lets nothing go without it.
    public static let storeUnavailable = RejectionReason(rawValue: 6)

    /// The name, as C and Python spell it.
    public var name: String {
        switch self {
        case .exceedsLimit: "exceeds_limit"
        case .concurrency: "concurrency"
        case .exhausted: "exhausted"
        case .debt: "debt"
        case .boundaryGuard: "boundary_guard"
        case .storeUnavailable: "store_unavailable"
        default: "reason \(rawValue)"
        }
    }

    public var description: String { name }
}

/// A refusal: which limit, why, and until when.
@frozen
public struct Rejection: Sendable, CustomStringConvertible {
    /// Why not.
    public let reason: RejectionReason
    /// Nanoseconds until the same cost would fit if nothing else happened; nil: never, or unknown
    /// behind a concurrency limit.
    public let retryAfterNanoseconds: Int64?
    /// When that is in wall time; nil: never or unknown.
    public let predictedStart: WallInstant?
    /// The limit that refused.
    public let binding: Binding
    /// The store's own words about the refusal, where it has any.
    ///
    /// With a field that is counted the compiler (6.3.1) gets a `switch` over a decision right in
    /// callers' optimised code, which it does not where every payload is plain data.
    public let detail: String?

    /// Whether no amount of waiting helps: the cost is above the limit.
    public var isNever: Bool { reason == .exceedsLimit }

    init(_ record: borrowing DecisionRecord) {
        reason = RejectionReason(rawValue: record.reason)
        let isKnown = record.retryAfterNanoseconds >= 0
        retryAfterNanoseconds = isKnown ? record.retryAfterNanoseconds : nil
        predictedStart =
            isKnown
            ? WallInstant(unixNanoseconds: record.predictedStartUnixNanoseconds) : nil
        binding = Binding(record)
        detail = nil
    }

    public var description: String {
        let key = "\(binding.policyName ?? "")/\(binding.limitName ?? "")"
        let numbers = "asked \(binding.asked), remaining \(binding.remaining) of \(binding.limit)"
        guard let retryAfterNanoseconds else { return "\(reason) on \(key): \(numbers)" }
        return "\(reason) on \(key): \(numbers), retry after \(retryAfterNanoseconds) ns"
    }
}
