/// All or nothing: every limit is read and looked at, then all are swapped in one global order of
/// keys, concurrency first; where a swap meets another writer, what was swapped is given back and
/// the steps are taken one by one.
///
/// After a refusal every limit is looked at again, up to `maximumLooks` times: a false refusal is
/// possible only while another decision on a shared key is in flight. Lock-free; no allocation.
extension ChargePlanReference {
    private static var maximumLooks: Int { 4 }

    /// Steps that a decision prepares before it swaps; plans with more are taken one by one.
    package static var maximumPrepared: Int { 8 }

    /// Looks at every limit and computes the swaps, changing nothing.
    ///
    /// - Parameters:
    ///   - cost: no amount is negative.
    ///   - version: see `isInForce(by:)`; asked behind the words.
    ///   - prepared: room for one entry a step.
    ///   - best: the limit that an admission would speak of.
    /// - Returns: `taken` when every limit admits; else why not.
    @inline(__always)
    func prepareAll(
        _ cost: borrowing CostAmounts, version: SharedWord, _ moment: inout ChargeMoment,
        _ prepared: UnsafeMutablePointer<PreparedCharge>, _ best: inout ChargeResult
    ) -> StepOutcome {
        let count = stepCount
        var bestCapacity: Int64 = 1
        var index = 0
        while index < count {
            let step = step(index)
            let amount = cost.amount(ofCount: step.pointee.countIndex)
            let outcome = step.prepare(amount, &moment, &prepared[index])
            guard _fastPath(outcome == .taken) else { return outcome }
            if _slowPath(!step.isNoted) && amount > 0 { step.note() }
            if index == 0
                || step.isTighter(
                    moment.remaining, than: best.remaining, of: bestCapacity,
                    documentIndex: self.step(best.step).pointee.documentIndex)
            {
                best.step = index
                best.remaining = moment.remaining
                best.asked = amount
                bestCapacity = step.pointee.capacity
            }
            index &+= 1
        }
        return _fastPath(isInForce(by: version)) ? .taken : .stale
    }

    /// Books what was prepared; a step whose swap met another writer is taken by itself.
    ///
    /// - Returns: how many steps were booked, and `taken` when that is all of them.
    @inline(__always)
    func commitAll(
        _ cost: borrowing CostAmounts, _ moment: inout ChargeMoment,
        _ prepared: UnsafeMutablePointer<PreparedCharge>,
        _ charges: UnsafeMutablePointer<StepCharge>
    ) -> (done: Int, StepOutcome) {
        let count = stepCount
        var index = 0
        while index < count {
            if _fastPath(prepared[index].commit()) {
                prepared[index].note(charges + index)
                if step(index).pointee.kind == .concurrency,
                    _slowPath(!step(index).keepsClaim(owner: moment.owner))
                {
                    return (index &+ 1, .stale)
                }
            } else {
                step(index).countRetry()
                let amount = cost.amount(ofCount: step(index).pointee.countIndex)
                let outcome = step(index).take(amount, &moment, charges + index)
                guard outcome == .taken else { return (index, outcome) }
            }
            index &+= 1
        }
        return (count, .taken)
    }

    /// The way on from a step that was not taken: give back, then look, then try again.
    ///
    /// - Parameters:
    ///   - failed: how many steps were booked.
    ///   - outcome: what became of the next.
    @inline(never)
    func chargeAgain(
        _ cost: borrowing CostAmounts, clock: StoreClock, _ moment: inout ChargeMoment,
        charges: UnsafeMutablePointer<StepCharge>, failed: Int, _ outcome: StepOutcome
    ) -> ChargeResult {
        var failed = failed
        var outcome = outcome
        var looks = 0
        while true {
            giveBack(charges, upTo: failed, clock: clock)
            switch outcome {
            case .stale: return result(.stale, moment)
            case .failed:
                var failed = result(.failed, moment)
                failed.failure = moment.failure
                return failed
            case .taken, .raised: break
            case .refused:
                looks += 1
                let isLast = looks >= Self.maximumLooks
                if let rejection = look(cost, &moment) { return rejection }
                if isLast {
                    // It says yes and is refused each time: others take what it sees. That is a
                    // refusal by the step that refused.
                    return refusal(by: failed, cost, moment)
                }
            }
            (failed, outcome) = takeAll(cost, &moment, charges)
            if outcome == .taken { return admitted(cost, moment) }
        }
    }

    private func takeAll(
        _ cost: borrowing CostAmounts, _ moment: inout ChargeMoment,
        _ charges: UnsafeMutablePointer<StepCharge>
    ) -> (Int, StepOutcome) {
        for index in 0..<stepCount {
            let step = step(index)
            let amount = cost.amount(ofCount: step.pointee.countIndex)
            let outcome = step.take(amount, &moment, charges + index)
            guard outcome == .taken else { return (index, outcome) }
        }
        return (stepCount, .taken)
    }

    /// Books nothing: undoes the first `count` steps.
    package func giveBack(
        _ charges: UnsafeMutablePointer<StepCharge>, upTo count: Int, clock: StoreClock
    ) {
        guard count > 0 else { return }
        for index in (0..<count).reversed() {
            step(index).giveBack(charges[index], clock: clock)
        }
        step(0).pointee.notes.takeUnretainedValue().definition.segment.rollbacks.increment()
    }

    /// Asks every limit without taking; a rejection names the refusal that lasts longest.
    ///
    /// - Returns: nil when every limit would admit.
    @inline(never)
    private func look(
        _ cost: borrowing CostAmounts, _ moment: inout ChargeMoment
    ) -> ChargeResult? {
        let first = worst(cost, &moment)
        guard first.outcome != .admitted else {
            return nil
        }
        guard first.outcome == .rejected else { return first }
        if first.refusal == .concurrency { step(0).reclaimDead(now: moment.now) }
        // Looked at again before it is refused: a decision in flight may have given back since.
        let second = worst(cost, &moment)
        guard second.outcome == .rejected else {
            return second.outcome == .admitted ? nil : second
        }
        countRejection(second)
        return second
    }

    /// The refusal to report: never first, then concurrency, then the latest instant; ties by
    /// document order.
    private func worst(
        _ cost: borrowing CostAmounts, _ moment: inout ChargeMoment
    ) -> ChargeResult {
        restart: while true {
            let started = (moment.now, moment.wallOffset)
            var worst = result(.admitted, moment)
            for index in 0..<stepCount {
                let step = step(index)
                let amount = cost.amount(ofCount: step.pointee.countIndex)
                if !step.isNoted && amount > 0 { step.note() }
                guard let view = step.view(amount, &moment) else { return result(.stale, moment) }
                if (moment.now, moment.wallOffset) != started { continue restart }
                let verdict = view.verdict
                guard verdict.refusal != .none else { continue }
                if worst.outcome == .rejected, !isWorse(index, verdict, than: worst) { continue }
                worst.outcome = .rejected
                worst.step = index
                worst.refusal = verdict.refusal
                worst.retryAfterNanoseconds = verdict.retryAfterNanoseconds
                worst.remaining = verdict.remaining
                worst.asked = amount
            }
            return worst
        }
    }

    func isWorse(_ index: Int, _ verdict: Verdict, than worst: ChargeResult) -> Bool {
        func rank(_ refusal: Verdict.Refusal) -> Int {
            switch refusal {
            case .exceedsLimit: 2
            case .concurrency: 1
            case .none, .exhausted, .debt, .boundaryGuard, .storeUnavailable: 0
            }
        }
        let (new, old) = (rank(verdict.refusal), rank(worst.refusal))
        if new != old { return new > old }
        if verdict.retryAfterNanoseconds != worst.retryAfterNanoseconds {
            return verdict.retryAfterNanoseconds > worst.retryAfterNanoseconds
        }
        return step(index).pointee.documentIndex < step(worst.step).pointee.documentIndex
    }

    func countRejection(_ result: ChargeResult) {
        let notes = step(result.step).pointee.notes.takeUnretainedValue()
        notes.rejections[Int(result.refusal.rawValue)].value
            .wrappingAdd(1, ordering: .relaxed)
    }

    private func result(_ outcome: ChargeResult.Outcome, _ moment: ChargeMoment) -> ChargeResult {
        ChargeResult(outcome: outcome, now: moment.now, wallOffset: moment.wallOffset)
    }

    private func refusal(
        by index: Int, _ cost: borrowing CostAmounts, _ moment: ChargeMoment
    ) -> ChargeResult {
        var result = result(.rejected, moment)
        result.step = index
        result.asked = cost.amount(ofCount: step(index).pointee.countIndex)
        result.refusal = step(index).pointee.kind == .concurrency ? .concurrency : .exhausted
        result.retryAfterNanoseconds = 1
        countRejection(result)
        return result
    }

    /// The answer after the slow way, which does not keep what each step had left.
    private func admitted(
        _ cost: borrowing CostAmounts, _ moment: ChargeMoment
    ) -> ChargeResult {
        var best = result(.admitted, moment)
        var bestCapacity: Int64 = 1
        for index in 0..<stepCount {
            let step = step(index)
            var moment = moment
            let left = step.view(0, &moment)?.verdict.remaining ?? 0
            let amount = cost.amount(ofCount: step.pointee.countIndex)
            let isFirst = best.step < 0
            let documentIndex = self.step(max(0, best.step)).pointee.documentIndex
            if isFirst
                || step.isTighter(
                    left, than: best.remaining, of: bestCapacity, documentIndex: documentIndex)
            {
                best.step = index
                best.remaining = left
                best.asked = amount
                bestCapacity = step.pointee.capacity
            }
            if !step.isNoted && amount > 0 { step.note() }
        }
        return best
    }
}

extension UnsafeMutablePointer where Pointee == ChargeStep {
    /// Whether `remaining` of this step's capacity is a smaller share than another's; in a tie the
    /// earlier limit of the document.
    @inline(__always)
    func isTighter(
        _ remaining: Int64, than other: Int64, of capacity: Int64, documentIndex: UInt16
    ) -> Bool {
        // remaining / mine < other / theirs, cross-multiplied: counts and limits are below 2^42.
        let mine = remaining.multipliedFullWidth(by: capacity)
        let theirs = other.multipliedFullWidth(by: pointee.capacity)
        if mine.high != theirs.high { return mine.high < theirs.high }
        if mine.low != theirs.low { return mine.low < theirs.low }
        return pointee.documentIndex < documentIndex
    }

    /// Notes that a cost met this limit.
    @inline(never)
    func note() {
        pointee.notes.takeUnretainedValue().wasCharged = true
        isNoted = true
    }
}
