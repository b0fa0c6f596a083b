import Admission

/// What a process decides by itself while the server cannot be reached: an account for each limit, of
/// this outage.
///
/// It goes through three phases. *Away*: decisions are made here alone. *Returned*: the server
/// answers again and was told what it does not know; decisions need both, since other processes may not
/// have told theirs, which takes them `graceNanoseconds` at most, and since it may be gone again before
/// a window has passed that began in the outage: then the ledger goes on as it is. Then *over*: the
/// server alone.
struct OutageLedger: Sendable {
    enum Phase: Sendable, Hashable {
        case over
        case away
        /// Until an instant of the monotonic clock.
        case returned(until: Int64)
    }

    /// One limit of one scope.
    struct Name: Hashable, Sendable {
        let scope: [UInt8]
        let limit: Int
    }

    var phase = Phase.over
    /// Of the process whose ledger it is.
    var identity: UInt64 = 0
    private(set) var accounts: [Name: OutageAccount] = [:]
    /// For each scope a plan that has it.
    private(set) var plans: [[UInt8]: RedisPlan] = [:]
    /// Beyond, calls on further scopes are refused as without a share.
    static let accountsBound = 262_144
    /// Every process finds out within half of it that the server is back: it asks twice a second, at
    /// least, and a circuit is open for no longer than half a second.
    static let graceNanoseconds: Int64 = 2_000_000_000

    /// Of longer windows no more is waited for.
    private static let longestNanoseconds: Int64 = 3_600_000_000_000

    init() {}

    /// How long decisions need both: until no window that began in the outage lasts.
    var togetherNanoseconds: Int64 {
        let longest = accounts.values.lazy.map(\.spanNanoseconds).max() ?? 0
        return Self.graceNanoseconds + min(longest, Self.longestNanoseconds)
    }

    static func name(_ plan: RedisPlan, step: Int) -> Name {
        let (scope, limit) = plan.positions[step]
        return Name(scope: plan.scopes[scope].keys[0], limit: limit)
    }

    subscript(plan: RedisPlan, step: Int) -> OutageAccount? {
        get { accounts[Self.name(plan, step: step)] }
        set { accounts[Self.name(plan, step: step)] = newValue }
    }

    /// Makes the accounts of a plan that are not there; false: there are too many.
    mutating func open(_ plan: RedisPlan, _ make: (Int) -> OutageAccount?) -> Bool {
        for step in plan.limits.indices where self[plan, step] == nil {
            guard accounts.count < Self.accountsBound, let account = make(step) else {
                return false
            }
            self[plan, step] = account
        }
        for scope in plan.scopes { plans[scope.keys[0]] = plan }
        return true
    }

    mutating func clear(_ phase: Phase) {
        self = OutageLedger()
        self.phase = phase
        identity = ProcessIdentity.current()
    }

    /// What is to be told the server, by plan.
    mutating func takeUntold(
        now: Int64, wall: Int64
    ) -> [(plan: RedisPlan, entries: [RemoteEntry])] {
        var told: [(RedisPlan, [RemoteEntry])] = []
        for (scope, plan) in plans {
            var entries: [RemoteEntry] = []
            for step in plan.limits.indices
            where plan.scopes[plan.positions[step].scope].keys[0] == scope {
                guard let units = self[plan, step]?.takeUntold(now: now, wall: wall), units > 0
                else { continue }
                entries.append(RemoteEntry(limit: step, amount: units, place: 0))
            }
            if !entries.isEmpty { told.append((plan, entries)) }
        }
        return told
    }

    /// The leases that were given out here.
    var leases: Set<UInt64> { Set(accounts.values.lazy.flatMap(\.leases.keys)) }
}
