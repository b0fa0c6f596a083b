import Synchronization

/// The inside of a limiter: its store, its document, its permits; shared by the limiter, its gates
/// and, once closed, its last permits.
///
/// Locks: `state` guards the document, the plans waiting to be freed and the events; nobody holds
/// it across a callback or takes another lock of this type under it. Decisions take none.
package final class LimiterCore: @unchecked Sendable {
    // Unchecked: `hot` and the manual clock's words are addresses of atomics and constants.
    let store: SegmentStore
    /// The store that holds the counters where `store` does not.
    let remote: (any RemoteStore)?
    let hot: UnsafeMutablePointer<HotCore>
    let options: Limiter.Options
    /// Steady time and wall offset of a manual clock.
    let manual: (steady: SharedWord, offset: SharedWord)?

    /// The document in force and its limits in the store.
    struct Loaded {
        var table: PolicyTable
        var limits: LoadedLimits
    }

    struct State {
        var loaded: Loaded
        /// Plans whose gates are gone, while permits may still name them.
        var retiredPlans: [ChargePlanReference] = []
        /// Retired plans at which the open permits are searched next: twice what was left over,
        /// so that each search is paid for by as many retirements.
        var sweepAt = LimiterCore.retiredPlansBound
        var gatesOpen = 0
        var loads: UInt64 = 1
        var events = EventRing()
        var loadsSeen = LoadsSeen()
        /// `loadVersion` when others' loads were looked for last.
        var noticedVersion: UInt64 = 0
        var isReplacedReported = false
        var reportedDamages: UInt64 = 0
        var isHeartbeatRefused = false
        /// What a remote store last refused a decision with: decisions give a status alone.
        var remoteFailure: LimiterError?
    }

    let state: ForkableLock<State>
    /// Held while a document is put in force, so that the store's parameters and the document that
    /// gates resolve by are of one load.
    let reloading = ForkableLock((), rank: .reload)

    /// Held while this process takes an owner's entry.
    let adoption = ForkableLock((), rank: .adoption)
    /// The shortest lease of any plan so far.
    let shortestPlanned = Atomic<Int64>(.max)
    /// The policy file that is watched, if one is.
    let policyFile = ForkableLock<PolicyFile?>(nil, rank: .policyFile)
    /// Steady instant of the last beat that a caller did.
    let beatenAt = Atomic<Int64>(0)

    /// Plans that may wait before the open permits are searched for them.
    static let retiredPlansBound = 64

    package init(
        _ document: PolicyDocument, options: Limiter.Options, system: SystemFacts
    ) throws(LimiterError) {
        self.options = options
        let url = try Self.storeURL(options)
        do throws(StoreError) {
            let table = PolicyTable(document)
            remote = try Self.remote(url, options, document)
            _ = try remote?.load(table.scopes, document: RemoteDocument(document))
            let segment = try Self.segment(remote == nil ? url : "memory:", options, system)
            segment.watch.system = system
            let clock: StoreClock
            (clock, manual) = Self.clock(of: segment)
            store = SegmentStore(
                segment: segment, clock: clock, url: remote?.url ?? url, mode: remote?.mode)
            let seen = segment.events.newest
            let limits = try store.load(table.scopes, hash: document.hash)
            state = ForkableLock(
                State(
                    loaded: Loaded(table: table, limits: limits), events: EventRing(after: seen),
                    loadsSeen: LoadsSeen(limits),
                    noticedVersion: segment.loadVersion.load()),
                rank: .limiter)
        } catch {
            throw LimiterError(error)
        }
        guard let permits = PermitTable(capacity: options.permitCapacity) else {
            throw LimiterError(
                .outOfMemory, "no memory for a table of \(options.permitCapacity) permits")
        }
        hot = UnsafeMutablePointer<HotCore>.allocate(capacity: 1)
        hot.initialize(
            to: HotCore(store, permits: permits, core: self))
        store.stampTimes()
        tellOfOpening()
        if manual != nil { store.segment.watch.looksAtEachClaim() }
        do throws(StoreError) {
            try requireOwner()
        } catch {
            // Without concurrency nobody asks for an entry.
            if shortestLease() != nil { throw LimiterError(error) }
        }
        if let name = store.segment.unprovenFileSystem {
            report(.fileSystemUnproven, "\(url) lies on \(name), where nobody has tried a store")
        }
        // What processes held that died while nobody was here: the first beat gives it back.
        if beatsFromOpening { startHeartbeat(ProcessIdentity.current()) }
        if options.heartbeat == .manual || manual != nil || !beatsFromOpening {
            store.segment.reclaimDead(now: store.clock.now())
        }
        if store.mode == .file, options.heartbeat == .manual, manual == nil {
            Heartbeat.shared.watch(self)
        }
    }

    deinit {
        Heartbeat.shared.remove(self)
        leaveOwner()
        for plan in state.withLock({ $0.retiredPlans }) { store.free(plan) }
        hot.pointee.permits.unmap()
        for word in [
            hot.pointee.ownerIdentity, hot.pointee.owner, hot.pointee.heartbeatIdentity,
            hot.pointee.isClosed,
        ] {
            word.freeOwned()
        }
        hot.deallocate()
    }

    /// The store of a URL that an opener serves.
    private static func remote(
        _ url: String, _ options: Limiter.Options, _ document: PolicyDocument
    ) throws(StoreError) -> (any RemoteStore)? {
        guard case .other = try StoreURL(url) else { return nil }
        let scheme = url.prefix { $0 != ":" }
        guard let opener = options.openers.first(where: { $0.schemes.contains(String(scheme)) })
        else { return nil }
        var start: Int64?
        if case .manual(let startUnixNanoseconds) = options.clock { start = startUnixNanoseconds }
        return try opener.open(
            RemoteRequest(url: url, settings: RemoteSettings(document.store), manualStart: start))
    }

    private static func segment(
        _ url: String, _ options: Limiter.Options, _ system: SystemFacts
    ) throws(StoreError) -> Segment {
        var kind = SegmentClockKind.system
        var start: Int64 = 0
        if case .manual(let startUnixNanoseconds) = options.clock {
            kind = .manual
            start = startUnixNanoseconds
        }
        switch try StoreURL(url) {
        case .memory:
            return try Segment(
                anonymousWithKeyCapacity: options.keyCapacity, clockKind: kind,
                startUnixNanoseconds: start)
        case .file(let path, let group):
            return try Segment.open(
                SegmentFileRequest(
                    path: path, keyCapacity: options.keyCapacity, clockKind: kind,
                    startUnixNanoseconds: start, group: group), system: system)
        case .other:
            // What follows the scheme may hold a password.
            let scheme = url.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+") }
            let known = ["memory", "file"] + options.openers.flatMap(\.schemes)
            throw .invalidURL(
                url: scheme + "…",
                reason: "no store is known by this; accepted: "
                    + known.map { $0 + ":" }.joined(separator: ", "))
        }
    }

    private static func clock(
        of segment: Segment
    ) -> (StoreClock, (steady: SharedWord, offset: SharedWord)?) {
        guard segment.clockKind == .manual else {
            return (StoreClock(steadyOffset: segment.steadyOffset), nil)
        }
        let (steady, offset) = segment.manualClock
        return (StoreClock(steady: steady, wallOffset: offset), (steady, offset))
    }

    private static func storeURL(_ options: Limiter.Options) throws(LimiterError) -> String {
        if let url = options.store { return url }
        return Environment.value(of: "ADMISSION_STORE") ?? "memory:"
    }

    @inline(never)
    func startHeartbeat(_ identity: UInt64) {
        if options.heartbeat == .automatic, manual == nil {
            let isBeating = Heartbeat.shared.add(self, identity: identity)
            reportHeartbeat()
            // The next lease asks again.
            guard isBeating else { return }
        }
        hot.pointee.heartbeatIdentity.store(identity)
    }

    var isClosed: Bool { hot.pointee.isClosed.load() != 0 }

    func checkOpen() throws(LimiterError) {
        if isClosed { throw LimiterError(.closed, "the limiter was closed") }
    }
}

/// Plans and their end.
extension LimiterCore {
    /// Makes the plan of a set of attributes under the document in force.
    ///
    /// - Parameter isFirst: the plan is a gate's first, which keeps the attributes.
    func makePlan(
        _ attributes: [Attribute], isFirst: Bool = false
    ) throws(LimiterError) -> ChargePlanReference {
        try checkOpen()
        if store.segment.isReplaced {
            throw LimiterError(StoreError.replaced(path: store.segment.path ?? ""))
        }
        // The version before the document: a load in between makes the plan stale, not wrong.
        let version = hot.loadVersion.load()
        let (loaded, isLoadNew) = state.withLock { state in
            defer { state.noticedVersion = version }
            return (state.loaded, state.noticedVersion != version)
        }
        if isLoadNew { noticeLoads() }
        let matches: [ScopeMatch]
        do throws(PolicyTable.Fault) {
            matches = try loaded.table.matches(attributes)
        } catch {
            throw LimiterError(error)
        }
        let plan: ChargePlanReference
        do throws(SegmentStore.PlanFault) {
            plan = try store.makePlan(
                loaded.limits, matches: matches, version: version,
                core: UnsafeMutableRawPointer(hot), keeping: isFirst ? attributes : [])
        } catch {
            throw LimiterError(error)
        }
        if let remote {
            plan.keep(remote.plan(plan.remoteLimits))
            if plan.head.pointee.hasConcurrency { noteLeases(plan) }
            return plan
        }
        guard plan.head.pointee.hasConcurrency else { return plan }
        do throws(StoreError) {
            // A claim that was turned down comes here: the entry may not be this process' any more.
            try requireOwner()
        } catch {
            store.free(plan)
            throw LimiterError(error)
        }
        noteLeases(plan)
        return plan
    }

    /// Leases as they are stored: another process may have loaded shorter ones than this document's.
    private func noteLeases(_ plan: ChargePlanReference) {
        for index in 0..<plan.stepCount where plan.step(index).pointee.kind == .concurrency {
            let lease = Int64(bitPattern: plan.step(index).pointee.detail)
            guard lease < shortestPlanned.load(ordering: .relaxed) else { continue }
            shortestPlanned.store(lease, ordering: .relaxed)
            // The beat gets shorter with it.
            Heartbeat.shared.quicken(self)
        }
    }

    /// Takes plans that no gate uses any more; frees those that no open permit names.
    func retire(_ plans: [ChargePlanReference]) {
        let freed = state.withLock { state -> [ChargePlanReference] in
            state.gatesOpen -= 1
            state.retiredPlans += plans
            guard state.retiredPlans.count >= state.sweepAt else { return [] }
            var named: Set<UInt> = []
            hot.pointee.permits.forEachOpen { slot, _ in
                named.insert(UInt(bitPattern: slot.plan))
            }
            let isNamed = { (plan: ChargePlanReference) in
                named.contains(UInt(bitPattern: plan.address))
            }
            let freed = state.retiredPlans.filter { !isNamed($0) }
            state.retiredPlans.removeAll { !isNamed($0) }
            state.sweepAt = max(Self.retiredPlansBound, state.retiredPlans.count * 2)
            return freed
        }
        for plan in freed { store.free(plan) }
    }
}

extension SharedWord {
    /// A word of its own, to be freed with `freeOwned`.
    static func makeOwned(_ value: UInt64) -> SharedWord { makeImmortal(value) }

    func freeOwned() {
        address.deinitialize(count: 1)
        address.deallocate()
    }
}
