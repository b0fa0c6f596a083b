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
    func load(_ scopes: [LimitScope]) throws(StoreError) -> LoadedLimits
    /// Removes keys that nobody can tell from fresh ones and returns how many.
    func reclaim() -> Int
}

/// How a decision was made.
public enum StoreMode: Int32, Sendable {
    /// By the counters in this process's memory.
    case memory = 1
    /// By the counters in a file that the processes of this host share.
    case file = 2
}

/// A document's limits as a store holds them: for each scope, for each limit.
package struct LoadedLimits: Sendable {
    package let notes: [[LimitNotes]]
    /// Position of each scope's first limit among all limits of the document.
    package let firstIndex: [Int]

    package init(notes: [[LimitNotes]]) {
        self.notes = notes
        var next = 0
        firstIndex = notes.map { limits in
            defer { next += limits.count }
            return next
        }
    }
}
