/// What can go wrong in a store; `Limiter` turns it into a `LimiterError`.
package enum StoreError: Error, Sendable, Hashable {
    /// The system gave no memory: bytes asked for and `errno`.
    case outOfMemory(bytes: Int, errno: Int32)
    /// As many keys as the store was opened for, none of them idle.
    case keyTableFull(keys: Int, capacity: Int)
    /// No room for another record, though the number of keys is below the capacity.
    case arenaFull(neededBytes: Int, sizeBytes: Int)
}
