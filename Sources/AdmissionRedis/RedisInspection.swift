import Admission

/// What a store in Redis or Valkey holds, as an operator sees it: no document, no limiter. Nothing is
/// changed, and others may be using it.
///
/// ```swift
/// let store = try RedisInspection.read(store: "redis://localhost:6379/0")
/// for limit in store.limits { print(limit.policy, limit.limit, limit.keyCount) }
/// ```
///
/// What it does not show: processes and events, which a server knows nothing of.
public struct RedisInspection: Sendable {
    /// The URL, without its password.
    public let url: String
    /// Time is moved by hand: a store of tests.
    public let isManualClock: Bool
    /// The server's time at which it was read.
    public let wall: WallInstant
    /// Keys in the server, whatever they hold.
    public let serverKeys: Int
    /// Hash of the document loaded last; 0: none.
    public let documentHash: UInt64
    /// Every limit that is loaded or has a state, by policy and name.
    public let limits: [LimitRow]
    /// Leases that live, at most as many as keys were asked for; those that run out first come first.
    public let leases: [Lease]
    /// Shards whose counters were lost or reset.
    public let shards: [ShardRow]
    /// Keys and leases that are not listed, since more were found than asked for.
    public let omitted: Int
    /// What no version writes: where, and what.
    public let faults: [String]

    /// One limit, as of a file. A concurrency limit's `max_hold` is not in the server: the longest there is.
    public typealias LimitRow = StoreInspection.LimitRow
    /// One counter, as of a file; a bucket's use is rounded up.
    public typealias KeyRow = StoreInspection.KeyRow

    /// One lease.
    public struct Lease: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// The attributes in its key.
        public let attributes: [Attribute]
        /// Tells processes apart: hexadecimal digits, which mean nothing else.
        public let owner: String
        /// Since its owner took or renewed it.
        public let renewedNanoseconds: Int64
        /// Until it runs out unless it is renewed.
        public let runsOutNanoseconds: Int64
    }

    /// A part of the store whose keys lie together.
    public struct ShardRow: Sendable, Hashable {
        /// The value of the document's `shard` attribute; empty where there is one shard.
        public let name: String
        /// When counters were last found lost, and held therefore.
        public let lostAt: WallInstant?
        /// When it was last reset.
        public let resetAt: WallInstant?
    }

    /// Reads a store.
    ///
    /// - Parameters:
    ///   - store: its URL, `redis:` or `redis+unix:`.
    ///   - maximumKeys: keys, and leases, that are listed.
    ///   - isCheck: also whether every key expires.
    /// - Throws: `LimiterError`: `unsupportedStore`, `storeUnavailable`, `storeNotPermitted`.
    /// - Complexity: O(keys of the database, of any program), by SCAN; then a look at each state, in
    ///   scripts that read at most 64 of them; allocates.
    public static func read(
        store: String, maximumKeys: Int = 10_000, isCheck: Bool = false
    ) throws(LimiterError) -> RedisInspection {
        do throws(StoreError) {
            let visit = try RedisVisit(store)
            defer { visit.close() }
            var reading = RedisReading(visit)
            try reading.read(isCheck: isCheck)
            return reading.inspection(maximumKeys: max(0, maximumKeys))
        } catch {
            throw LimiterError(error)
        }
    }
}
