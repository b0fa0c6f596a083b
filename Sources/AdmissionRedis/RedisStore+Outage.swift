import Admission

/// Deciding in an outage: `on_outage: local`, with `processes` or `outage_share`.
extension RedisStore {
    /// Decides by the server while it answers, else by this process's share.
    func chargeThroughOutages(
        _ plan: RedisPlan, _ amounts: [Int64], lease: UInt64
    ) -> RemoteAnswer {
        switch outagePhase() {
        case .over:
            takeReserves(of: plan)
            let answer = chargeByServer(plan, amounts, lease: lease)
            guard case .unreachable = answer else { return answer }
            beginOutage()
            return decideAlone(plan, amounts, lease: lease) ?? answer
        case .away, .returned:
            let answer = chargeDirectly(plan, amounts, lease: lease)
            if case .unreachable = answer {
                beginOutage()
                return decideAlone(plan, amounts, lease: lease) ?? answer
            }
            noticeReturn()
            guard case .decided(let decision) = answer, decision.isAdmitted else { return answer }
            return decideTogether(decision, plan, amounts, lease: lease)
        }
    }

    private func outagePhase() -> OutageLedger.Phase {
        guard isOutageOpen else { return .over }
        let now = CallDeadline.now()
        // What is cleared ends outside of the lock.
        let (phase, _) = ledger.withLock { ledger -> (OutageLedger.Phase, OutageLedger) in
            let before = ledger
            if case .returned(let until) = ledger.phase, now >= until { ledger.clear(.over) }
            // A forked child's share is its own.
            if ledger.identity != ProcessIdentity.current() { ledger.clear(.over) }
            if ledger.phase == .over { isOutageOpen = false }
            return (ledger.phase, before)
        }
        return phase
    }

    private func beginOutage() {
        let (isNew, _) = ledger.withLock { ledger -> (Bool, OutageLedger) in
            let before = ledger
            switch ledger.phase {
            case .away: return (false, before)
            case .returned: ledger.phase = .away
            case .over: ledger.clear(.away)
            }
            isOutageOpen = true
            return (true, before)
        }
        // What is spent from now on is counted here.
        guard isNew else { return }
        for holding in keeper.allHoldings { holding.dropSlices() }
    }

    /// The server answers: it is told what it does not know, once.
    func noticeReturn() {
        guard isOutageOpen else { return }
        let moment = outageMoment()
        let now = CallDeadline.now()
        let (before, untold) = ledger.withLock { ledger in
            let before = ledger
            guard ledger.phase == .away else {
                return (before, [(plan: RedisPlan, entries: [RemoteEntry])]())
            }
            let untold = ledger.takeUntold(now: moment.steady, wall: moment.wall)
            ledger.phase = .returned(until: now + ledger.togetherNanoseconds)
            // What was spent had been charged: the server counts what others spend, too.
            if holdsReserves { ledger.clear(.over) }
            return (before, untold)
        }
        guard before.phase == .away else { return }
        if holdsReserves { isOutageOpen = false }
        for (plan, spent) in untold {
            let entries = entries(spent, plan)
            guard !entries.isEmpty else { continue }
            let settlement = RemoteSettlement(entries: entries, lease: 0, freesLeases: false)
            _ = settleDirectly(plan, settlement, until: deadline)
        }
        for lease in before.leases { register(lease) }
    }

    /// Gives the server a lease that it does not know. Where its set is full of others', it is added
    /// all the same, and counted when leases are counted next.
    private func register(_ lease: UInt64) {
        guard let plan = leases.withLock({ $0.plan(lease) }) else { return }
        let amounts = plan.limits.map { $0.kind == .concurrency ? Int64(1) : 0 }
        let member = RedisLeases.member(lease)
        guard let answer = try? ask(plan, amounts, member: member, until: deadline) else { return }
        if answer.outcome == .admitted {
            for step in plan.limits.indices where plan.limits[step].kind == .concurrency {
                let expiry = answer.now.addingSaturated(plan.limits[step].parameters[1])
                leases.withLock { $0.renew(lease, step: step, expiry: expiry) }
            }
        } else {
            let renewal = RemoteRenewal(
                plan: RemotePlan(plan), lease: lease)
            _ = renew([renewal])
        }
    }

    /// The server's time as far as it is known: as it was last told, and what has passed since.
    func outageMoment() -> (steady: Int64, wall: Int64) {
        let (steady, wall, asOf) = state.withLock { ($0.steady, $0.wall, $0.wallAsOf) }
        let spent = steadySpent
        let passed = isClockManual || asOf == 0 ? 0 : max(0, CallDeadline.now() - asOf)
        let known = wall > 0 ? RedisWords.nanoseconds(wall) : KernelClock.wallNanoseconds()
        return (max(RedisWords.nanoseconds(steady) + passed, spent), known + passed)
    }

    // MARK: Away

    /// Nil: no share of this process's has room for that, ever.
    private func decideAlone(
        _ plan: RedisPlan, _ amounts: [Int64], lease: UInt64
    ) -> RemoteAnswer? {
        let moment = outageMoment()
        let held = heldLeases(plan)
        let decision = ledger.withLock { ledger -> RemoteDecision? in
            guard open(plan, &ledger, moment), fits(plan, amounts, ledger) else { return nil }
            let verdicts = verdicts(plan, amounts, held, &ledger, moment)
            let isAdmitted = verdicts.allSatisfy { $0.refusal == .none }
            var places: [UInt64] = []
            if isAdmitted {
                places = book(plan, amounts, &ledger, moment, isTold: false)
                for step in plan.limits.indices where lease != 0 {
                    ledger[plan, step]?.hold(lease, now: moment.steady)
                }
            }
            return RemoteDecision(
                mode: .outage, isAdmitted: isAdmitted, steadyNanoseconds: moment.steady,
                wallNanoseconds: moment.wall, verdicts: verdicts, places: places)
        }
        guard let decision else { return nil }
        steadySpent = moment.steady
        if decision.isAdmitted, lease != 0, plan.leaseCount > 0 {
            let now = moment.steady / 1_000
            let expiries = plan.limits.map { now.addingSaturated($0.parameters[1]) }
            leases.withLock { $0.keep(lease, plan, expiries: expiries, now: now) }
        }
        return .decided(decision)
    }

    private func fits(_ plan: RedisPlan, _ amounts: [Int64], _ ledger: OutageLedger) -> Bool {
        plan.limits.indices.allSatisfy { step in
            amounts[step] == 0 || amounts[step] <= ledger[plan, step]?.share ?? 0
        }
    }

    private func open(
        _ plan: RedisPlan, _ ledger: inout OutageLedger, _ moment: (steady: Int64, wall: Int64)
    ) -> Bool {
        let processes = localProcesses
        let held = holdsReserves ? plan.reserves.map(\.held) : []
        return ledger.open(plan) { step in
            if holdsReserves { return reserved(plan, step, held) }
            let limit = plan.limits[step]
            let (scope, place) = plan.positions[step]
            var account = OutageAccount(
                plan.sources[step].limit.kind, processes: processes, zone: limit.zone,
                seen: plan.scopes[scope].memory.window(ofLimit: limit.id), now: moment.steady,
                wall: moment.wall)
            // Slices that were spent when the server perhaps was gone already.
            let spent = plan.holdings.isEmpty ? 0 : plan.holdings[scope].spentUnseen(place)
            _ = account?.book(spent, now: moment.steady, wall: moment.wall, isTold: true)
            return account
        }
    }

    /// What the process holds of a limit is all that it spends.
    private func reserved(
        _ plan: RedisPlan, _ step: Int, _ held: [[RedisReserve.Held?]]
    ) -> OutageAccount {
        let (scope, limit) = plan.positions[step]
        guard scope < held.count, let units = held[scope][limit] else {
            return OutageAccount(reserved: 0, until: .max)
        }
        return OutageAccount(
            reserved: plan.reserves[scope].amounts[limit], until: units.until)
    }

    private func verdicts(
        _ plan: RedisPlan, _ amounts: [Int64], _ held: [Int64], _ ledger: inout OutageLedger,
        _ moment: (steady: Int64, wall: Int64)
    ) -> [Verdict] {
        plan.limits.indices.map { step in
            ledger[plan, step]?.verdict(
                amounts[step], now: moment.steady, wall: moment.wall, held: held[step])
                ?? Verdict(.storeUnavailable, remaining: 0)
        }
    }

    private func book(
        _ plan: RedisPlan, _ amounts: [Int64], _ ledger: inout OutageLedger,
        _ moment: (steady: Int64, wall: Int64), isTold: Bool
    ) -> [UInt64] {
        plan.limits.indices.map { step in
            // In no life of the scope: the server gives nothing back of it.
            (ledger[plan, step]?.book(
                amounts[step], now: moment.steady, wall: moment.wall, isTold: isTold) ?? 0)
                & 0xff_ffff_ffff_ffff
        }
    }

    /// For each step how many leases the process has there that the server gave it.
    private func heldLeases(_ plan: RedisPlan) -> [Int64] {
        guard plan.leaseCount > 0 else {
            return [Int64](repeating: 0, count: plan.limits.count)
        }
        let now = outageMoment().steady / 1_000
        let granted = ledger.withLock { ledger in
            plan.limits.indices.map { ledger[plan, $0]?.leases ?? [:] }
        }
        return plan.limits.indices.map { step in
            guard plan.limits[step].kind == .concurrency else { return 0 }
            let name = OutageLedger.name(plan, step: step)
            return leases.withLock { leases in
                leases.count(name, at: now) { granted[step][$0] == nil }
            }
        }
    }

    // MARK: Returned

    /// What the server admitted while other processes may not have told it what they used: the share
    /// has to have room too.
    private func decideTogether(
        _ decision: RemoteDecision, _ plan: RedisPlan, _ amounts: [Int64], lease: UInt64
    ) -> RemoteAnswer {
        let moment = (steady: decision.steadyNanoseconds, wall: decision.wallNanoseconds)
        let now = CallDeadline.now()
        // The one that was just taken is among them.
        let held = heldLeases(plan).map { max(0, $0 - 1) }
        let refused = ledger.withLock { ledger -> [Verdict]? in
            guard case .returned(let until) = ledger.phase, open(plan, &ledger, moment) else {
                return nil
            }
            var verdicts = verdicts(plan, amounts, held, &ledger, moment)
            if !fits(plan, amounts, ledger) {
                for step in verdicts.indices where amounts[step] > ledger[plan, step]?.share ?? 0 {
                    verdicts[step] = Verdict(
                        .exhausted, retryAfterNanoseconds: max(1, until - now), remaining: 0)
                }
            }
            if verdicts.contains(where: { $0.refusal != .none }) { return verdicts }
            _ = book(plan, amounts, &ledger, moment, isTold: true)
            return nil
        }
        guard let refused else { return .decided(decision) }
        let entries = amounts.indices.filter {
            amounts[$0] > 0 && plan.limits[$0].kind != .concurrency
        }
        .map { RemoteEntry(limit: $0, amount: -amounts[$0], place: decision.places[$0]) }
        leases.withLock { $0.forget(lease) }
        let settlement = RemoteSettlement(
            entries: entries, lease: lease, freesLeases: plan.leaseCount > 0)
        _ = settleDirectly(plan, settlement, until: deadline)
        return .decided(
            RemoteDecision(
                mode: .outage, isAdmitted: false, steadyNanoseconds: decision.steadyNanoseconds,
                wallNanoseconds: decision.wallNanoseconds, verdicts: refused, places: []))
    }

    // MARK: Permits

    /// Settles in an outage: here what is of here, by the server what is of the server.
    func settleThroughOutage(
        _ plan: RedisPlan, _ settlement: RemoteSettlement
    ) -> RemoteSettled {
        let phase = outagePhase()
        guard phase != .over else { return settleByServer(plan, settlement) }
        let moment = outageMoment()
        var rest = settlement
        rest.entries = []
        let isOwn = ledger.withLock { ledger -> Bool? in
            var isOwn: Bool?
            guard open(plan, &ledger, moment) else { return nil }
            for entry in settlement.entries {
                if entry.amount > 0 {
                    let isTold = phase != .away
                    _ = ledger[plan, entry.limit]?.book(
                        entry.amount, now: moment.steady, wall: moment.wall, isTold: isTold)
                    if isTold { rest.entries.append(entry) }
                } else if entry.place >> 56 == 0 {
                    ledger[plan, entry.limit]?.giveBack(
                        -entry.amount, place: entry.place, now: moment.steady, wall: moment.wall)
                } else {
                    rest.entries.append(entry)
                }
            }
            for step in plan.limits.indices where settlement.freesLeases {
                if let lived = ledger[plan, step]?.free(settlement.lease, now: moment.steady) {
                    isOwn = lived && isOwn ?? true
                }
            }
            return isOwn
        }
        let places = settlement.entries.map { _ in UInt64(0) }
        let isServers = phase != .away || isOwn == nil && settlement.lease != 0
        guard isServers || !rest.entries.isEmpty else {
            return .settled(places: places, leasesLived: isOwn ?? true)
        }
        guard case .settled(_, let lived) = settleDirectly(plan, rest, until: deadline) else {
            return .unknown
        }
        return .settled(places: places, leasesLived: isOwn ?? lived)
    }

    /// Renews leases that were given out here, while nobody else can.
    ///
    /// - Returns: whether it is such a lease.
    func renewAlone(_ renewal: RemoteRenewal) -> Bool {
        guard outagePhase() == .away else { return false }
        let plan = redisPlan(renewal.plan)
        let moment = outageMoment()
        var isOwn = false
        ledger.withLock { ledger in
            for step in plan.limits.indices {
                guard let expiry = ledger[plan, step]?.leases[renewal.lease],
                    expiry > moment.steady
                else { continue }
                isOwn = true
                ledger[plan, step]?.hold(renewal.lease, now: moment.steady)
            }
        }
        guard isOwn else { return false }
        leases.withLock { leases in
            for step in plan.limits.indices where plan.limits[step].kind == .concurrency {
                let expiry = (moment.steady / 1_000).addingSaturated(
                    plan.limits[step].parameters[1])
                leases.renew(renewal.lease, step: step, expiry: expiry)
            }
        }
        return true
    }
}
