/// Deciding by a store behind a connection: one call for all limits of a gate.
extension ChargePlanReference {
    /// As `decide`, for a plan whose counters are a remote store's.
    ///
    /// The permit's slot is claimed before the store is asked, since what it charged cannot be taken
    /// back for certain.
    @inline(never)
    func decideRemotely(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        guard !cost.hasNegative else { return LimiterError.Code.negativeCost.status }
        guard takesPermit || !head.pointee.hasConcurrency else {
            return LimiterError.Code.concurrencyNeedsPermit.status
        }
        let core = hot.pointee.core.takeUnretainedValue()
        guard let store = core.remote, let remote else {
            return LimiterError.Code.internalError.status
        }
        var slot: PermitSlot?
        if takesPermit {
            slot = hot.pointee.permits.claim(shelf: PermitTable.shelfIndex(charges: stepCount))
            guard slot != nil else { return LimiterError.Code.permitTableFull.status }
        }
        let amounts = amounts(cost)
        switch store.charge(remote, amounts, lease: slot?.id ?? 0) {
        case .decided(let decision):
            note(amounts)
            return finish(decision, amounts, cost, slot, into: record)
        case .stale:
            slot?.cancel()
            return core.followRemote() ?? Attempt.staleStatus
        case .unreachable(let retryAfter):
            return decideWithoutStore(cost, slot, retryAfter: retryAfter, into: record)
        case .failed(let error):
            slot?.release()
            let failure = LimiterError(error)
            core.state.withLock { $0.remoteFailure = failure }
            return failure.code.status
        }
    }

    private func finish(
        _ decision: RemoteDecision, _ amounts: [Int64], _ cost: borrowing CostAmounts,
        _ slot: PermitSlot?, into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        let result = result(
            decision.verdicts, amounts, isAdmitted: decision.isAdmitted,
            now: decision.steadyNanoseconds, wall: decision.wallNanoseconds)
        fill(record, result)
        if decision.mode != .redis {
            record.pointee.storeMode = decision.mode.rawValue
            if result.step >= 0 {
                let notes = step(result.step).pointee.notes
                record.pointee.limitName =
                    notes._withUnsafeGuaranteedRef { $0.limitName(in: decision.mode).address }
            }
        }
        record.pointee.permit = 0
        guard let slot else { return 0 }
        guard decision.isAdmitted else {
            slot.cancel()
            return 0
        }
        for index in 0..<stepCount {
            slot.charges[index] = StepCharge(
                amounts[index], place: decision.places[index])
        }
        open(slot, cost, leaseWord: head.pointee.hasConcurrency ? PermitBody.leasesInPlan : 0)
        record.pointee.permit = slot.id
        return 0
    }

    /// What the document says of a store that cannot be reached. What is admitted so is charged
    /// nowhere: its usage is booked when it is settled, and it holds no lease.
    private func decideWithoutStore(
        _ cost: borrowing CostAmounts, _ slot: PermitSlot?, retryAfter: Int64?,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        let core = hot.pointee.core.takeUnretainedValue()
        let clock = core.store.clock
        let isAdmitted = core.storeSettings.onOutage == .admit
        var result = ChargeResult(
            outcome: isAdmitted ? .admitted : .rejected, now: clock.now(),
            wallOffset: clock.wallOffset())
        result.refusal = isAdmitted ? .none : .storeUnavailable
        result.retryAfterNanoseconds = isAdmitted ? 0 : retryAfter ?? -2
        fill(record, result)
        record.pointee.limitName = OutageName.name.address
        record.pointee.storeMode = StoreMode.outage.rawValue
        record.pointee.permit = 0
        guard let slot else { return 0 }
        guard isAdmitted else {
            // What was asked may have been done: a lease of this name may lie in the store.
            slot.release()
            return 0
        }
        for index in 0..<stepCount { slot.charges[index] = StepCharge(0, place: 0) }
        open(slot, cost, leaseWord: 0)
        record.pointee.permit = slot.id
        return 0
    }

    private func open(_ slot: PermitSlot, _ cost: borrowing CostAmounts, leaseWord: UInt64) {
        let core = hot.pointee.core.takeUnretainedValue()
        let identity = hot.pointee.identity
        slot.keep(
            cost, plan: address, acquiredAt: core.store.clock.now(), identity: identity,
            leaseWord: leaseWord)
        slot.open()
        if hot.pointee.heartbeatIdentity.loadRelaxed() != identity { core.startHeartbeat(identity) }
    }
}

/// The name of no limit, which tells how a decision was made that speaks of none.
private enum OutageName {
    static let name = InternedName("", mode: .outage)
}

extension StepCharge {
    fileprivate init(_ amount: Int64, place: UInt64) {
        self.init()
        self.amount = amount
        self.place = place
        total = amount
    }
}
