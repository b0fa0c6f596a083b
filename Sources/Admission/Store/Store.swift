/// Where counters live: what a limiter asks of its store outside of decisions.
///
/// A decision is all-or-nothing over every limit of a gate: `charge`; what was charged is settled
/// by permit: `giveBack`, `refund`, `exceed`, `renew`. Those verbs are on the store's own plan type
/// (`ChargePlanReference` for the segment), since they are the hot path and take no detour through
/// an existential; the conformance suite runs the same traces against each store's.
package protocol Store: AnyObject, Sendable {
    /// The URL it was opened with.
    var url: String { get }
    /// How decisions that it makes are marked.
    var mode: StoreMode { get }
    /// Keys that live now, and how many may.
    var keyCount: Int { get }
    var keyCapacity: Int { get }

    /// Puts a document's limits in force: see design "Reload".
    ///
    /// - Parameter hash: the document's.
    func load(_ scopes: [LimitScope], hash: UInt64) throws(StoreError) -> LoadedLimits
    /// Removes keys that nobody can tell from fresh ones and returns how many.
    func reclaim() -> Int
}

/// How a decision was made.
public enum StoreMode: Int32, Sendable {
    /// By the counters in this process's memory.
    case memory = 1
    /// By the counters in a file that the processes of this host share.
    case file = 2
    /// By the counters in Redis or Valkey.
    case redis = 3
    /// Without the store, which could not be reached: as the document's `on_outage` says.
    case outage = 4
    /// By a part of the limits in Redis or Valkey that this process had taken in advance.
    case slice = 5
}

/// A document's limits as a store holds them: for each scope, for each limit.
package struct LoadedLimits: Sendable {
    /// As they were when the document was loaded; another process may have loaded others since, see
    /// `SegmentStore.notesInForce`.
    package let notes: [[LimitNotes]]
    /// Position of each scope's first limit among all limits of the document.
    package let firstIndex: [Int]
    /// The document's hash, and that of the one that was loaded last before; 0 for none.
    package let hash: UInt64
    package let hashBefore: UInt64
    /// Serial number of the load among all of the store.
    package let load: UInt64
    /// Whether any limit that was there got new parameters.
    package let isChanged: Bool

    package init(
        notes: [[LimitNotes]], hash: UInt64, hashBefore: UInt64, load: UInt64, isChanged: Bool
    ) {
        self.notes = notes
        self.hash = hash
        self.hashBefore = hashBefore
        self.load = load
        self.isChanged = isChanged
        var next = 0
        firstIndex = notes.map { limits in
            defer { next += limits.count }
            return next
        }
    }
}
