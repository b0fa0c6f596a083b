/// What can go wrong in a store; `Limiter` turns it into a `LimiterError`.
package enum StoreError: Error, Sendable, Hashable {
    /// The system gave no memory: bytes asked for and `errno`.
    case outOfMemory(bytes: Int, errno: Int32)
    /// As many keys as the store was opened for, none of them idle.
    case keyTableFull(keys: Int, capacity: Int)
    /// No room for another record, though the number of keys is below the capacity.
    case arenaFull(neededBytes: Int, sizeBytes: Int)
    /// The file system refused: what was asked of it, and `errno`.
    case unavailable(path: String, operation: String, errno: Int32)
    /// The file is not a segment, or is shorter than one: what was found.
    case foreign(path: String, found: String)
    /// A segment of another layout.
    case wrongVersion(path: String, found: UInt64, known: UInt64)
    /// A word of the segment that no writer of this library leaves there.
    case corrupted(path: String, what: String)
    /// The file system has no room for more of the segment.
    case diskFull(path: String, neededBytes: Int)
    /// Reading or writing the file is not permitted.
    case notPermitted(path: String, operation: String, errno: Int32)
    /// A file system that other hosts may write to, or whose mappings are not shared.
    case networkFileSystem(path: String, name: String)
    /// Steady time would differ: created in another time namespace of the kernel.
    case otherTimeNamespace(path: String, found: UInt64, own: UInt64)
    /// Created for a manual clock and opened on the system's, or the reverse.
    case clockMismatch(path: String, isManual: Bool)
    /// The path names another file now, or none.
    case replaced(path: String)
    /// As many processes hold leases as the segment has room for.
    case ownerTableFull(owners: Int)
    /// A server did not do what was asked: in its words, or why it was not reached.
    case refused(url: String, isFull: Bool, reason: String)
    /// A server does not let this user in, or not so far.
    case denied(url: String, reason: String)
    /// A store URL that cannot be understood: what is wrong with it.
    case invalidURL(url: String, reason: String)
}

/// Why a decision found no room for another slot: a `StoreError` without its texts, so that an answer
/// carries it in a word.
package enum StoreFailure: UInt64, Sendable {
    /// The segment has no room for another record.
    case arenaFull
    case diskFull
    case corrupted
    case replaced
    case notPermitted
    /// The file system refused for another reason.
    case unavailable

    package init(_ error: StoreError) {
        self =
            switch error {
            case .diskFull: .diskFull
            case .corrupted: .corrupted
            case .replaced: .replaced
            case .notPermitted: .notPermitted
            case .arenaFull, .keyTableFull: .arenaFull
            default: .unavailable
            }
    }
}
