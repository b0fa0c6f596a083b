/// The rules of a policy document, on the model: documents from JSON and from Swift alike.
struct PolicyValidator {
    /// The zones that were found, so that a document's thousand limits open one file.
    private var knownZones: Set<[UInt8]> = []
    private let zoneFault: (String) -> String?

    /// - Parameter zoneFault: Why there is no zone of that name, or nil where there is.
    private init(zoneFault: @escaping (String) -> String?) {
        self.zoneFault = zoneFault
    }

    static func check(
        _ parts: PolicyDecoder.Parts, zoneFault: @escaping (String) -> String? = ZoneNames.fault
    ) throws(PolicyFault) {
        var validator = PolicyValidator(zoneFault: zoneFault)
        try validator.check(parts)
    }

    private mutating func check(_ parts: PolicyDecoder.Parts) throws(PolicyFault) {
        let root = JSONPath()
        if let shard = parts.shard { try Self.checkName(shard, at: root.key("shard")) }
        try Self.checkCount(
            parts.policies.count, at: root.key("policies"), 1...PolicyBounds.policies, "policies")
        if let queue = parts.queue { try Self.check(queue, at: root.key("queue")) }
        try Self.check(parts.store, at: root.key("store"))
        var names = NameSet()
        for (position, policy) in parts.policies.enumerated() {
            let path = root.key("policies").index(position)
            try Self.checkName(policy.name, at: path.key("name"))
            guard names.insert(policy.name) else {
                throw PolicyFault(
                    .duplicate, at: path.key("name"), value: policy.name.quoted,
                    "is the name of an earlier policy; accepted: a name of its own")
            }
            try Self.checkMatch(of: policy, at: path)
            try Self.checkPer(of: policy, shard: parts.shard, at: path.key("per"))
            try checkLimits(of: policy, store: parts.store, at: path.key("limits"))
        }
    }

    // MARK: One policy

    private static func checkMatch(of policy: Policy, at path: JSONPath) throws(PolicyFault) {
        if policy.isDefault, !policy.match.isEmpty { throw defaultWithMatch(at: path) }
        let matchPath = path.key("match")
        try checkCount(
            policy.match.count, at: matchPath, 0...PolicyBounds.attributesPerPolicy, "attributes")
        var names = NameSet()
        for match in policy.match {
            let path = matchPath.key(match.name)
            try checkName(match.name, at: path)
            guard names.insert(match.name) else {
                throw PolicyFault(
                    .duplicate, at: path, value: match.name.quoted, "is matched twice")
            }
            switch match.condition {
            case .present: break
            case .value(let value): try checkMatchValue(value, at: path)
            case .oneOf(let values):
                if values.isEmpty { throw empty(path) }
                try checkCount(values.count, at: path, 1...PolicyBounds.matchValues, "values")
                var seen = NameSet()
                for (position, value) in values.enumerated() {
                    let path = path.index(position)
                    try checkMatchValue(value, at: path)
                    guard seen.insert(value) else {
                        throw PolicyFault(
                            .duplicate, at: path, value: value.quoted, "stands twice in the list")
                    }
                }
            }
        }
    }

    private static func checkMatchValue(_ value: String, at path: JSONPath) throws(PolicyFault) {
        if value == "*" {
            throw PolicyFault(
                .conflict, at: path, value: "\"*\"",
                "is no value among others; accepted: \"*\" alone, in the list's place, where any "
                    + "value will do")
        }
        guard value.utf8.count <= PolicyBounds.matchValueBytes else {
            throw PolicyFault(
                .outOfRange, at: path, value: value.quoted,
                "has \(value.utf8.count) bytes; accepted: at most \(PolicyBounds.matchValueBytes)")
        }
        try checkNoNUL(value, at: path)
    }

    private static func checkPer(
        of policy: Policy, shard: String?, at path: JSONPath
    ) throws(PolicyFault) {
        try checkCount(
            policy.per.count, at: path, 0...PolicyBounds.attributesPerPolicy, "attributes")
        var names = NameSet()
        for (position, name) in policy.per.enumerated() {
            let path = path.index(position)
            try checkName(name, at: path)
            guard names.insert(name) else {
                throw PolicyFault(.duplicate, at: path, value: name.quoted, "stands twice in per")
            }
        }
        if let shard, !policy.per.contains(where: { $0.hasSameBytes(as: shard) }) {
            let found = policy.per.map(\.quoted).prefix(8).joined(separator: ", ")
            throw PolicyFault(
                .conflict, at: path,
                "[\(found)] lacks the shard attribute \(shard.quoted); accepted: a list with it, "
                    + "in every policy")
        }
    }

    // MARK: Limits

    private mutating func checkLimits(
        of policy: Policy, store: StoreSettings, at path: JSONPath
    ) throws(PolicyFault) {
        try Self.checkCount(
            policy.limits.count, at: path, 1...PolicyBounds.limitsPerPolicy, "limits")
        var names = NameSet()
        for (position, limit) in policy.limits.enumerated() {
            let path = path.index(position)
            try Self.checkName(limit.name, at: path.key("name"))
            guard names.insert(limit.name) else {
                throw PolicyFault(
                    .duplicate, at: path.key("name"), value: limit.name.quoted,
                    "is the name of an earlier limit of policy \(policy.name.quoted); accepted: "
                        + "a name of its own")
            }
            try Self.checkName(limit.count.name, at: path.key("count"))
            try Self.check(limit, store: store, at: path)
            if case .calendarWindow(_, _, let zone, _) = limit.kind {
                try checkZone(zone, at: path.key("zone"))
            }
        }
    }

    private mutating func checkZone(_ name: String, at path: JSONPath) throws(PolicyFault) {
        let bytes = Array(name.utf8)
        if knownZones.contains(bytes) { return }
        try Self.checkName(name, at: path)
        if let reason = zoneFault(name) {
            throw PolicyFault(.zone, at: path, value: name.quoted, reason)
        }
        knownZones.insert(bytes)
    }

    // MARK: Queue and store

    private static func check(_ queue: QueueSettings, at path: JSONPath) throws(PolicyFault) {
        if let flow = queue.flow { try checkName(flow, at: path.key("flow")) }
        try checkNumber(
            Int64(queue.maxWaiting), at: path.key("max_waiting"), in: PolicyBounds.maxWaiting)
        let path = path.key("priorities")
        try checkCount(
            queue.priorities.count, at: path, 0...PolicyBounds.priorities, "priorities")
        var names = NameSet()
        for (position, priority) in queue.priorities.enumerated() {
            let path = path.index(position)
            try checkName(priority.name, at: path.key("name"))
            guard names.insert(priority.name) else {
                throw PolicyFault(
                    .duplicate, at: path.key("name"), value: priority.name.quoted,
                    "is the name of an earlier priority; accepted: a name of its own")
            }
            try checkNumber(priority.share, at: path.key("share"), in: PolicyBounds.share)
        }
    }

    private static func check(_ store: StoreSettings, at path: JSONPath) throws(PolicyFault) {
        try checkDuration(
            store.deadlineNanoseconds, at: path.key("deadline"),
            in: PolicyBounds.deadlineNanoseconds)
        try checkDuration(
            store.sliceTTLNanoseconds, at: path.key("slice_ttl"),
            in: PolicyBounds.sliceTTLNanoseconds)
        if let processes = store.processes {
            try checkNumber(
                Int64(processes), at: path.key("processes"), in: PolicyBounds.processes)
        }
        if let share = store.outageShare,
            !PolicyBounds.shareDenominator.contains(share.denominator)
                || !(1...share.denominator).contains(share.numerator)
        {
            throw PolicyFault(
                .outOfRange, at: path.key("outage_share"),
                value: "\"\(share.numerator)/\(share.denominator)\"",
                "is out of range; accepted: \(FractionText.accepted)")
        }
    }
}
