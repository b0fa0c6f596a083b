/// A store at a glance: its sizes, owners, limits with their keys, and leases.
///
/// ```swift
/// let store = try StoreInspection.read(store: "file:/var/lib/app/quota", maximumKeys: 1_000)
/// for limit in store.limits where limit.keyCount > 0 { print(limit.policy, limit.limit) }
/// print(store.json)
/// ```
/// Everything comes from the store's own words: no policy document is asked, so a limit's count
/// (requests, tokens, …) is not told. Nothing is changed; others may use the store meanwhile, and
/// each figure is of its own instant.
public struct StoreInspection: Sendable {
    /// Where the file lies; nil for memory.
    public let path: String?
    /// The layout's version.
    public let layoutVersion: UInt64
    /// When it was made.
    public let createdAt: WallInstant
    /// The file was deleted or replaced while it was in use: its processes decide nothing on it.
    public let isReplaced: Bool
    /// Bytes mapped, most of which take no space: the file is sparse.
    public let sizeBytes: Int
    /// Bytes that the file system has promised; in memory all.
    public let reservedBytes: Int
    /// Bytes of records, slot blocks and definitions handed out.
    public let usedBytes: Int
    /// Keys that live.
    public let keys: Int
    /// Keys that may live at once.
    public let keyCapacity: Int
    /// Its clock is a manual one, which `advance` and `setTime` move: a store of tests.
    public let isManualClock: Bool
    /// Steady time at which it was read.
    public let steady: SteadyInstant
    /// Wall time at which it was read, on the store's own clock.
    public let wall: WallInstant
    /// Hash of the document loaded last.
    public let documentHash: UInt64
    /// Documents loaded.
    public let loads: UInt64
    /// Compare-and-swaps that met another writer.
    public let retries: UInt64
    /// Decisions that gave back what they had taken.
    public let rollbacks: UInt64
    /// Turns that one caller began and another finished.
    public let turnsHelped: UInt64
    /// Leases of dead owners that were freed.
    public let reclaimedLeases: UInt64
    /// Processes that may hold leases, by number.
    public let owners: [Owner]
    /// Every limit ever loaded, newest first.
    public let limits: [LimitRow]
    /// What processes noted for each other, oldest first.
    package let sharedEvents: [SegmentEvent]
    /// Leases that live, at most as many as keys were asked for.
    public let leases: [Lease]
    /// Keys and leases that are not listed, since more were found than asked for; of the keys those
    /// nearest their limit are.
    public let omitted: Int
    /// Keys that could not be read, or a table that leads nowhere: see `StoreCheck`.
    public let isDamaged: Bool

    /// A process that may hold leases.
    public struct Owner: Sendable, Hashable {
        /// 1 … 4,095.
        public let number: Int
        /// The process, as its own namespace numbers it.
        public let pid: Int32
        /// Inode of its pid namespace.
        public let pidNamespace: UInt64
        /// `claimed` (just opening), `live`, `dead` (its leases are being freed), `silent` (given up,
        /// its leases run out), or `unknown`.
        public let state: String
        /// Whether its process lives; nil where that is not to be seen from here, as in another pid
        /// namespace. False under the state `live`: nobody has noticed its death yet.
        public let isAlive: Bool?
        /// Nanoseconds since its last sign of life.
        public let heartbeatAgeNanoseconds: Int64
        /// It goes on with the document before the one in the policy file that it watches.
        public let isPolicyBroken: Bool
        /// Leases that it holds.
        public internal(set) var leases: Int
    }

    /// One limit as it was loaded last.
    public struct LimitRow: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// How it bounds, as it is in force now.
        public let bound: LimitKind
        /// Keys that live, listed or not.
        public let keyCount: Int
        /// Those nearest the limit first.
        public let keys: [KeyRow]

        package init(
            policy: String, limit: String, bound: LimitKind, keyCount: Int, keys: [KeyRow]
        ) {
            self.policy = policy
            self.limit = limit
            self.bound = bound
            self.keyCount = keyCount
            self.keys = keys
        }

        /// `bucket`, `rolling`, `calendar` or `concurrency`.
        public var kind: String { bound.name }
        /// Burst or limit.
        public var capacity: Int64 { bound.capacity }
    }

    /// One key at an instant.
    public struct KeyRow: Sendable, Hashable {
        /// The attributes whose values make the key.
        public let attributes: [Attribute]
        /// Units used; above the capacity in debt.
        public let used: Int64
        /// Whole units left, never below 0.
        public let remaining: Int64
        /// Nanoseconds until it is untouched again; nil for concurrency, and for a calendar limit
        /// whose zone this host does not know.
        public let fullAgainNanoseconds: Int64?

        package init(
            attributes: [Attribute], used: Int64, remaining: Int64, fullAgainNanoseconds: Int64?
        ) {
            self.attributes = attributes
            self.used = used
            self.remaining = remaining
            self.fullAgainNanoseconds = fullAgainNanoseconds
        }
    }

    /// A lease that lives.
    public struct Lease: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// The attributes of its key.
        public let attributes: [Attribute]
        /// Position among the key's slots, from 0.
        public let slot: Int
        /// The owner's number.
        public let owner: Int
        /// The owner's process; nil where the owner is not listed.
        public let pid: Int32?
        /// Its owner is dead: whoever notices frees it.
        public let isReclaimable: Bool
        /// Nanoseconds since it was taken, to 2 ms.
        public let ageNanoseconds: Int64
        /// Nanoseconds until it runs out unless it is renewed.
        public let runsOutNanoseconds: Int64
    }
}
