/// A limiter at a glance.
public struct Snapshot: Sendable {
    /// The library's version.
    public let version: String
    /// The store's URL.
    public let store: String
    /// `system` or `manual`.
    public let clock: String
    /// Where steady time is read: `tsc`, `cntvct`, `clock_gettime` or `manual`.
    public let clockSource: String
    /// Why it is read there, for people.
    public let clockReason: String
    /// Steady time when the snapshot was taken.
    public let steady: SteadyInstant
    /// Wall time when the snapshot was taken.
    public let wall: WallInstant
    /// Keys that live.
    public let keys: Int
    /// Keys that may live at once.
    public let keyCapacity: Int
    /// Permits that are open.
    public let permitsOpen: Int
    /// Permits that may be open on each shelf of the table.
    public let permitCapacity: Int
    /// Permits that there were since the limiter was opened, the open ones included.
    public let permitsIssued: UInt64
    /// Gates that are open.
    public let gatesOpen: Int
    /// Compare-and-swaps that met another writer.
    public let retries: UInt64
    /// Decisions that gave back what they had taken.
    public let rollbacks: UInt64
    /// Turns that one caller began and another finished.
    public let turnsHelped: UInt64
    /// Leases of dead processes that came back.
    public let reclaimedLeases: UInt64
    /// The watched policy file holds a document that was refused; the one before is in force.
    public let isPolicyBroken: Bool
    /// Rejections since the limits were loaded.
    public let rejections: [RejectionCount]
    /// Hash of the document in force, 16 hexadecimal digits.
    public let policyHash: String
    /// Documents put in force, the first included.
    public let loads: UInt64

    /// How often one limit rejected for one reason.
    public struct RejectionCount: Sendable, Hashable {
        /// The policy's name.
        public let policy: String
        /// The limit's name.
        public let limit: String
        /// Why it rejected.
        public let reason: RejectionReason
        /// How often.
        public let count: UInt64
    }

    /// The snapshot as JSON, the form that C and Python give.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("version", version)
            writer.member("store", store)
            writer.member("clock", clock)
            writer.member("clock_source", clockSource)
            writer.member("clock_reason", clockReason)
            writer.member("steady_ns", steady.nanoseconds)
            writer.member("wall_unix_ns", wall.unixNanoseconds)
            writer.member("keys", keys)
            writer.member("key_capacity", keyCapacity)
            writer.member("permits_open", permitsOpen)
            writer.member("permit_capacity", permitCapacity)
            writer.member("permits_issued", permitsIssued)
            writer.member("gates_open", gatesOpen)
            writer.member("retries", retries)
            writer.member("rollbacks", rollbacks)
            writer.member("turns_helped", turnsHelped)
            writer.member("reclaimed_leases", reclaimedLeases)
            writer.member("policy_broken", isPolicyBroken)
            writer.member("rejections", each: rejections) { writer, entry in
                writer.object { writer in
                    writer.member("policy", entry.policy)
                    writer.member("limit", entry.limit)
                    writer.member("reason", entry.reason.name)
                    writer.member("count", entry.count)
                }
            }
            writer.member("policy_hash", policyHash)
            writer.member("loads", loads)
        }
        return writer.text
    }

    /// The snapshot as Prometheus text (exposition format 0.0.4).
    public var metrics: String {
        var text = ""
        func family(_ name: String, _ type: String, _ help: String, _ rows: [(String, UInt64)]) {
            text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
            for (labels, value) in rows { text += "\(name)\(labels) \(value)\n" }
        }
        family("admission_keys", "gauge", "Keys that live.", [("", UInt64(keys))])
        family(
            "admission_permits_open", "gauge", "Permits that are open.",
            [("", UInt64(permitsOpen))])
        family(
            "admission_permits_issued_total", "counter", "Permits given out.",
            [("", permitsIssued)])
        family("admission_gates_open", "gauge", "Gates that are open.", [("", UInt64(gatesOpen))])
        family(
            "admission_retries_total", "counter", "Swaps that met another writer.",
            [("", retries)])
        family(
            "admission_rollbacks_total", "counter", "Decisions that gave back what they had taken.",
            [("", rollbacks)])
        family(
            "admission_turns_helped_total", "counter", "Turns that another caller finished.",
            [("", turnsHelped)])
        family(
            "admission_reclaimed_leases_total", "counter",
            "Leases of dead processes that came back.",
            [("", reclaimedLeases)])
        family(
            "admission_policy_broken", "gauge",
            "1 while the watched policy file holds a document that was refused.",
            [("", isPolicyBroken ? 1 : 0)])
        family("admission_loads_total", "counter", "Documents put in force.", [("", loads)])
        family(
            "admission_rejections_total", "counter", "Rejections by limit and reason.",
            rejections.map { entry in
                let labels = [
                    ("policy", entry.policy), ("limit", entry.limit), ("reason", entry.reason.name),
                ]
                let pairs = labels.map { "\($0)=\"\(Self.escaped($1))\"" }
                return ("{\(pairs.joined(separator: ","))}", entry.count)
            })
        return text
    }

    /// A label's value: backslash, quote and line feed escaped.
    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// The library's version.
public enum AdmissionVersion {
    /// Major, minor and patch, as in `0.1.0`.
    public static let text = "0.1.0"
}

extension LimiterCore {
    func snapshot() -> Snapshot {
        beatIfDue()
        // Where the file is gone there is nothing left to read: zeros.
        let segment = checkFile() ? store.segment : nil
        let (now, wallOffset) = times()
        let (loaded, gates, loads) = state.withLock { ($0.loaded, $0.gatesOpen, $0.loads) }
        let permits = hot.pointee.permits.counts()
        let described = CounterClock.shared.describe()
        let (source, reason) =
            manual == nil ? described : ("manual", "advance and set_time move it")
        return Snapshot(
            version: AdmissionVersion.text, store: store.url,
            clock: manual == nil ? "system" : "manual", clockSource: source, clockReason: reason,
            steady: SteadyInstant(nanoseconds: now),
            wall: WallInstant(unixNanoseconds: now &+ wallOffset),
            keys: segment?.keyCount ?? 0, keyCapacity: store.keyCapacity, permitsOpen: permits.open,
            permitCapacity: hot.pointee.permits.capacity, permitsIssued: permits.issued,
            gatesOpen: gates, retries: segment?.retries.load() ?? 0,
            rollbacks: segment?.rollbacks.load() ?? 0,
            turnsHelped: segment?.turnsHelped.load() ?? 0,
            reclaimedLeases: segment?.reclaimedLeases.load() ?? 0,
            isPolicyBroken: isPolicyBroken, rejections: rejections(loaded),
            policyHash: loaded.table.document.hash.hexadecimal, loads: loads)
    }

    private func rejections(_ loaded: Loaded) -> [Snapshot.RejectionCount] {
        var rows: [Snapshot.RejectionCount] = []
        for (policy, limits) in zip(loaded.table.document.policies, loaded.limits.notes) {
            for notes in limits {
                for (reason, entry) in notes.rejections.enumerated() {
                    let count = entry.value.load(ordering: .relaxed)
                    guard count > 0 else { continue }
                    rows.append(
                        Snapshot.RejectionCount(
                            policy: policy.name, limit: notes.limit.name,
                            reason: RejectionReason(rawValue: Int32(reason)), count: count))
                }
            }
        }
        return rows
    }
}
