/// One limit of a plan at one instant, for `explain`.
package struct StepView {
    package var policy: String
    package var limit: Limit
    package var key: [Attribute]
    package var documentIndex: Int
    package var capacity: Int64
    package var used: Int64
    package var verdict: Verdict
    package var fullAgainNanoseconds: Int64?
    package var resetUnixNanoseconds: Int64?
    /// Wall nanoseconds at which all of it holds.
    package var wall: Int64
    package var binds = false
}

extension ChargePlanReference {
    /// Every step's answer to a cost at one instant; nil when a key or its parameters changed.
    package func views(_ cost: borrowing CostAmounts, clock: StoreClock) -> [StepView]? {
        var moment = ChargeMoment(now: clock.now(), wallOffset: clock.wallOffset(), owner: 0)
        restart: while true {
            let started = (moment.now, moment.wallOffset)
            var views: [StepView] = []
            var decisive: ChargeResult?
            var decisiveIndex = 0
            for index in 0..<stepCount {
                let step = step(index)
                let amount = cost.amount(ofCount: step.pointee.countIndex)
                guard let view = step.view(amount, &moment, isDetailed: true) else { return nil }
                if (moment.now, moment.wallOffset) != started { continue restart }
                let notes = step.pointee.notes.takeUnretainedValue()
                views.append(
                    StepView(
                        policy: String(cString: notes.policyName.address), limit: notes.limit,
                        key: attributes(of: index, names: notes.attributeNames),
                        documentIndex: Int(step.pointee.documentIndex),
                        capacity: step.pointee.capacity, used: view.used, verdict: view.verdict,
                        fullAgainNanoseconds: view.fullAgainNanoseconds,
                        resetUnixNanoseconds: view.resetUnixNanoseconds, wall: moment.wall))
                if isDecisive(index, view.verdict, amount, against: decisive) {
                    decisive = result(of: index, view.verdict, amount, moment)
                    decisiveIndex = index
                }
            }
            if decisive != nil { views[decisiveIndex].binds = true }
            return views
        }
    }

    func result(
        of index: Int, _ verdict: Verdict, _ amount: Int64, _ moment: ChargeMoment
    ) -> ChargeResult {
        var result = ChargeResult(
            outcome: verdict.refusal == .none ? .admitted : .rejected, now: moment.now,
            wallOffset: moment.wallOffset)
        result.step = index
        result.asked = amount
        result.refusal = verdict.refusal
        result.retryAfterNanoseconds = verdict.retryAfterNanoseconds
        result.remaining = max(0, verdict.remaining - (verdict.refusal == .none ? amount : 0))
        return result
    }

    /// Whether a decision would rather speak of this step than of the one before.
    func isDecisive(
        _ index: Int, _ verdict: Verdict, _ amount: Int64, against other: ChargeResult?
    ) -> Bool {
        guard let other else { return true }
        if verdict.refusal != .none {
            return other.outcome == .admitted || isWorse(index, verdict, than: other)
        }
        guard other.outcome == .admitted else { return false }
        return step(index).isTighter(
            max(0, verdict.remaining - amount), than: other.remaining,
            of: step(other.step).pointee.capacity,
            documentIndex: step(other.step).pointee.documentIndex)
    }

    /// The attributes in a step's key, from its text.
    func attributes(of index: Int, names: [String]) -> [Attribute] {
        let text = text(of: index)
        var attributes: [Attribute] = []
        var position = 0
        for name in names {
            guard position + 4 <= text.count else { break }
            let length = Int(
                UInt32(text[position]) | UInt32(text[position + 1]) << 8
                    | UInt32(text[position + 2]) << 16 | UInt32(text[position + 3]) << 24)
            position += 4
            guard position + length <= text.count else { break }
            let value = UnsafeRawBufferPointer(rebasing: text[position..<position + length])
            attributes.append(Attribute(name, String(decoding: value, as: UTF8.self)))
            position += length
        }
        return attributes
    }
}
