import Admission

/// Documents, the clock and the server itself.
extension RedisStore {
    private static let loadsKey = Array("admission:{admission}:load".utf8)
    private static let loadsSlot = RedisSlots.slot(ofKey: loadsKey)
    private static let clockKey = "admission:clock"

    func load(
        _ scopes: [LimitScope], document: RemoteDocument
    ) throws(StoreError) -> UInt64 {
        try check(document.settings)
        let (before, found) = try rows(
            Self.named(scopes, SliceTerms(document.settings)), hash: document.hash,
            onlyLooks: false)
        state.withLock { state in
            state.settings = document.settings
            state.shardName = document.shard
            state.documentHash = document.hash
            for (identity, row) in found { state.stamps[identity] = row.stamp }
        }
        noteSettings(document.settings)
        return before
    }

    func limitsInForce(
        _ scopes: [LimitScope]
    ) throws(StoreError) -> (scopes: [LimitScope], hash: UInt64)? {
        try lookAtServers(until: deadline)
        let (own, terms) = state.withLock { ($0.documentHash, SliceTerms($0.settings)) }
        let named = Self.named(scopes, terms)
        var (hash, found) = try rows(named, hash: own, onlyLooks: true)
        noticeReturn()
        keepReserves()
        // Where time is moved by hand no thread ends slices.
        if isClockManual { performDue(now: try manualSteady()) }
        if found.values.contains(where: { $0.stamp == 0 }) {
            // The server has lost the loads: ours is put in force again.
            (hash, found) = try rows(named, hash: own, onlyLooks: false)
            hash = own
        }
        let isNew = state.withLock { state in
            defer { for (identity, row) in found { state.stamps[identity] = row.stamp } }
            return found.contains { state.stamps[$0.key] != $0.value.stamp }
        }
        guard isNew else { return nil }
        var kinds = try named.map { (limit) throws(StoreError) in try kind(of: limit, found) }[...]
        let inForce = scopes.map { scope in
            var scope = scope
            for index in scope.limits.indices {
                if let kind = kinds.popFirst() {
                    scope.limits[index].kind = terms.whole(
                        kind, like: scope.limits[index].kind)
                }
            }
            return scope
        }
        return (inForce, hash)
    }

    /// The same limits as in `plan` under the parameters in force: for who has a permit of before.
    func following(_ plan: RedisPlan) throws(StoreError) -> RedisPlan {
        let (own, terms) = state.withLock { ($0.documentHash, SliceTerms($0.settings)) }
        let named = plan.sources.map {
            Named(identity: terms.identity(of: $0), kind: terms.shared($0.limit.kind))
        }
        let (_, found) = try rows(named, hash: own, onlyLooks: true)
        var limits = plan.sources
        for (index, limit) in named.enumerated() {
            let kind = try kind(of: limit, found)
            limits[index].limit.kind = terms.whole(kind, like: limits[index].limit.kind)
        }
        return redisPlan(limits, stamps: found.mapValues(\.stamp))
    }

    /// A limit as the loads know it.
    private struct Named {
        var identity: [UInt8]
        var kind: LimitKind
    }

    private static func named(_ scopes: [LimitScope], _ terms: SliceTerms) -> [Named] {
        scopes.flatMap { scope in
            scope.limits.map { limit in
                Named(
                    identity: terms.identity(
                        policy: scope.policy, limit, keyNames: scope.keyNames),
                    kind: terms.shared(limit.kind))
            }
        }
    }

    /// A limit's kind with the numbers in force.
    private func kind(
        of limit: Named, _ found: [[UInt8]: Row]
    ) throws(StoreError) -> LimitKind {
        guard let row = found[limit.identity], row.stamp > 0 else { return limit.kind }
        guard let kind = RedisLimit.kind(row.parameters, like: limit.kind) else {
            throw .corrupted(path: url, what: "the parameters of a limit that was loaded")
        }
        return kind
    }

    private struct Row {
        var stamp: Int64
        var parameters: [Int64]
    }

    /// - Returns: the hash of the document in force, before this load if it is one; and what is in
    ///   force behind it, by limit.
    private func rows(
        _ limits: [Named], hash: UInt64, onlyLooks: Bool
    ) throws(StoreError) -> (UInt64, [[UInt8]: Row]) {
        var arguments = [Array(String(hash, radix: 16).utf8), Array((onlyLooks ? "1" : "0").utf8)]
        for limit in limits {
            arguments += [limit.identity, RedisWords.pack(RedisLimit.parameters(limit.kind))]
        }
        let command = scripts.load.prepared(
            keys: [Self.loadsKey], variableCount: arguments.count
        ).command(arguments)
        // Looking is done now and then: an outage must not hold that up.
        let reply = try patientCall(
            scripts.load, command, slot: Self.loadsSlot,
            until: onlyLooks ? deadline : .after(nanoseconds: Self.patientNanoseconds))
        guard case .array(let parts) = reply, parts.count == limits.count + 2,
            case .bytes(let before) = parts[0]
        else { throw .corrupted(path: url, what: "the reply to a load") }
        var rows: [[UInt8]: Row] = [:]
        for (limit, part) in zip(limits, parts.dropFirst(2)) {
            guard case .bytes(let bytes) = part, let words = RedisWords.unpack(bytes),
                words.count == 6
            else { throw .corrupted(path: url, what: "the parameters of a limit") }
            rows[limit.identity] = Row(stamp: words[0], parameters: Array(words[1...]))
        }
        return (UInt64(String(decoding: before, as: UTF8.self), radix: 16) ?? 0, rows)
    }

    /// A clock that is moved by hand begins where its first limiter says.
    func makeClock(_ start: Int64) throws(StoreError) {
        // As in a segment, steady time begins at 0.
        for (field, instant) in [("steady", 0), ("wall", start)] {
            try callClock("HSETNX", Self.clockKey, field, "\(instant)")
        }
        try callClock("EXPIRE", Self.clockKey, "86400")
    }

    func advance(_ nanoseconds: Int64) throws(StoreError) {
        for field in ["steady", "wall"] {
            try callClock("HINCRBY", Self.clockKey, field, "\(nanoseconds)")
        }
    }

    /// A manual clock's steady time, ns.
    func manualSteady() throws(StoreError) -> Int64 {
        guard case .one(let node) = routes else { return 0 }
        let reply = try patientCall(RedisCommand("HGET", Self.clockKey, "steady"), on: node)
        guard let text = reply.text, let instant = Int64(text) else {
            throw .corrupted(path: url, what: "the manual clock")
        }
        return instant
    }

    func setTime(_ unixNanoseconds: Int64) throws(StoreError) {
        try callClock("HSET", Self.clockKey, "wall", "\(unixNanoseconds)")
    }

    /// No URL of a cluster has a manual clock.
    private func callClock(_ words: String...) throws(StoreError) {
        guard case .one(let node) = routes else { return }
        _ = try patientCall(RedisCommand(words.map { Array($0.utf8) }), on: node)
    }

    /// Warns of a configuration that loses counters, once for each server, and again for one that
    /// comes back; a user who may not ask is not warned.
    ///
    /// - Throws: why the one server there is does not answer.
    func lookAtServers(until deadline: CallDeadline) throws(StoreError) {
        for node in routes.nodes where node.beginLooking() {
            let command = RedisCommand("CONFIG", "GET", "maxmemory-policy")
            let reply: RedisReply
            do throws(RedisError) {
                reply = try node.pipeline.call(command, until: deadline)
            } catch {
                node.giveUpLooking()
                // The other nodes of a cluster have slots of their own.
                if case .one = routes { throw storeError(error) }
                continue
            }
            guard case .array(let parts) = reply, parts.count == 2, let policy = parts[1].text,
                policy != "noeviction"
            else { continue }
            state.withLock { state in
                state.note(
                    .unsafe(
                        what: "\(url): \(node.name): maxmemory-policy is \(policy): counters may "
                            + "be evicted; set it to noeviction"))
            }
        }
    }
}
