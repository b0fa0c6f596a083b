/// A plan whose counters are another store's: what that store keeps of it, and how its answer
/// becomes the limiter's.
extension ChargePlanReference {
    /// Nil: the segment's own words decide.
    package var remote: RemotePlan? {
        guard head.pointee.isRemote, let bits = remoteBits else { return nil }
        return Unmanaged<RemotePlan>.fromOpaque(bits).takeUnretainedValue()
    }

    /// Makes the plan one of a remote store. Before it is published.
    package func keep(_ remote: RemotePlan) {
        address.storeBytes(
            of: UInt(bitPattern: Unmanaged.passRetained(remote).toOpaque()),
            toByteOffset: ChargePlan.remoteOffset, as: UInt.self)
        head.pointee.isRemote = true
        head.pointee.isOfFewLimits = false
        head.pointee.isSingleBucket = false
        head.pointee.isPlainBucket = false
    }

    /// Gives back what `keep` took.
    func forgetRemote() {
        guard head.pointee.isRemote, let bits = remoteBits else { return }
        Unmanaged<RemotePlan>.fromOpaque(bits).release()
    }

    private var remoteBits: UnsafeRawPointer? {
        UnsafeRawPointer(
            bitPattern: address.load(fromByteOffset: ChargePlan.remoteOffset, as: UInt.self))
    }

    /// The plan's limits, in the order of its steps.
    package var remoteLimits: [RemoteLimit] {
        (0..<stepCount).map { index in
            let step = step(index)
            let notes = step.pointee.notes.takeUnretainedValue()
            return RemoteLimit(
                policy: String(cString: notes.policyName.address), limit: notes.limit,
                documentIndex: Int(step.pointee.documentIndex),
                key: attributes(of: index, names: notes.attributeNames))
        }
    }

    /// Units that a cost means on each step.
    package func amounts(_ cost: borrowing CostAmounts) -> [Int64] {
        var amounts: [Int64] = []
        amounts.reserveCapacity(stepCount)
        for index in 0..<stepCount {
            amounts.append(cost.amount(ofCount: step(index).pointee.countIndex))
        }
        return amounts
    }

    /// Notes first charges, for the list of limits that never mattered.
    package func note(_ amounts: [Int64]) {
        for index in 0..<stepCount where amounts[index] > 0 && !step(index).isNoted {
            step(index).note()
        }
    }

    /// What a limiter answers to verdicts of each step, at one instant.
    ///
    /// - Parameter isAdmitted: as the store said. A verdict that says otherwise is of a store that
    ///   rounds, and does not count.
    package func result(
        _ verdicts: [Verdict], _ amounts: [Int64], isAdmitted: Bool, now: Int64, wall: Int64
    ) -> ChargeResult {
        let moment = ChargeMoment(now: now, wallOffset: wall &- now, owner: 0)
        var decisive: ChargeResult?
        for index in 0..<stepCount where isAdmitted || verdicts[index].refusal != .none {
            var verdict = verdicts[index]
            if isAdmitted { verdict = Verdict(.none, remaining: verdict.remaining) }
            guard isDecisive(index, verdict, amounts[index], against: decisive) else { continue }
            decisive = result(of: index, verdict, amounts[index], moment)
        }
        if let decisive {
            if !isAdmitted { countRejection(decisive) }
            return decisive
        }
        return ChargeResult(
            outcome: isAdmitted ? .admitted : .rejected, now: now, wallOffset: wall &- now)
    }

    /// What is shown of rows that a store gave.
    package func views(_ look: RemoteLook, _ amounts: [Int64]) -> [StepView] {
        let moment = ChargeMoment(
            now: look.steadyNanoseconds, wallOffset: look.wallNanoseconds &- look.steadyNanoseconds,
            owner: 0)
        var views: [StepView] = []
        var decisive: ChargeResult?
        var decisiveIndex = 0
        for (index, row) in look.rows.enumerated() {
            let notes = step(index).pointee.notes.takeUnretainedValue()
            views.append(
                StepView(
                    policy: String(cString: notes.policyName.address), limit: notes.limit,
                    key: attributes(of: index, names: notes.attributeNames),
                    documentIndex: Int(step(index).pointee.documentIndex),
                    capacity: step(index).pointee.capacity, used: row.used, verdict: row.verdict,
                    fullAgainNanoseconds: row.fullAgainNanoseconds,
                    resetUnixNanoseconds: row.resetUnixNanoseconds, wall: look.wallNanoseconds))
            if isDecisive(index, row.verdict, amounts[index], against: decisive) {
                decisive = result(of: index, row.verdict, amounts[index], moment)
                decisiveIndex = index
            }
        }
        if decisive != nil { views[decisiveIndex].binds = true }
        return views
    }
}

extension LimitNotes {
    /// The limit's name as it tells of a decision of some mode.
    package func limitName(in mode: StoreMode) -> InternedName {
        switch mode {
        case .slice: localNames?.slice ?? limitName
        case .outage: localNames?.outage ?? limitName
        case .memory, .file, .redis: limitName
        }
    }
}
