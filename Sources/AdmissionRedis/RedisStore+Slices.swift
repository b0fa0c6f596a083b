import Admission

/// Deciding by slices: parts of limits that this process had charged in advance.
extension RedisStore {
    /// The clock that slices end by, ns: this process's monotonic one; one that is moved by hand is
    /// asked for on the server, so that limiters which share it agree.
    func sliceNow() -> Int64 {
        isClockManual ? (try? manualSteady()) ?? 0 : CallDeadline.now()
    }

    /// Decides from what is in hand; what is not is decided by the server, while more is asked for.
    func chargeFromSlices(
        _ plan: RedisPlan, _ amounts: [Int64], lease: UInt64
    ) -> RemoteAnswer {
        let now = sliceNow()
        if isClockManual { performDue(now: now) }
        if let decision = spend(plan, amounts, now: now) { return .decided(decision) }
        let answer = chargeDirectly(plan, amounts, lease: lease)
        learn(answer, plan, amounts)
        for holding in plan.holdings where holding.claimAsk(now: now) {
            keeper.enqueue(.ask(holding))
        }
        if isClockManual { performDue(now: now) }
        return answer
    }

    /// Takes a cost from slices of all scopes, or from none; nil: they have not got it.
    private func spend(
        _ plan: RedisPlan, _ amounts: [Int64], now: Int64
    ) -> RemoteDecision? {
        var verdicts = [Verdict](repeating: Verdict(.none, remaining: 0), count: amounts.count)
        var places = [UInt64](repeating: 0, count: amounts.count)
        if plan.holdings.count == 1 {
            guard
                let taken = plan.holdings[0].take(
                    amounts, plan.scopes[0].steps, now: now, &verdicts, &places)
            else { return nil }
            guard let (steady, wall) = moment(taken, now: now, atLeast: plan.shard.steady) else {
                plan.holdings[0].putBack(taken, amounts, plan.scopes[0].steps)
                return nil
            }
            noteSpent(plan, 0, taken, amounts, now: now)
            return decision(plan, steady, wall, verdicts, places)
        }
        var all: [RedisHolding.Taken] = []
        for (holding, scope) in zip(plan.holdings, plan.scopes) {
            guard let taken = holding.take(amounts, scope.steps, now: now, &verdicts, &places)
            else { break }
            all.append(taken)
        }
        guard all.count == plan.holdings.count,
            let (steady, wall) = moment(all, now: now, atLeast: plan.shard.steady)
        else {
            for (index, taken) in all.enumerated() {
                plan.holdings[index].putBack(taken, amounts, plan.scopes[index].steps)
            }
            return nil
        }
        for (index, taken) in all.enumerated() {
            noteSpent(plan, index, taken, amounts, now: now)
        }
        return decision(plan, steady, wall, verdicts, places)
    }

    @inline(__always)
    private func decision(
        _ plan: RedisPlan, _ steady: Int64, _ wall: Int64, _ verdicts: [Verdict],
        _ places: [UInt64]
    ) -> RemoteDecision {
        plan.shard.noteSteady(steady)
        return RemoteDecision(
            mode: .slice, isAdmitted: true, steadyNanoseconds: steady, wallNanoseconds: wall,
            verdicts: verdicts, places: places)
    }

    /// The instant of a decision from a slice, by the server's time, which it never is ahead of: so
    /// many nanoseconds behind the charge as have passed since the answer was here, but not in front of
    /// what this process has seen. Nil: outside of the slice's life, or of its window, as by a server's
    /// clock that was stepped.
    @inline(__always)
    private func moment(
        _ taken: RedisHolding.Taken, now: Int64, atLeast seen: Int64
    ) -> (steady: Int64, wall: Int64)? {
        let facts = taken.facts
        let since = max(0, now &- facts.answeredAt)
        let steady = max(facts.steadyNanoseconds &+ since, seen)
        let age = steady &- facts.steadyNanoseconds
        let wall = facts.wallNanoseconds &+ age
        guard age <= facts.lifetimeNanoseconds, wall < facts.wallEnd else { return nil }
        return (steady, wall)
    }

    /// The same for several scopes, which share it.
    private func moment(
        _ all: [RedisHolding.Taken], now: Int64, atLeast seen: Int64
    ) -> (steady: Int64, wall: Int64)? {
        var steady = seen
        for taken in all {
            guard let own = moment(taken, now: now, atLeast: steady) else { return nil }
            steady = max(steady, own.steady)
        }
        var wall = Int64.min
        for taken in all {
            guard let own = moment(taken, now: now, atLeast: steady) else { return nil }
            wall = max(wall, own.wall)
        }
        return all.allSatisfy { wall < $0.facts.wallEnd } ? (steady, wall) : nil
    }

    @inline(__always)
    private func noteSpent(
        _ plan: RedisPlan, _ index: Int, _ taken: RedisHolding.Taken, _ amounts: [Int64],
        now: Int64
    ) {
        let holding = plan.holdings[index]
        holding.noteSpent(amounts, plan.scopes[index].steps)
        if holding.needsMore(taken, now: now) {
            keeper.enqueue(.ask(holding))
            if isClockManual { performDue(now: now) }
        }
    }

    /// Notes what a direct decision tells of demand and of what is left.
    private func learn(_ answer: RemoteAnswer, _ plan: RedisPlan, _ amounts: [Int64]) {
        guard case .decided(let decision) = answer else {
            // Slices are asked for with more patience than a decision has.
            if case .unreachable = answer { noteDemand(plan, amounts) }
            return
        }
        if decision.isAdmitted { noteDemand(plan, amounts) }
        guard decision.mode == .redis else { return }
        for (holding, scope) in zip(plan.holdings, plan.scopes) {
            var life: UInt64 = 0
            for (limit, step) in scope.steps.enumerated() {
                let charged = decision.isAdmitted ? amounts[step] : 0
                holding.noteLeft(decision.verdicts[step].remaining - charged, limit: limit)
                if decision.isAdmitted { life = decision.places[step] >> 56 }
            }
            holding.noteLife(life)
        }
    }

    private func noteDemand(_ plan: RedisPlan, _ amounts: [Int64]) {
        for (holding, scope) in zip(plan.holdings, plan.scopes) {
            holding.noteDemand(amounts, scope.steps)
        }
    }
}

/// What the background does.
extension RedisStore {
    /// The same by the caller, where time is moved by hand.
    func performDue(now: Int64) {
        for job in keeper.takeDue(now: now) { perform(job) }
    }

    func perform(_ job: SliceKeeper.Job) {
        switch job {
        case .ask(let holding): askSlice(holding)
        case .settle(let holding):
            let isOld = holding.isRetired
            holding.endSlices(now: isOld ? .max : sliceNow())
            sendSettlements(of: holding, until: backgroundDeadline)
        }
    }

    /// A call in the background has longer than a slice: what comes too late to be spent is given back,
    /// and what nobody waited for would stay charged.
    private var backgroundDeadline: CallDeadline {
        let life = terms.lifetimeNanoseconds
        return .after(
            nanoseconds: isClockManual ? Self.patientNanoseconds : life + max(life, 250_000_000))
    }

    /// Asks for a slice, and begins it where it comes in time.
    private func askSlice(_ holding: RedisHolding) {
        let askedAt = sliceNow()
        guard !keeper.isClosed, !holding.isRetired, let wanted = holding.wants(now: askedAt) else {
            holding.postponeAsk(until: askedAt + holding.paceNanoseconds)
            return
        }
        let deadline = backgroundDeadline
        let answer = try? ask(
            holding.plan, wanted, member: RedisLeases.member(0), until: deadline, on: background)
        let answeredAt = sliceNow()
        let life = holding.lifetimeNanoseconds
        guard let answer else {
            // Nobody knows whether it was charged: it is not spent, and runs out.
            noteUnanswered()
            holding.noteAnswer(wanted, roundTripNanoseconds: life, now: askedAt + life / 4)
            return
        }
        holding.noteAnswer(
            wanted, roundTripNanoseconds: answeredAt - askedAt, now: askedAt)
        let fields = fields(answer, holding.plan)
        for (limit, field) in fields.enumerated() {
            holding.noteLeft(field.remaining(now: answer.now), limit: limit)
        }
        guard answer.outcome == .admitted else {
            holding.postponeAsk(until: answeredAt + life / 4)
            return
        }
        begin(holding, wanted, answer, fields, askedAt: askedAt, answeredAt: answeredAt)
    }

    private func begin(
        _ holding: RedisHolding, _ wanted: [Int64], _ answer: RedisAnswer, _ fields: [RedisFields],
        askedAt: Int64, answeredAt: Int64
    ) {
        var places = places(answer, holding.plan, fields)
        var wallEnd = Int64.max
        for (limit, field) in fields.enumerated() {
            switch field.limit.kind {
            case .calendar: wallEnd = min(wallEnd, RedisWords.nanoseconds(field[1]))
            // Only the slice that a bucket's units came from may have them back.
            case .bucket: places[limit] |= UInt64(answer.now)
            case .rolling, .concurrency: break
            }
        }
        let wall = answer.wallNanoseconds
        let endsAt = askedAt.addingSaturated(
            min(holding.lifetimeNanoseconds, wallEnd == .max ? .max : wallEnd - wall))
        let facts = SliceSlots.Facts(
            steadyNanoseconds: answer.steadyNanoseconds, wallNanoseconds: wall,
            answeredAt: answeredAt, endsAt: endsAt, wallEnd: wallEnd,
            lifetimeNanoseconds: holding.lifetimeNanoseconds)
        let isKept =
            answeredAt < endsAt && !keeper.isClosed && !holding.isRetired
            && holding.open(facts, wanted, places)
        if isKept {
            keeper.settle(holding, at: endsAt)
        } else {
            holding.giveBack(wanted, places)
            sendSettlements(of: holding, until: backgroundDeadline)
        }
    }

    /// Sends what waits; what the server does not answer to is not sent again.
    func sendSettlements(of holding: RedisHolding, until deadline: CallDeadline) {
        for settlement in holding.takeSettlements() {
            _ = settleDirectly(holding.plan, settlement, until: deadline, on: background)
        }
    }

    /// What the process holds goes back, as far as one deadline allows; the rest runs out.
    func close() {
        let deadline = deadline
        for holding in keeper.close() {
            holding.endSlices(now: .max)
            guard CallDeadline.now() < deadline.nanoseconds else { continue }
            sendSettlements(of: holding, until: deadline)
        }
    }
}

/// Settling where units may come from slices.
extension RedisStore {
    /// Settles with what is in hand; the rest goes out together with others', at most a slice's life
    /// later.
    func settleFromSlices(
        _ plan: RedisPlan, _ settlement: RemoteSettlement
    ) -> RemoteSettled {
        let now = sliceNow()
        var places = [UInt64](repeating: 0, count: settlement.entries.count)
        var direct: [Int] = []
        for (index, entry) in settlement.entries.enumerated() {
            let (scope, limit) = plan.positions[entry.limit]
            let holding = plan.holdings[scope]
            var isDue = false
            if entry.amount < 0 {
                isDue = holding.settleBack(
                    -entry.amount, limit: limit, place: entry.place, now: now)
            } else if let place = holding.settleMore(entry.amount, limit: limit, now: now) {
                places[index] = place
            } else if settlement.isPermitOpen
                || entry.amount > plan.limits[entry.limit].limit.kind.capacity / 16
            {
                direct.append(index)
            } else {
                isDue = holding.keepMore(entry.amount, limit: limit)
            }
            if isDue { keeper.settle(holding, at: now + holding.lifetimeNanoseconds / 2) }
        }
        guard !direct.isEmpty else { return .settled(places: places, leasesLived: true) }
        let rest = RemoteSettlement(
            entries: direct.map { settlement.entries[$0] }, lease: 0, freesLeases: false,
            isPermitOpen: settlement.isPermitOpen)
        guard case .settled(let found, _) = settleDirectly(plan, rest, until: deadline) else {
            return .unknown
        }
        for (index, place) in zip(direct, found) { places[index] = place }
        return .settled(places: places, leasesLived: true)
    }
}
