@testable import Admission

/// Decisions, and what they must be.
extension LawRun {
    private mutating func cost() -> Cost {
        func units(_ most: Int64) -> Int64 {
            switch numbers.below(10) {
            case 0...2: 0
            case 3...7: numbers.number(1...5)
            case 8: numbers.number(1...most)
            default: numbers.isOne(of: 6) ? numbers.number(1...1_000_000) : 1
            }
        }
        var cost = Cost(
            requests: numbers.isOne(of: 5) ? units(60) : 1, inputTokens: units(100),
            outputTokens: units(100))
        if numbers.isOne(of: 2) { cost.extra = [CountAmount(Count("images"), units(20))] }
        if numbers.isOne(of: 10) { cost.extra.append(CountAmount(Count("unheard of"), 7)) }
        return cost
    }

    mutating func decide(takesPermit: Bool) throws {
        if open.count >= 200 { try end(open.removeFirst()) }
        let (attributes, gate) = numbers.pick(gates)
        let cost = cost()
        let parts = try oracle.parts(attributes)
        let hasLeases = parts.contains { $0.limit.count == .concurrency }
        let record = try ask(gate, parts, cost, takesPermit: takesPermit || hasLeases)
        // Now and then: refused until exactly T, admitted at T.
        guard record.outcome == 2, record.retryAfterNanoseconds > 0, numbers.isOne(of: 3) else {
            return
        }
        try jump(record.retryAfterNanoseconds, gate, attributes, cost, takesPermit || hasLeases)
    }

    private mutating func jump(
        _ retryAfter: Int64, _ gate: Gate, _ attributes: [Attribute], _ cost: Cost,
        _ takesPermit: Bool
    ) throws {
        guard oracle.now + retryAfter < Self.end else { return }
        tally.jumps += 1
        let parts = try oracle.parts(attributes)
        let hasGuard = parts.contains {
            if case .calendarWindow(_, _, _, let guarding) = $0.limit.kind {
                guarding > 0
            } else {
                false
            }
        }
        let (clock, wall) = (oracle.now, oracle.moment.wall)
        if retryAfter > grain {
            try advance(retryAfter - grain)
            let early = try ask(gate, parts, cost, takesPermit: takesPermit)
            if early.outcome == 1, oracle.moment.wall - wall == retryAfter - grain,
                !documents.hasSteps
            {
                throw fault(
                    "refused at \(clock) until \(retryAfter) ns later, admitted \(grain) ns early")
            }
            try advance(grain)
        } else {
            try advance(retryAfter)
        }
        let record = try ask(gate, parts, cost, takesPermit: takesPermit)
        if record.outcome != 1, !hasGuard, !documents.hasSteps {
            throw fault("refused at \(clock) until \(retryAfter) ns later, and refused then")
        }
    }

    /// Asks limiter and oracle, and compares every field of the answer.
    private mutating func ask(
        _ gate: Gate, _ parts: [PlainLimiter.Part], _ cost: Cost, takesPermit: Bool
    ) throws -> DecisionRecord {
        let expected = oracle.predict(parts, cost)
        note("ask \(cost.requests)/\(cost.inputTokens)/\(cost.outputTokens): \(expected)")
        var record = DecisionRecord()
        let status = cost.extra.withUnsafeBufferPointer { extra in
            gate.decide(
                CostAmounts(
                    requests: cost.requests, inputTokens: cost.inputTokens,
                    outputTokens: cost.outputTokens, extra: extra),
                takesPermit: takesPermit, into: &record)
        }
        guard status == 0 else { throw fault("status \(status)") }
        if let difference = difference(record, expected, takesPermit: takesPermit) {
            throw fault("\(cost): \(difference)\n\(try gate.explain(cost).json)")
        }
        if let reason = expected.reason {
            tally.refusals[reason, default: 0] += 1
            oracle.refuse(parts, at: expected.moment)
            try checkLateness(parts, cost, record)
        } else {
            tally.admitted += 1
            oracle.admit(parts, cost, at: expected.moment, permit: record.permit)
            if takesPermit { open.append(record.permit) }
        }
        // All or nothing: each limit is as the log, which books whole decisions alone, says.
        if numbers.isOne(of: 4) { try compare(gate, parts) }
        return record
    }

    private func difference(
        _ record: DecisionRecord, _ expected: PlainLimiter.Prediction, takesPermit: Bool
    ) -> String? {
        var seen: [(String, Int64, Int64)] = [
            ("outcome", Int64(record.outcome), expected.reason == nil ? 1 : 2),
            ("reason", Int64(record.reason), Int64(expected.reason?.rawValue ?? 0)),
            ("limit", record.limit, expected.limit), ("asked", record.asked, expected.asked),
            ("remaining", record.remaining, expected.remaining),
            ("decided_at", record.decidedAtNanoseconds, expected.moment.now),
            ("decided_at_unix", record.decidedAtUnixNanoseconds, expected.moment.wall),
        ]
        let retry: Int64
        switch expected.reason {
        case .exceedsLimit?: retry = -1
        case .concurrency?: retry = -2
        default: retry = expected.retryAfterNanoseconds
        }
        seen.append(("retry_after", record.retryAfterNanoseconds, retry))
        let hasPermit = takesPermit && expected.reason == nil
        seen.append(("permit", record.permit == 0 ? 0 : 1, hasPermit ? 1 : 0))
        let name = record.limitName.map { String(cString: $0) }
        let policy = record.policyName.map { String(cString: $0) }
        let wrong = seen.filter { $0.1 != $0.2 }.map { "\($0.0) \($0.1), not \($0.2)" }
        guard !wrong.isEmpty || name != expected.limitName || policy != expected.policy else {
            return nil
        }
        return "\(policy ?? "-")/\(name ?? "-"), expected \(expected.policy ?? "-")/"
            + "\(expected.limitName ?? "-"): " + wrong.joined(separator: "; ")
    }

    /// A rolling limit admits at the latest (k + 1) cells - window after a plain log would.
    private func checkLateness(
        _ parts: [PlainLimiter.Part], _ cost: Cost, _ record: DecisionRecord
    ) throws {
        for part in parts {
            guard let log = part.log as? RollingLog else { continue }
            let amount = PlainLimiter.amount(part.limit.count, of: cost)
            let answer = log.answer(amount, at: oracle.moment)
            guard answer.reason == .exhausted else { continue }
            let instant = oracle.now + answer.retryAfterNanoseconds
            if log.isLate(amount, decidedAt: oracle.now, admittedAt: instant) {
                throw fault("\(part.limit.name) admits at \(instant), later than promised")
            }
        }
    }

    private func compare(_ gate: Gate, _ parts: [PlainLimiter.Part]) throws {
        let explanation = try gate.explain()
        guard explanation.limits.count == parts.count else {
            throw fault("\(explanation.limits.count) limits explained, not \(parts.count)")
        }
        var moment = oracle.moment
        for part in parts {
            if let calendar = part.log as? CalendarLog {
                moment.wall = calendar.raised(moment.wall)
            }
        }
        for (seen, part) in zip(explanation.limits, parts) {
            let amount = PlainLimiter.amount(part.limit.count, of: Cost())
            let answer = part.log.answer(amount, at: moment)
            guard seen.limit == part.limit.name, seen.used == answer.used,
                seen.remaining == answer.remaining, seen.capacity == part.log.capacity,
                seen.reason == answer.reason
            else {
                throw fault(
                    "explained \(seen.policy)/\(seen.limit): used \(seen.used), remaining "
                        + "\(seen.remaining), \(seen.reason?.name ?? "admits"); the log says "
                        + "\(answer.used), \(answer.remaining), \(answer.reason?.name ?? "admits")"
                        + " at \(moment)\n\(explanation.json)")
            }
        }
    }

    func explain(_ gate: (attributes: [Attribute], gate: Gate)) throws {
        try compare(gate.gate, try oracle.parts(gate.attributes))
    }
}

/// Ends of permits, and what they must answer.
extension LawRun {
    private mutating func usage() -> Usage {
        func units() -> Int64? {
            switch numbers.below(6) {
            case 0, 1: nil
            case 2: 0
            case 3: numbers.number(0...12)
            case 4: numbers.number(0...100)
            default: numbers.isOne(of: 10) ? numbers.number(0...5_000) : 1
            }
        }
        var usage = Usage(
            requests: numbers.isOne(of: 4) ? units() : nil, inputTokens: units(),
            outputTokens: units(), isExact: !numbers.isOne(of: 4))
        if numbers.isOne(of: 3), let images = units() {
            usage.extra = [CountAmount(Count("images"), images)]
        }
        return usage
    }

    private func check(_ verb: String, _ status: Int32, isLive: Bool) throws {
        let expected: Int32 = isLive ? 0 : 402
        if status != expected { throw fault("\(verb): status \(status), not \(expected)") }
    }

    mutating func end(_ id: UInt64) throws {
        let verb = numbers.below(4)
        let usage = usage()
        note("end \(verb) \(id) \(usage)")
        let (name, status, isLive): (String, Int32, Bool)
        switch verb {
        case 0, 1:
            status = usage.withAmounts { limiter.completePermit(id, $0) }
            (name, isLive) = ("complete", oracle.complete(id, usage))
        case 2: (name, status, isLive) = ("abandon", limiter.abandonPermit(id), oracle.abandon(id))
        default: (name, status, isLive) = ("drop", limiter.dropPermit(id), oracle.drop(id))
        }
        if !isLive { tally.expired += 1 }
        try check(name, status, isLive: isLive)
        ended.append(id)
        if ended.count > 64 { ended.removeFirst(32) }
    }

    mutating func endOne() throws {
        guard !open.isEmpty else { return }
        try end(open.remove(at: numbers.below(open.count)))
    }

    mutating func addToOne() throws {
        let candidates = open.filter { !aged.contains($0) }
        guard !candidates.isEmpty else { return }
        let id = numbers.pick(candidates)
        let usage = usage()
        note("add \(id) \(usage)")
        let status = usage.withAmounts { limiter.addToPermit(id, $0) }
        try check("add", status, isLive: oracle.add(id, usage))
    }

    mutating func renewOne() throws {
        guard !open.isEmpty else { return }
        let id = numbers.pick(open)
        try check("renew", limiter.renewPermit(id), isLive: oracle.renew(id))
    }

    /// The second end of a permit is answered so, and changes nothing.
    mutating func endTwice() throws {
        guard !ended.isEmpty else { return }
        let id = numbers.pick(ended)
        let usage = usage()
        let status: Int32
        switch numbers.below(5) {
        case 0: status = usage.withAmounts { limiter.completePermit(id, $0) }
        case 1: status = limiter.abandonPermit(id)
        case 2: status = limiter.dropPermit(id)
        case 3: status = limiter.renewPermit(id)
        default: status = usage.withAmounts { limiter.addToPermit(id, $0) }
        }
        guard status == 400 else { throw fault("a second end gives status \(status), not 400") }
        try explain(numbers.pick(gates))
    }
}
