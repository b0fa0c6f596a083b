/// One bound on one counted thing, as a policy declares it.
public struct Limit: Sendable, Hashable {
    /// The limit's name, unique in its policy.
    public var name: String
    /// What it counts.
    public var count: Count
    /// How it bounds.
    public var kind: LimitKind

    /// A limit as it stands in a policy; its ranges are checked with the policy's document.
    public init(name: String, count: Count, kind: LimitKind) {
        self.name = name
        self.count = count
        self.kind = kind
    }
}

/// How a limit bounds what it counts. Ranges are checked when a document is loaded.
public enum LimitKind: Sendable, Hashable {
    /// Token bucket (GCRA): `units` in every `periodNanoseconds`, up to `burst` at once.
    case tokenBucket(units: Int64, periodNanoseconds: Int64, burst: Int64)
    /// At most `limit` in every window of `windowNanoseconds` + `guardNanoseconds`.
    case rollingWindow(limit: Int64, windowNanoseconds: Int64, guardNanoseconds: Int64)
    /// At most `limit` between two local boundaries; refuses `guardNanoseconds` after each.
    case calendarWindow(limit: Int64, unit: CalendarUnit, zone: String, guardNanoseconds: Int64)
    /// At most `limit` leases live at once.
    case concurrency(limit: Int64, leaseNanoseconds: Int64, maxHoldNanoseconds: Int64)

    /// The most that one request may cost: the burst, or the limit.
    public var capacity: Int64 {
        switch self {
        case .tokenBucket(_, _, let burst): burst
        case .rollingWindow(let limit, _, _): limit
        case .calendarWindow(let limit, _, _, _): limit
        case .concurrency(let limit, _, _): limit
        }
    }

    /// The kind's name in keys, explanations and metrics: `bucket`, `rolling`, `calendar` or
    /// `concurrency`.
    public var name: String {
        switch self {
        case .tokenBucket: "bucket"
        case .rollingWindow: "rolling"
        case .calendarWindow: "calendar"
        case .concurrency: "concurrency"
        }
    }
}
