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
    /// The layout's version.
    public let layoutVersion: UInt64
    /// Bytes mapped.
    public let sizeBytes: Int
    /// Bytes of records, slot blocks and definitions handed out.
    public let usedBytes: Int
    /// Keys that live.
    public let keys: Int
    /// Keys that may live at once.
    public let keyCapacity: Int
    /// Steady nanoseconds at which it was read.
    public let steady: SteadyInstant
    /// Wall time at which it was read.
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
    /// Leases that live, at most as many as keys were asked for.
    public let leases: [Lease]
    /// Keys and leases that are not listed, since more were found than asked for.
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
        /// `claimed`, `live`, `dead` or `silent`.
        public let state: String
        /// Nanoseconds since its last sign of life.
        public let heartbeatAgeNanoseconds: Int64
        /// Leases that it holds.
        public let leases: Int
    }

    /// One limit as it was loaded last.
    public struct LimitRow: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// `bucket`, `rolling`, `calendar` or `concurrency`.
        public let kind: String
        /// Burst or limit.
        public let capacity: Int64
        /// Keys that live, listed or not.
        public let keyCount: Int
        /// Keys in no order.
        public let keys: [KeyRow]
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
        /// Nanoseconds since it was taken or renewed, to 2 ms.
        public let ageNanoseconds: Int64
        /// Nanoseconds until it runs out unless it is renewed.
        public let runsOutNanoseconds: Int64
    }
}

extension StoreInspection {
    /// The inspection as JSON.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("layout_version", layoutVersion)
            writer.member("size_bytes", sizeBytes)
            writer.member("used_bytes", usedBytes)
            writer.member("keys", keys)
            writer.member("key_capacity", keyCapacity)
            writer.member("steady_ns", steady.nanoseconds)
            writer.member("wall_unix_ns", wall.unixNanoseconds)
            let digits = String(documentHash, radix: 16)
            writer.member(
                "document_hash", String(repeating: "0", count: 16 - digits.count) + digits)
            writer.member("loads", loads)
            writer.member("retries", retries)
            writer.member("rollbacks", rollbacks)
            writer.member("turns_helped", turnsHelped)
            writer.member("reclaimed_leases", reclaimedLeases)
            writer.key("owners")
            writer.array { writer in for owner in owners { owner.write(&writer) } }
            writer.key("limits")
            writer.array { writer in for limit in limits { limit.write(&writer) } }
            writer.key("leases")
            writer.array { writer in for lease in leases { lease.write(&writer) } }
            writer.member("omitted", omitted)
            writer.member("damaged", isDamaged)
        }
        return writer.text
    }

    fileprivate static func write(_ attributes: [Attribute], _ writer: inout JSONWriter) {
        writer.key("key")
        writer.object { writer in
            for attribute in attributes { writer.member(attribute.name, attribute.value) }
        }
    }
}

extension StoreInspection.Owner {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("number", number)
            writer.member("pid", pid)
            writer.member("pid_namespace", pidNamespace)
            writer.member("state", state)
            writer.member("heartbeat_age_ns", heartbeatAgeNanoseconds)
            writer.member("leases", leases)
        }
    }
}

extension StoreInspection.LimitRow {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("kind", kind)
            writer.member("capacity", capacity)
            writer.member("key_count", keyCount)
            writer.key("keys")
            writer.array { writer in
                for key in keys {
                    writer.object { writer in
                        StoreInspection.write(key.attributes, &writer)
                        writer.member("used", key.used)
                        writer.member("remaining", key.remaining)
                        writer.member("full_again_ns", orNull: key.fullAgainNanoseconds)
                    }
                }
            }
        }
    }
}

extension StoreInspection.Lease {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            StoreInspection.write(attributes, &writer)
            writer.member("slot", slot)
            writer.member("owner", owner)
            writer.member("pid", orNull: pid)
            writer.member("age_ns", ageNanoseconds)
            writer.member("runs_out_ns", runsOutNanoseconds)
        }
    }
}
