/// Where a limiter's time comes from.
public enum LimiterClock: Sendable, Hashable {
    /// The system's clocks.
    case system
    /// A clock that stands still until `advance` and `setTime` move it; wall time starts here.
    case manual(startUnixNanoseconds: Int64)
}

/// Policies on a store: the front door.
///
/// ```swift
/// let limiter = try Limiter(policyPath: "gemini.json")
/// let gate = try limiter.gate(["project": "acme", "model": "gemini-2.5-flash"])
/// ```
///
/// Open one and share it: any thread may call anything. With `memory:` the counters are this process'
/// and its forked children's, as long as the limiter lives; a second limiter has counters of its own.
/// With `file:/path` they are shared by every process of the host that opens the file, and stay. It
/// neither waits nor retries, and never calls a provider.
public final class Limiter: Sendable {
    /// How a limiter is opened.
    public struct Options: Sendable {
        /// Who renews the leases of open permits.
        public enum Heartbeat: Sendable {
            /// One plain thread of the process, started with the first lease, or with a limiter on a
            /// file or with a policy file, which another thread looks at.
            case automatic
            /// The caller, with `Permit.renew`; on a manual clock `advance` renews nothing either.
            case manual
        }

        /// Store URL; nil: the environment's `ADMISSION_STORE`, then `memory:`.
        ///
        /// `file:/abs/path`, `file:///abs/path` or `file:relative`, percent-decoded, is a file that
        /// processes share, made where there is none with mode 0600, or with `?group=NAME` for that
        /// group too, 0660.
        public var store: String?
        /// Where time comes from.
        public var clock: LimiterClock
        /// Permits that may be open at once, 1 … 4,194,304. Untouched capacity costs nothing.
        public var permitCapacity: Int
        /// Keys that may live at once, 1 … 67,108,864. Untouched capacity costs nothing. A file that
        /// exists keeps its own.
        public var keyCapacity: Int
        /// Who renews leases.
        public var heartbeat: Heartbeat
        /// Openers of stores that this module does not know: `[.redis]` of `AdmissionRedis`.
        public var openers: [StoreOpener]

        /// Options with the defaults above; they are checked when the limiter is opened.
        public init(
            store: String? = nil, clock: LimiterClock = .system, permitCapacity: Int = 65_536,
            keyCapacity: Int = 1_048_576, heartbeat: Heartbeat = .automatic,
            openers: [StoreOpener] = []
        ) {
            self.store = store
            self.clock = clock
            self.permitCapacity = permitCapacity
            self.keyCapacity = keyCapacity
            self.heartbeat = heartbeat
            self.openers = openers
        }
    }

    package let core: LimiterCore

    /// Opens a limiter on a checked document.
    ///
    /// - Throws: `LimiterError`: `unsupportedStore`, `outOfMemory`, `invalidArgument`; `keyTableFull`
    ///   where a store has no room for the limits; on a file also `storeUnavailable`, `storeForeign`,
    ///   `storeVersion`, `storeCorrupted`, `storeFull`, `storeNotPermitted`, `networkFileSystem`,
    ///   `otherTimeNamespace`, `clockMismatch`, `ownerTableFull`.
    /// - Complexity: O(limits); maps memory, most of it untouched.
    public convenience init(
        policy: PolicyDocument, options: Options = Options()
    ) throws(LimiterError) {
        try self.init(policy: policy, options: options, system: SystemFacts())
    }

    /// The same on a system that a test has put others' answers into.
    package init(
        policy: PolicyDocument, options: Options, system: SystemFacts
    ) throws(LimiterError) {
        try options.check()
        core = try LimiterCore(policy, options: options, system: system)
    }

    /// Opens a limiter on a policy document in JSON.
    ///
    /// - Throws: `LimiterError`: also `invalidPolicy` and `zoneUnavailable`, with path and position.
    public convenience init(
        policyJSON: String, options: Options = Options()
    ) throws(LimiterError) {
        try self.init(policy: Self.document(json: policyJSON), options: options)
    }

    /// Opens a limiter on a policy document in a JSON file, which is watched: an edit is put in force
    /// within a second, counters are kept. A broken one keeps the document in force, and an event,
    /// the snapshot and a metric say so. What cannot be put in force for now (no room in the store, a
    /// zone that is not installed) is tried again at each look. With a manual heartbeat, `gate`,
    /// `snapshot`, `events`, `reclaim` and `Permit.renew` look, at most twice a second.
    ///
    /// - Parameters:
    ///   - policyPath: a regular file, or a link to one, which is followed at each look.
    ///   - options: how it is opened.
    /// - Throws: `LimiterError`: also `policyUnreadable`.
    public convenience init(
        policyPath: String, options: Options = Options()
    ) throws(LimiterError) {
        let (document, bytes) = try Self.document(path: policyPath)
        try self.init(policy: document, options: options)
        core.watchPolicy(path: policyPath, bytes: bytes)
    }

    deinit {
        close()
        ClosedCores.keepWhilePermitsAreOpen(core)
    }

    private static func document(
        path: String
    ) throws(LimiterError) -> (PolicyDocument, [UInt8]) {
        do throws(PolicyError) {
            let bytes = try FileBytes.read(path: path, maximum: PolicyDocument.maximumBytes)
            return (try PolicyDocument(json: bytes), bytes)
        } catch {
            throw LimiterError(error)
        }
    }

    private static func document(json: String) throws(LimiterError) -> PolicyDocument {
        do throws(PolicyError) {
            return try PolicyDocument(json: json)
        } catch {
            throw LimiterError(error)
        }
    }

    /// Prepares a gate for a set of attributes.
    ///
    /// - Throws: `LimiterError`: `missingAttribute`, `duplicateAttribute`, `invalidAttribute`,
    ///   `tooManyLimits`, `keyTableFull`, `zoneUnavailable`, `outOfMemory`, `closed`; on a file also
    ///   `storeUnavailable`, `storeCorrupted`, `storeFull`, `storeNotPermitted`, `storeReplaced`,
    ///   `ownerTableFull`.
    /// - Complexity: O(policies); under a microsecond for one policy on a key that exists.
    public func gate(_ attributes: [Attribute]) throws(LimiterError) -> Gate {
        core.beatIfDue()
        return Gate(try GateStorage.make(core: core, attributes: attributes))
    }

    /// Prepares a gate for a set of attributes written as a dictionary literal.
    ///
    /// - Throws: as `gate(_:)` with an array.
    public func gate(
        _ attributes: KeyValuePairs<String, String>
    ) throws(LimiterError) -> Gate {
        try gate(attributes.map { Attribute($0.key, $0.value) })
    }

    /// Puts another document in force; counters of limits that stay are kept.
    ///
    /// - Throws: `LimiterError`: `keyTableFull`, `closed`, and on a file what `gate(_:)` throws of one;
    ///   the document in force then stays, and an event tells of it.
    /// - Complexity: O(keys) where a bucket's parameters change.
    public func reload(_ policy: PolicyDocument) throws(LimiterError) {
        try core.reload(policy)
    }

    /// Puts another document in force, from JSON.
    ///
    /// - Throws: `LimiterError`: also `invalidPolicy`, `zoneUnavailable`; an event tells of it.
    public func reload(policyJSON: String) throws(LimiterError) {
        try core.checkOpen()
        let document: PolicyDocument
        do throws(LimiterError) {
            document = try Self.document(json: policyJSON)
        } catch {
            core.report(.reloadRefused, "\(error)")
            throw error
        }
        try core.reload(document)
    }

    /// Moves both times of a manual clock ahead; open permits' leases are renewed first.
    ///
    /// - Parameter nanoseconds: 0 or more.
    /// - Throws: `LimiterError`: `notManualClock`, `clockBackwards`.
    public func advance(nanoseconds: Int64) throws(LimiterError) {
        try core.advance(nanoseconds)
    }

    /// Sets the wall time of a manual clock; steady time stays.
    ///
    /// - Parameter unixNanoseconds: nanoseconds since 1970.
    /// - Throws: `LimiterError`: `notManualClock`.
    public func setTime(unixNanoseconds: Int64) throws(LimiterError) {
        try core.setTime(unixNanoseconds)
    }

    /// What an operator wants to see at a glance. O(permits).
    public func snapshot() -> Snapshot { core.snapshot() }

    /// The same as Prometheus text.
    public func metrics() -> String { core.snapshot().metrics }

    /// Removes keys that nobody can tell from fresh ones, and returns how many; frees what dead
    /// processes held. O(keys).
    @discardableResult
    public func reclaim() -> Int { core.reclaim() }

    /// What an operator should know, oldest first: a bounded ring of the newest 256.
    ///
    /// - Parameter sequence: give only events behind this number.
    public func events(after sequence: UInt64 = 0) -> [Event] { core.events(after: sequence) }

    /// Refuses new work from now on; open permits can still be ended. Twice is fine.
    public func close() { core.close() }
}

extension Limiter.Options {
    func check() throws(LimiterError) {
        guard (1...PermitTable.maximumCapacity).contains(permitCapacity) else {
            throw LimiterError(
                .invalidArgument,
                "permit capacity \(permitCapacity); accepted: 1 to \(PermitTable.maximumCapacity)")
        }
        guard (1...1 << 26).contains(keyCapacity) else {
            throw LimiterError(
                .invalidArgument, "key capacity \(keyCapacity); accepted: 1 to \(1 << 26)")
        }
    }
}

/// Permits by id, as C and Python end them. Ids are never 0.
extension Limiter {
    package func completePermit(_ id: UInt64, _ usage: borrowing UsageAmounts) -> Int32 {
        core.complete(id, usage)
    }

    package func addToPermit(_ id: UInt64, _ usage: borrowing UsageAmounts) -> Int32 {
        core.add(id, usage)
    }

    package func abandonPermit(_ id: UInt64) -> Int32 { core.abandon(id) }
    package func dropPermit(_ id: UInt64) -> Int32 { core.drop(id) }
    package func renewPermit(_ id: UInt64) -> Int32 { core.renew(id) }

    /// Permits that are open now and this process' own: a forked child can end no other, and holds
    /// copies of slots that its parent was claiming.
    package var openPermitCount: Int {
        let identity = ProcessIdentity.current()
        var open = 0
        core.hot.pointee.permits.forEachOpen { slot, _ in
            if slot.identity == identity { open += 1 }
        }
        return open
    }
}
