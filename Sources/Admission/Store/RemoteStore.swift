/// A store behind a connection: what a limiter asks of it, one call and one answer at a time.
///
/// The limiter keeps a segment in its own memory beside it, for what needs no counter: names, the
/// parameters in force, gates and permits. The counters are the remote store's alone.
///
/// Threads: any. No call takes longer than the document's `deadline`, but `load`.
package protocol RemoteStore: AnyObject, Sendable {
    /// The URL that it was opened with, without its password.
    var url: String { get }
    /// How decisions that it makes are marked.
    var mode: StoreMode { get }

    /// Puts a document in force for every process on the store.
    ///
    /// - Returns: the hash of the document that was in force before; 0 for none.
    func load(_ scopes: [LimitScope], document: RemoteDocument) throws(StoreError) -> UInt64

    /// The limits in force, where another process loaded a document since: the numbers of `scopes`
    /// are replaced by the stored ones.
    ///
    /// - Returns: nil where this process's load still is the newest; else the scopes and the newest
    ///   document's hash.
    func limitsInForce(
        _ scopes: [LimitScope]
    ) throws(StoreError) -> (scopes: [LimitScope], hash: UInt64)?

    /// What the decisions of one gate need, made once. Reaches no server.
    func plan(_ limits: [RemoteLimit]) -> RemotePlan
    /// Decides, and books every charge or none. One round trip.
    ///
    /// - Parameters:
    ///   - amounts: units on each limit of the plan, 0 or more.
    ///   - lease: names the lease on each of its concurrency limits; 0 without a permit.
    func charge(_ plan: RemotePlan, _ amounts: [Int64], lease: UInt64) -> RemoteAnswer
    /// Books the difference between charge and use, and frees leases. One round trip.
    func settle(_ plan: RemotePlan, _ settlement: RemoteSettlement) -> RemoteSettled
    /// Renews leases, all at once.
    ///
    /// - Returns: for each whether all its leases still lived; nil where the store did not say.
    func renew(_ renewals: [RemoteRenewal]) -> [Bool?]
    /// What each limit of a plan says, without charging.
    func look(_ plan: RemotePlan, _ amounts: [Int64]) throws(StoreError) -> RemoteLook

    /// Moves a manual clock: both times by `nanoseconds`, or the wall to an instant.
    func advance(_ nanoseconds: Int64) throws(StoreError)
    func setTime(_ unixNanoseconds: Int64) throws(StoreError)

    /// What an operator should know since the last call; each is told once.
    func takeNotes() -> [RemoteNote]

    /// Nobody decides any more: what the process holds for itself goes back. Within a deadline.
    func close()
}

/// What a remote store keeps of one gate's limits. Made by the store that is asked with it.
package final class RemotePlan: Sendable {
    /// The store's own.
    package let content: any AnyObject & Sendable

    package init(_ content: any AnyObject & Sendable) { self.content = content }
}

/// What a document says beside its limits.
package struct RemoteDocument: Sendable {
    package var hash: UInt64
    package var settings: RemoteSettings
    /// The attribute that all keys of one decision share; nil: everything is one shard.
    package var shard: String?

    package init(hash: UInt64, settings: RemoteSettings, shard: String?) {
        self.hash = hash
        self.settings = settings
        self.shard = shard
    }
}

/// What a document says of the store itself, as far as the store has to know it.
package struct RemoteSettings: Sendable {
    /// How long a call may take.
    package var deadlineNanoseconds: Int64
    /// Counters that were lost count as full until they would have recovered; else they begin anew.
    package var holdsOnLoss: Bool
    /// In an outage a process spends what it holds for one.
    package var spendsLocally: Bool
    /// Processes take pre-charged parts of limits.
    package var usesSlices: Bool
    /// How long after it was asked for such a part may be spent.
    package var sliceTTLNanoseconds: Int64 = 500_000_000
    /// How many processes share the limits in an outage; nil: not told.
    package var processes: Int64?
    /// The part of each limit that a process holds for an outage; nil: none.
    package var outageShare: (numerator: Int64, denominator: Int64)?

    package init(
        deadlineNanoseconds: Int64, holdsOnLoss: Bool, spendsLocally: Bool, usesSlices: Bool
    ) {
        self.deadlineNanoseconds = deadlineNanoseconds
        self.holdsOnLoss = holdsOnLoss
        self.spendsLocally = spendsLocally
        self.usesSlices = usesSlices
    }
}

/// One limit of a plan. A plan has all limits of a policy that it has one of.
package struct RemoteLimit: Sendable {
    package var policy: String
    /// With the numbers in force.
    package var limit: Limit
    /// Place among all limits of the document.
    package var documentIndex: Int
    /// The attributes in its key, sorted by name.
    package var key: [Attribute]

    package init(policy: String, limit: Limit, documentIndex: Int, key: [Attribute]) {
        self.policy = policy
        self.limit = limit
        self.documentIndex = documentIndex
        self.key = key
    }
}

/// What came of one call.
package enum RemoteAnswer: Sendable {
    case decided(RemoteDecision)
    /// Another document was loaded: nothing was charged, resolve anew.
    case stale
    /// The store did not answer in time, or not at all: what follows is the document's `on_outage`.
    ///
    /// - Parameter retryAfterNanoseconds: until the store is asked again; nil where that is now.
    case unreachable(retryAfterNanoseconds: Int64?)
    /// The store answered, and refuses its service.
    case failed(StoreError)
}

/// A decision, by the store's own clock.
package struct RemoteDecision: Sendable {
    /// By the server itself, or by what the process holds of its limits.
    package var mode: StoreMode
    package var isAdmitted: Bool
    package var steadyNanoseconds: Int64
    package var wallNanoseconds: Int64
    /// For each limit of the plan, before the charge.
    package var verdicts: [Verdict]
    /// Where each charge went, for its settlement: what `RemoteEntry.place` takes.
    package var places: [UInt64]

    package init(
        mode: StoreMode = .redis, isAdmitted: Bool, steadyNanoseconds: Int64,
        wallNanoseconds: Int64, verdicts: [Verdict], places: [UInt64]
    ) {
        self.mode = mode
        self.isAdmitted = isAdmitted
        self.steadyNanoseconds = steadyNanoseconds
        self.wallNanoseconds = wallNanoseconds
        self.verdicts = verdicts
        self.places = places
    }
}

/// One limit's part of a settlement.
package struct RemoteEntry: Sendable {
    /// Index of the limit in its plan.
    package var limit: Int
    /// Units booked beyond the charge (above 0) or given back (below 0).
    package var amount: Int64
    /// Where the charge went that is given back.
    package var place: UInt64

    package init(limit: Int, amount: Int64, place: UInt64) {
        self.limit = limit
        self.amount = amount
        self.place = place
    }
}

package struct RemoteSettlement: Sendable {
    package var entries: [RemoteEntry]
    /// The leases' name, as `charge` had it.
    package var lease: UInt64
    /// Whether the leases are freed; they are looked at either way.
    package var freesLeases: Bool
    /// Whether the permit goes on, so that it has to know where its units went.
    package var isPermitOpen: Bool

    package init(
        entries: [RemoteEntry], lease: UInt64, freesLeases: Bool, isPermitOpen: Bool = false
    ) {
        self.entries = entries
        self.lease = lease
        self.freesLeases = freesLeases
        self.isPermitOpen = isPermitOpen
    }
}

/// What came of a settlement.
package enum RemoteSettled: Sendable {
    /// Booked.
    ///
    /// - Parameters:
    ///   - places: for each entry, where its units went.
    ///   - leasesLived: whether every lease still was the permit's own.
    case settled(places: [UInt64], leasesLived: Bool)
    /// Unknown, or not done: it is not tried again, the leases run out.
    case unknown
}

package struct RemoteRenewal: Sendable {
    package var plan: RemotePlan
    package var lease: UInt64
    /// How far a manual clock is about to be moved: the leases run from there, as if they had been
    /// renewed on the way.
    package var aheadNanoseconds: Int64

    package init(plan: RemotePlan, lease: UInt64, aheadNanoseconds: Int64 = 0) {
        self.plan = plan
        self.lease = lease
        self.aheadNanoseconds = aheadNanoseconds
    }
}

/// Limits as they stand.
package struct RemoteLook: Sendable {
    package struct Row: Sendable {
        package var verdict: Verdict
        package var used: Int64
        package var fullAgainNanoseconds: Int64?
        package var resetUnixNanoseconds: Int64?

        package init(
            verdict: Verdict, used: Int64, fullAgainNanoseconds: Int64? = nil,
            resetUnixNanoseconds: Int64? = nil
        ) {
            self.verdict = verdict
            self.used = used
            self.fullAgainNanoseconds = fullAgainNanoseconds
            self.resetUnixNanoseconds = resetUnixNanoseconds
        }
    }

    package var steadyNanoseconds: Int64
    package var wallNanoseconds: Int64
    /// For each limit of the plan.
    package var rows: [Row]

    package init(steadyNanoseconds: Int64, wallNanoseconds: Int64, rows: [Row]) {
        self.steadyNanoseconds = steadyNanoseconds
        self.wallNanoseconds = wallNanoseconds
        self.rows = rows
    }
}

/// What an operator should know of a remote store.
package enum RemoteNote: Sendable, Hashable {
    /// Calls fail: why.
    case lost(reason: String)
    /// Calls are answered again.
    case back(outageNanoseconds: Int64)
    /// The store's counters are gone, or older than what was seen: of which shard.
    case stateLost(shard: String)
    /// Something about the server's configuration that puts counters at risk.
    case unsafe(what: String)
}
