import Admission

/// Deciding and looking.
extension RedisStore {
    /// Tries with windows for another instant; the second of them lies in the server's present.
    private static let triesBound = 3

    func charge(_ plan: RemotePlan, _ amounts: [Int64], lease: UInt64) -> RemoteAnswer {
        let redis = redisPlan(plan)
        return localProcesses > 0
            ? chargeThroughOutages(redis, amounts, lease: lease)
            : chargeByServer(redis, amounts, lease: lease)
    }

    /// Decides by the server, or by what was taken of it in advance.
    @inline(__always)
    func chargeByServer(_ plan: RedisPlan, _ amounts: [Int64], lease: UInt64) -> RemoteAnswer {
        plan.holdings.isEmpty
            ? chargeDirectly(plan, amounts, lease: lease)
            : chargeFromSlices(plan, amounts, lease: lease)
    }

    /// Decides by a call to the server.
    func chargeDirectly(_ redis: RedisPlan, _ amounts: [Int64], lease: UInt64) -> RemoteAnswer {
        let isNever = zip(redis.limits, amounts).contains { $1 > $0.limit.kind.capacity }
        do throws(Fault) {
            let member = isNever ? [] : RedisLeases.member(lease)
            guard let answer = try ask(redis, amounts, member: member, until: deadline) else {
                return .stale
            }
            let decision = decision(answer, redis, amounts)
            if decision.isAdmitted, lease != 0, redis.leaseCount > 0 {
                let expiries = redis.limits.map { answer.now.addingSaturated($0.parameters[1]) }
                leases.withLock { leases in
                    leases.keep(lease, redis, expiries: expiries, now: answer.now)
                }
            }
            return .decided(decision)
        } catch {
            switch error {
            case .unreachable(let retryAfter):
                return .unreachable(retryAfterNanoseconds: retryAfter)
            case .refused(let error): return .failed(error)
            }
        }
    }

    /// Looks without charging: the scripts take a call without a lease's name for that.
    func look(_ plan: RemotePlan, _ amounts: [Int64]) throws(StoreError) -> RemoteLook {
        let redis = redisPlan(plan)
        let capacities = redis.limits.map(\.limit.kind.capacity)
        let (answer, full): (RedisAnswer, RedisAnswer)
        do throws(Fault) {
            guard let first = try ask(redis, amounts, member: [], until: deadline),
                let second = try ask(redis, capacities, member: [], until: deadline)
            else {
                throw Fault.refused(.refused(url: url, isFull: false, reason: "a load passed by"))
            }
            (answer, full) = (first, second)
        } catch {
            switch error {
            case .unreachable:
                throw .refused(url: url, isFull: false, reason: "the server does not answer")
            case .refused(let error): throw error
            }
        }
        let verdicts = decision(answer, redis, amounts).verdicts
        let fits = fits(full, redis)
        let fields = fields(answer, redis)
        let rows = redis.limits.indices.map { step in
            let limit = redis.limits[step]
            let reference = limit.kind == .calendar ? full.wall : full.now
            // When all of the limit fits again, it is untouched.
            let again: Int64? =
                limit.kind == .concurrency
                ? nil : fits[step] == 0 ? 0 : RedisWords.nanoseconds(max(0, fits[step] - reference))
            var reset: Int64?
            if limit.kind == .calendar {
                reset = RedisWords.nanoseconds(fields[step][1])
            }
            return RemoteLook.Row(
                verdict: verdicts[step], used: fields[step].used(now: answer.now),
                fullAgainNanoseconds: again, resetUnixNanoseconds: reset)
        }
        return RemoteLook(
            steadyNanoseconds: answer.steadyNanoseconds, wallNanoseconds: answer.wallNanoseconds,
            rows: rows)
    }

    func redisPlan(_ plan: RemotePlan) -> RedisPlan {
        guard let redis = plan.content as? RedisPlan else {
            preconditionFailure("a plan of another store")
        }
        return redis
    }

    /// One decision; nil where another document is in force.
    ///
    /// - Parameter background: the connection, where nobody waits.
    func ask(
        _ plan: RedisPlan, _ amounts: [Int64], member: [UInt8], until deadline: CallDeadline,
        on background: RedisRoutes? = nil
    ) throws(Fault) -> RedisAnswer? {
        let known = plan.scopes.map(\.memory.known)
        var arguments = [member]
        for (scope, known) in zip(plan.scopes, known) {
            arguments.append(scope.ask(amounts, birth: known.birth))
        }
        let call = RedisCall(
            form: plan.acquire, plan: plan, births: known.map(\.birth),
            seen: known.map(\.seen), arguments: arguments)
        let answer = try answer(call, until: deadline, on: background)
        switch answer.outcome {
        case .admitted, .admittedAnew, .rejected: return answer
        case .newer: return nil
        case .rarePartNeeded:
            throw .refused(
                .refused(url: url, isFull: false, reason: "the server's time lies in no window"))
        case .leaseTaken:
            throw .refused(.refused(url: url, isFull: false, reason: "a lease's name is taken"))
        }
    }

    /// Sends a call on all scopes of a plan, with its rare part where that is needed, and remembers
    /// what the reply tells.
    func answer(
        _ call: RedisCall, until deadline: CallDeadline, on background: RedisRoutes? = nil
    ) throws(Fault) -> RedisAnswer {
        var rarePart = call.births.contains(0) ? rarePart(call, wall: wall) : nil
        var answer = try send(call, rarePart, until: deadline, on: background)
        for _ in 0..<Self.triesBound where answer.outcome == .rarePartNeeded {
            rarePart = self.rarePart(call, wall: answer.wall)
            answer = try send(call, rarePart, until: deadline, on: background)
        }
        answer.births = answer.lives.isEmpty ? call.births : answer.lives.map(\.birth)
        guard answer.outcome == .admitted || answer.outcome == .rejected else { return answer }
        if localProcesses > 0 { noteWindows(answer, call.plan) }
        for (index, scope) in call.plan.scopes.enumerated() {
            if answer.lives.isEmpty {
                scope.memory.see(call.births[index], at: answer.now)
                call.plan.shard.see(answer.now, lifetime: scope.lifetime)
            } else if answer.lives[index].isStored {
                let life = answer.lives[index]
                scope.memory.note(birth: life.birth, seen: answer.now)
                call.plan.shard.note(birth: life.shard, seen: answer.now, lifetime: scope.lifetime)
            }
        }
        return answer
    }

    private func send(
        _ call: RedisCall, _ rarePart: [UInt8]?, until deadline: CallDeadline,
        on background: RedisRoutes?
    ) throws(Fault) -> RedisAnswer {
        let reply = try self.call(
            call.form.script, call.form.command(call.arguments, rarePart),
            slot: call.plan.shard.slot, until: deadline, on: background)
        guard case .bytes(let bytes) = reply,
            let answer = RedisAnswer(bytes, scopes: call.plan.scopes)
        else {
            throw .refused(
                .corrupted(path: url, what: "a script's reply is none that this version knows"))
        }
        note(answer, call.plan)
        return answer
    }

    private func rarePart(_ call: RedisCall, wall: Int64) -> [UInt8] {
        let known = call.plan.shard.known
        let holds = state.withLock { $0.settings.holdsOnLoss }
        let front = [
            holds ? 1 : 2, Int64.random(in: 1...RedisWords.most), known.birth,
            known.seen, known.until,
        ]
        return RedisWords.pack(front + call.seen)
            + call.plan.scopes.flatMap { $0.rarePart(wall: wall) }
    }

    /// Notes calendar windows as they were told, for an outage.
    private func noteWindows(_ answer: RedisAnswer, _ plan: RedisPlan) {
        for (step, field) in fields(answer, plan).enumerated() where field.limit.kind == .calendar {
            plan.scopes[plan.positions[step].scope].memory.note(
                OutageAccount.SeenWindow(start: field[0], end: field[1], count: field[2]),
                ofLimit: field.limit.id)
        }
    }

    /// For each step its fields.
    func fields(_ answer: RedisAnswer, _ plan: RedisPlan) -> [RedisFields] {
        var found = [(Int, RedisFields)]()
        for (scope, head) in zip(plan.scopes, answer.fields) {
            var at = head.startIndex
            for (limit, step) in zip(scope.limits, scope.steps) {
                found.append(
                    (step, RedisFields(limit: limit, words: head[at..<at + limit.fieldCount])))
                at += limit.fieldCount
            }
        }
        return found.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// For each step when a refused cost fits; 0: now.
    private func fits(_ answer: RedisAnswer, _ plan: RedisPlan) -> [Int64] {
        var fits = [Int64](repeating: 0, count: plan.limits.count)
        guard answer.outcome == .rejected else { return fits }
        let steps = plan.scopes.flatMap(\.steps)
        for (step, instant) in zip(steps, answer.rest) { fits[step] = instant }
        return fits
    }

    private func decision(
        _ answer: RedisAnswer, _ plan: RedisPlan, _ amounts: [Int64]
    ) -> RemoteDecision {
        let isAdmitted = answer.outcome == .admitted
        let fits = fits(answer, plan)
        let fields = fields(answer, plan)
        let verdicts = fields.indices.map { step in
            fields[step].verdict(
                amounts[step], isAdmitted: isAdmitted, fitsAt: fits[step], now: answer.now,
                wall: answer.wall)
        }
        return RemoteDecision(
            isAdmitted: isAdmitted, steadyNanoseconds: answer.steadyNanoseconds,
            wallNanoseconds: answer.wallNanoseconds, verdicts: verdicts,
            places: isAdmitted ? places(answer, plan, fields) : [])
    }

    /// Where charges went: the number of the scope's life, and in it the cell or the window.
    func places(
        _ answer: RedisAnswer, _ plan: RedisPlan, _ fields: [RedisFields]
    ) -> [UInt64] {
        var places = fields.map { $0.place(now: answer.now) }
        for (scope, birth) in zip(plan.scopes, answer.births) {
            let life = scope.memory.number(ofLife: birth)
            for step in scope.steps { places[step] |= life << 56 }
        }
        return places
    }
}

/// One call of a deciding script.
struct RedisCall {
    let form: RedisForm
    let plan: RedisPlan
    /// For each scope the life that the call names, and when it was seen last; 0: none.
    let births: [Int64]
    let seen: [Int64]
    /// All but the rare part.
    let arguments: [[UInt8]]
}
