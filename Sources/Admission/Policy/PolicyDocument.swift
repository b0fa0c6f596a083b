/// A checked set of policies: what a limiter enforces.
///
/// ```swift
/// let document = try PolicyDocument(
///     json: """
///         {"admission": 1, "policies": [{"name": "pace", "per": ["tenant"], "limits": [
///           {"name": "rate", "count": "requests", "rate": "5/s", "burst": 10}]}]}
///         """)
/// ```
///
/// A value of this type holds every rule of a policy document, whether it was read from JSON or
/// made in Swift: there is no other way to make one, and none to change it. It knows nothing of
/// counters; a `Limiter` does.
public struct PolicyDocument: Sendable, Hashable {
    /// The most bytes of JSON that are read: 8 MiB.
    public static let maximumBytes = 8 << 20

    /// The policies in document order; at least one. Each one's `match` is sorted by name.
    public let policies: [Policy]
    /// The attribute that all keys of one decision share, in every policy's `per`; nil: one shard.
    public let shard: String?
    /// How requests wait, or nil: the document says nothing.
    public let queue: QueueSettings?
    /// What to do when a shared store fails.
    public let store: StoreSettings
    /// The document in one line of JSON: keys in a fixed order, what equals a default left out.
    ///
    /// Reading it gives an equal document. Two documents that say the same in different words
    /// (`60s` and `1m`, a default written out, another order of keys) have the same text.
    public let canonicalJSON: String
    /// FNV-1a, 64 bits, over `canonicalJSON`: tells documents apart in events and snapshots. Not
    /// safe against a forger.
    public let hash: UInt64

    /// A document made in Swift, held to the same rules as one in JSON.
    ///
    /// - Parameters:
    ///   - policies: At least one, in the order in which ties are decided.
    ///   - shard: The attribute that all keys of one decision share; nil: one shard.
    ///   - queue: How requests wait; nil: the defaults.
    ///   - store: What to do when a shared store fails.
    /// - Throws: `PolicyError` for the first rule that is broken, with the path it would have in
    ///   JSON. Durations must be whole milliseconds, as in JSON.
    /// - Complexity: O(n); opens the tzdata file of each zone that is named.
    public init(
        policies: [Policy], shard: String? = nil, queue: QueueSettings? = nil,
        store: StoreSettings = StoreSettings()
    ) throws(PolicyError) {
        let parts = PolicyDecoder.Parts(
            policies: policies, shard: shard, queue: queue, store: store)
        do {
            try PolicyValidator.check(parts)
        } catch {
            throw error.withoutPosition()
        }
        self.init(checked: parts)
        guard canonicalJSON.utf8.count <= Self.maximumBytes else {
            throw Self.tooLarge(canonicalJSON.utf8.count)
        }
    }

    /// A document from JSON text.
    ///
    /// - Throws: `PolicyError` for the first fault, with line and column.
    /// - Complexity: O(n).
    public init(json text: String) throws(PolicyError) {
        try self.init(json: Array(text.utf8))
    }

    /// A document from JSON bytes: UTF-8 without a byte-order mark.
    ///
    /// - Throws: `PolicyError` for the first fault, with line and column.
    /// - Complexity: O(n).
    public init(json bytes: some Collection<UInt8>) throws(PolicyError) {
        let bytes = Array(bytes)
        guard bytes.count <= Self.maximumBytes else { throw Self.tooLarge(bytes.count) }
        let root: JSONValue
        do {
            root = try JSONReader.read(bytes)
        } catch {
            throw error.located(in: bytes)
        }
        do {
            let parts = try PolicyDecoder.decode(root)
            try PolicyValidator.check(parts)
            self.init(checked: parts)
        } catch {
            throw error.located(in: bytes, root: root)
        }
    }

    /// A document from a JSON file.
    ///
    /// - Parameter path: The file, at most `maximumBytes` long; relative to the working directory.
    /// - Throws: `PolicyError` of kind `unreadable` with the system's reason, or for the first
    ///   fault in the text.
    public init(path: String) throws(PolicyError) {
        try self.init(json: FileBytes.read(path: path, maximum: Self.maximumBytes))
    }

    /// - Parameter parts: Held to every rule already.
    private init(checked parts: PolicyDecoder.Parts) {
        var parts = parts
        for position in parts.policies.indices {
            parts.policies[position].match.sort { left, right in
                left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
            }
        }
        policies = parts.policies
        shard = parts.shard
        queue = parts.queue
        store = parts.store
        canonicalJSON = Self.canonicalJSON(of: parts)
        // FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ (Fowler, Noll, Vo 1991).
        hash = canonicalJSON.utf8.reduce(0xcbf2_9ce4_8422_2325) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
    }

    private static func tooLarge(_ count: Int) -> PolicyError {
        PolicyError(
            .tooLarge, message: "\(count) bytes of JSON; accepted: at most \(maximumBytes)")
    }

    /// Whether both say the same, byte for byte: compares `canonicalJSON`.
    public static func == (left: PolicyDocument, right: PolicyDocument) -> Bool {
        left.canonicalJSON.hasSameBytes(as: right.canonicalJSON)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(hash)
    }
}
