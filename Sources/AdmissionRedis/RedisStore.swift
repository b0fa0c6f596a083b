import Admission

/// The store whose counters stand in a Redis or Valkey server, or in the nodes of a cluster.
///
/// A decision is one call of a script for all its limits: one round trip. The server's clock decides.
/// What a call was charged whose reply is lost stays charged, and is never sent again.
///
/// Threads: any; the calls of concurrent callers travel together. Works after fork().
final class RedisStore: RemoteStore {
    let url: String
    let mode = StoreMode.redis
    let scripts: RedisScripts
    let routes: RedisRoutes
    let isClockManual: Bool
    /// The connection of what nobody waits for: slices have their own deadline, and a server that
    /// is too slow for callers may be quick enough for them.
    let background: RedisRoutes
    let keeper: SliceKeeper
    /// Of settings and counts, for who takes no lock: see below.
    let words = OwnWords(count: 5)
    /// What is decided without the server while it is away.
    let ledger = ForkableLock(OutageLedger(), rank: .redisLedger)
    let reserves = ForkableLock(RedisReserves(), rank: .redisStore)
    let state: ForkableLock<RedisStoreState>
    let leases = ForkableLock(RedisLeases(), rank: .redisMemory)

    /// Connects, and looks whether the server can hold a store.
    ///
    /// - Throws: `StoreError` that names what is wrong; no password is in it.
    init(_ request: RemoteRequest) throws(StoreError) {
        let parsed = try RedisURL(request.url)
        url = parsed.description
        isClockManual = parsed.isClockManual
        guard !parsed.isEncrypted else {
            throw .refused(
                url: parsed.description, isFull: false,
                reason: "\(RedisFault.tlsUnavailable(hiredis: ReplyParser.version))")
        }
        guard isClockManual == (request.manualStart != nil) else {
            throw .clockMismatch(path: parsed.description, isManual: isClockManual)
        }
        scripts = isClockManual ? .byManualClock : .bySystemClock
        routes = RedisRoutes(parsed, options: Self.options(request.settings))
        background = RedisRoutes(parsed)
        keeper = SliceKeeper(isThreadless: isClockManual)
        state = ForkableLock(RedisStoreState(settings: request.settings), rank: .redisStore)
        try check(request.settings)
        noteSettings(request.settings)
        if case .cluster(let cluster) = routes {
            do throws(RedisRoutes.Failure) {
                try cluster.readMap(until: .after(nanoseconds: Self.patientNanoseconds))
            } catch {
                throw storeError(error.error)
            }
        }
        if let start = request.manualStart { try makeClock(start) }
        try lookAtServers(until: .after(nanoseconds: Self.patientNanoseconds))
        keeper.serve(self)
    }

    deinit { _ = keeper.close() }

    /// Opening, loading and moving the clock are in no hurry.
    static let patientNanoseconds: Int64 = 5_000_000_000

    func plan(_ limits: [RemoteLimit]) -> RemotePlan {
        RemotePlan(redisPlan(limits, stamps: state.withLock { $0.stamps }))
    }

    /// - Parameter stamps: when the limits' parameters were loaded.
    func redisPlan(_ limits: [RemoteLimit], stamps: [[UInt8]: Int64]) -> RedisPlan {
        let (shardName, terms, share) = state.withLock { state in
            let settings = state.settings
            return (
                state.shardName, SliceTerms(settings),
                settings.spendsLocally ? settings.outageShare : nil
            )
        }
        let value = shardName.flatMap { name in
            limits.lazy.compactMap { limit in limit.key.first { $0.name == name }?.value }.first
        }
        let shard = shard(value)
        var order: [[UInt8]] = []
        var groups: [[UInt8]: [(limit: RedisLimit, step: Int)]] = [:]
        for (step, limit) in limits.enumerated() {
            let prefix = shard.prefix + limit.scopeBytes
            if groups[prefix] == nil { order.append(prefix) }
            groups[prefix, default: []].append((self.limit(limit, terms, stamps: stamps), step))
        }
        // Steps are in the order in which charges are taken; the wire's is the document's.
        let places = limits.map(\.documentIndex)
        let scopes = order.map { prefix in
            RedisScope(
                prefix: prefix,
                limits: (groups[prefix] ?? []).sorted { places[$0.step] < places[$1.step] },
                memory: memory(prefix))
        }
        let holdings = terms.areSlicesOn ? holdings(scopes, order, shard, limits, terms) : []
        return RedisPlan(
            shard: shard, scopes: scopes, sources: limits, scripts: scripts, holdings: holdings,
            reserves: share.map { kept(scopes, order, shard, limits, share: $0) } ?? [])
    }

    /// What the process holds of each scope for an outage.
    private func kept(
        _ scopes: [RedisScope], _ prefixes: [[UInt8]], _ shard: RedisShard,
        _ sources: [RemoteLimit], share: (numerator: Int64, denominator: Int64)
    ) -> [RedisReserve] {
        zip(scopes, prefixes).map { scope, prefix in
            if let known = reserves.withLock({ $0.find(prefix, layout: scope.layout) }) {
                return known
            }
            let made = RedisReserve(alone(scope, prefix, shard, sources), share: share)
            return reserves.withLock { $0.keep(made, prefix, layout: scope.layout) }
        }
    }

    /// A plan of one of a plan's scopes, whose steps are in the order of the wire.
    private func alone(
        _ scope: RedisScope, _ prefix: [UInt8], _ shard: RedisShard, _ sources: [RemoteLimit]
    ) -> RedisPlan {
        let alone = RedisScope(
            prefix: prefix,
            limits: scope.limits.enumerated().map { (limit: $0.element, step: $0.offset) },
            memory: scope.memory)
        return RedisPlan(
            shard: shard, scopes: [alone], sources: scope.steps.map { sources[$0] },
            scripts: scripts)
    }

    /// What the process holds of each scope; none where one of them has a limit without slices.
    private func holdings(
        _ scopes: [RedisScope], _ prefixes: [[UInt8]], _ shard: RedisShard,
        _ sources: [RemoteLimit], _ terms: SliceTerms
    ) -> [RedisHolding] {
        guard scopes.allSatisfy({ $0.limits.allSatisfy(\.isSliceable) }) else { return [] }
        return zip(scopes, prefixes).map { scope, prefix in
            keeper.holding(prefix, layout: scope.layout) {
                RedisHolding(
                    alone(scope, prefix, shard, sources),
                    lifetimeNanoseconds: terms.lifetimeNanoseconds)
            }
        }
    }

    private func limit(
        _ limit: RemoteLimit, _ terms: SliceTerms, stamps: [[UInt8]: Int64]
    ) -> RedisLimit {
        var zone: Zone?
        if case .calendarWindow(_, _, let name, _) = limit.limit.kind { zone = self.zone(name) }
        let identity = terms.identity(of: limit)
        var shared = limit.limit
        shared.kind = terms.shared(limit.limit.kind)
        return RedisLimit(
            shared, identity: identity, stamp: stamps[identity] ?? 0, zone: zone,
            isSliceable: terms.isSliceable(limit.limit.kind))
    }

    /// The zones of the document were found when it was read.
    private func zone(_ name: String) -> Zone? {
        if let known = state.withLock({ $0.zones[name] }) { return known }
        guard let zone = try? Zone(named: name) else { return nil }
        state.withLock { $0.zones[name] = zone }
        return zone
    }

    private func shard(_ value: String?) -> RedisShard {
        if let known = state.withLock({ $0.shards[value] }) { return known }
        let made = RedisShard(value: value)
        return state.withLock { state in
            if let known = state.shards[value] { return known }
            if state.shards.count >= RedisStoreState.memoriesBound { state.shards = [:] }
            state.shards[value] = made
            return made
        }
    }

    private func memory(_ prefix: [UInt8]) -> RedisMemory {
        if let known = state.withLock({ $0.memories[prefix] }) { return known }
        let made = RedisMemory()
        return state.withLock { state in
            if let known = state.memories[prefix] { return known }
            if state.memories.count >= RedisStoreState.memoriesBound { state.memories = [:] }
            state.memories[prefix] = made
            return made
        }
    }

    /// When a call has to be over. A clock that is moved by hand is for tests, which have time.
    var deadline: CallDeadline {
        let nanoseconds = state.withLock { $0.settings.deadlineNanoseconds }
        return .after(
            nanoseconds: isClockManual ? max(nanoseconds, Self.patientNanoseconds) : nanoseconds)
    }

    /// The wall instant that calls compute windows for: the server's as last seen, else this host's.
    var wall: Int64 {
        let (known, asOf) = state.withLock { ($0.wall, $0.wallAsOf) }
        guard known > 0 else { return KernelClock.wallNanoseconds() / 1_000 }
        return isClockManual ? known : known + max(0, CallDeadline.now() - asOf) / 1_000
    }
}

/// What a store keeps beside its connection.
struct RedisStoreState: Sendable {
    var settings: RemoteSettings
    /// The attribute that a decision's keys share.
    var shardName: String?
    var documentHash: UInt64 = 0
    /// When each limit's parameters in force were loaded.
    var stamps: [[UInt8]: Int64] = [:]
    var zones: [String: Zone] = [:]
    /// What is remembered of shards and of scopes, by prefix. Plans hold theirs; forgetting one costs
    /// that a loss of its state is not noticed.
    var shards: [String?: RedisShard] = [:]
    var memories: [[UInt8]: RedisMemory] = [:]
    static let memoriesBound = 65_536

    /// The server's wall instant as a reply told it, us, and when that was here, monotonic ns.
    var wall: Int64 = 0
    var wallAsOf: Int64 = 0
    /// The steady instant of the same reply, us.
    var steady: Int64 = 0

    var notes: [RemoteNote] = []
    static let notesBound = 64

    init(settings: RemoteSettings) { self.settings = settings }

    mutating func note(_ note: RemoteNote) {
        if notes.count < Self.notesBound, notes.last != note { notes.append(note) }
    }
}

extension SliceTerms {
    /// Without the values of its key.
    func identity(of limit: RemoteLimit) -> [UInt8] {
        identity(policy: limit.policy, limit.limit, keyNames: limit.key.map(\.name))
    }
}

extension RemoteLimit {
    /// What tells its scope from others: the policy and the key.
    fileprivate var scopeBytes: [UInt8] {
        var bytes: [UInt8] = []
        LimitKey.append(policy.utf8, to: &bytes)
        for attribute in key {
            LimitKey.append(attribute.name.utf8, to: &bytes)
            LimitKey.append(attribute.value.utf8, to: &bytes)
        }
        return bytes
    }
}

extension StoreOpener {
    /// Stores on Redis and Valkey, at the URLs that `RedisURL` reads.
    public static var redis: StoreOpener {
        StoreOpener(schemes: RedisURL.schemes) { request throws(StoreError) in
            try RedisStore(request)
        }
    }
}
