/// Turns a JSON tree into the model: which keys stand where, and of what type.
///
/// It refuses what the model has no words for. What the model could hold and a rule forbids (a
/// burst of 0, a name twice) is left to `PolicyValidator`, which documents made in Swift meet too.
enum PolicyDecoder {
    /// What a document says, not yet checked.
    struct Parts {
        var policies: [Policy]
        var shard: String?
        var queue: QueueSettings?
        var store: StoreSettings
    }

    static func decode(_ root: JSONValue) throws(PolicyFault) -> Parts {
        let document = try ObjectReader(
            root, at: JSONPath(), keys: ["admission", "shard", "policies", "queue", "store"],
            meaning: "a policy document", beforeKeys: checkVersion)
        let policies = try document.list("policies", of: "policies") {
            (value, path) throws(PolicyFault) in
            try decodePolicy(value, at: path)
        }
        guard let policies else { throw document.missing("policies", "a list of policies") }
        return Parts(
            policies: policies, shard: try document.text("shard", "an attribute's name"),
            queue: try document.optional("queue", decodeQueue),
            store: try document.optional("store", decodeStore) ?? StoreSettings())
    }

    /// Before anything else, so that a later version's document is refused for its version and
    /// not for a key that this one does not know.
    private static func checkVersion(of document: ObjectReader) throws(PolicyFault) {
        guard let version = try document.integer("admission", "the version 1") else {
            throw document.missing("admission", "the document's version, \"admission\": 1")
        }
        guard version == 1 else {
            throw PolicyFault(
                .outOfRange, at: document.path.key("admission"), value: "\(version)",
                "is not a version this library reads; accepted: 1")
        }
    }

    private static func decodePolicy(
        _ value: JSONValue, at path: JSONPath
    ) throws(PolicyFault) -> Policy {
        let policy = try ObjectReader(
            value, at: path, keys: ["name", "match", "default", "per", "limits"],
            meaning: "a policy")
        let name = try policy.requiredText("name", "the policy's name")
        let isDefault = try policy.boolean("default") ?? false
        let match = try policy.optional("match", decodeMatch)
        if isDefault, match != nil { throw PolicyValidator.defaultWithMatch(at: path) }
        let limits = try policy.list("limits", of: "limits") { (value, path) throws(PolicyFault) in
            try decodeLimit(value, at: path)
        }
        guard let limits else { throw policy.missing("limits", "a list of limits") }
        return Policy(
            name: name, match: match ?? [], isDefault: isDefault,
            per: try policy.texts("per", "attributes' names") ?? [], limits: limits)
    }

    private static func decodeMatch(
        _ value: JSONValue, at path: JSONPath
    ) throws(PolicyFault) -> [AttributeMatch] {
        guard case .object(let members) = value.content else {
            throw PolicyFault(
                .wrongType, at: path, value: value.quoted,
                "is \(value.typeName); accepted: an object of attributes' names and values")
        }
        var match: [AttributeMatch] = []
        for member in members {
            let path = path.key(member.name)
            switch member.value.content {
            case .text("*"): match.append(AttributeMatch(member.name, .present))
            case .text(let text): match.append(AttributeMatch(member.name, .value(text)))
            case .list(let values):
                var texts: [String] = []
                for (position, value) in values.enumerated() {
                    texts.append(
                        try ObjectReader.text(value, at: path.index(position), "a value in quotes"))
                }
                match.append(AttributeMatch(member.name, .oneOf(texts)))
            default:
                throw PolicyFault(
                    .wrongType, at: path, value: member.value.quoted,
                    "is \(member.value.typeName); accepted: a value in quotes, a list of them, "
                        + "or \"*\"")
            }
        }
        return match
    }

    private static func decodeQueue(
        _ value: JSONValue, at path: JSONPath
    ) throws(PolicyFault) -> QueueSettings {
        let queue = try ObjectReader(
            value, at: path, keys: ["flow", "max_waiting", "priorities"], meaning: "a queue")
        var settings = QueueSettings(flow: try queue.text("flow", "an attribute's name"))
        if let maxWaiting = try queue.integer("max_waiting", in: PolicyBounds.maxWaiting) {
            settings.maxWaiting = Int(clamping: maxWaiting)
        }
        let priorities = try queue.list("priorities", of: "priorities") {
            (value, path) throws(PolicyFault) in
            let priority = try ObjectReader(
                value, at: path, keys: ["name", "share"], meaning: "a priority")
            return PriorityShare(
                name: try priority.requiredText("name", "the priority's name"),
                share: try priority.requiredInteger("share", in: PolicyBounds.share))
        }
        if let priorities {
            // The model's empty list is a document without the key.
            if priorities.isEmpty { throw PolicyValidator.empty(path.key("priorities")) }
            settings.priorities = priorities
        }
        return settings
    }

    private static func decodeStore(
        _ value: JSONValue, at path: JSONPath
    ) throws(PolicyFault) -> StoreSettings {
        let store = try ObjectReader(
            value, at: path,
            keys: [
                "on_outage", "on_loss", "deadline", "slices", "slice_ttl", "processes",
                "outage_share",
            ], meaning: "a store")
        var settings = StoreSettings()
        if let response = try store.word("on_outage", StoreSettings.OutageResponse.self) {
            settings.onOutage = response
        }
        if let response = try store.word("on_loss", StoreSettings.LossResponse.self) {
            settings.onLoss = response
        }
        if let deadline = try store.duration("deadline") {
            settings.deadlineNanoseconds = deadline
        }
        if let usesSlices = try store.boolean("slices") { settings.usesSlices = usesSlices }
        if let lifetime = try store.duration("slice_ttl") {
            settings.sliceTTLNanoseconds = lifetime
        }
        if let processes = try store.integer("processes", in: PolicyBounds.processes) {
            settings.processes = Int(clamping: processes)
        }
        settings.outageShare = try store.parsed(
            "outage_share", FractionText.accepted, FractionText.parse)
        return settings
    }
}
