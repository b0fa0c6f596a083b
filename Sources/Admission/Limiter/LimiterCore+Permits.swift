import Glibc

/// Ending permits: what was charged is settled, once, by the process that holds the permit.
///
/// The permit is marked before anything is given back, so that a crash in between loses quota,
/// never a bound.
extension LimiterCore {
    /// Ends a permit with its real usage. A status of the header.
    func complete(_ id: UInt64, _ usage: borrowing UsageAmounts) -> Int32 {
        if usage.hasNegative { return LimiterError.Code.negativeUsage.status }
        var status: Int32 = 0
        guard let slot = begin(id, &status) else { return status }
        let plan = ChargePlanReference(slot.body.pointee.plan.unsafelyUnwrapped)
        if _slowPath(plan.head.pointee.isRemote) {
            return endRemotely(slot, plan, settlement(plan, slot, usage))
        }
        status = releaseLeases(plan, slot.charges)
        if !usage.isAsCharged { settle(plan, slot, usage) }
        slot.release()
        return status
    }

    /// Books an increment; the permit stays open.
    func add(_ id: UInt64, _ usage: borrowing UsageAmounts) -> Int32 {
        if usage.hasNegative { return LimiterError.Code.negativeUsage.status }
        var status: Int32 = 0
        guard let slot = begin(id, &status) else { return status }
        let plan = ChargePlanReference(slot.body.pointee.plan.unsafelyUnwrapped)
        let body = slot.body
        let requests = max(0, usage.requests)
        let input = max(0, usage.inputTokens)
        let output = max(0, usage.outputTokens)
        body.pointee.requests = body.pointee.requests.addingSaturated(requests)
        body.pointee.inputTokens = body.pointee.inputTokens.addingSaturated(input)
        body.pointee.outputTokens = body.pointee.outputTokens.addingSaturated(output)
        var entries: [RemoteEntry] = []
        for index in 0..<plan.stepCount {
            let step = plan.step(index)
            let amount: Int64
            switch step.pointee.countIndex {
            case 0: amount = requests
            case 1: amount = input
            case 2: amount = output
            case 3: amount = input.addingSaturated(output)
            case 4: continue
            default: amount = max(0, usage.extraAmount(step.pointee.countIndex))
            }
            guard amount > 0 else { continue }
            if plan.head.pointee.isRemote {
                entries.append(RemoteEntry(limit: index, amount: amount, place: 0))
            } else {
                book(amount, plan, index, &slot.charges[index])
            }
        }
        if plan.head.pointee.isRemote { return addRemotely(slot, plan, entries) }
        if plan.head.pointee.hasConcurrency, !leasesLive(plan, slot.charges) {
            status = LimiterError.Code.leaseExpired.status
        }
        slot.endAdding()
        return status
    }

    /// Ends a permit whose call was never sent: everything goes back.
    func abandon(_ id: UInt64) -> Int32 {
        var status: Int32 = 0
        guard let slot = begin(id, &status) else { return status }
        let plan = ChargePlanReference(slot.body.pointee.plan.unsafelyUnwrapped)
        if plan.head.pointee.isRemote {
            var entries: [RemoteEntry] = []
            for index in 0..<plan.stepCount where plan.step(index).pointee.kind != .concurrency {
                let charge = slot.charges[index]
                entries += Self.refunds(charge.total, index, charge)
            }
            return endRemotely(slot, plan, entries)
        }
        status = releaseLeases(plan, slot.charges)
        for index in 0..<plan.stepCount where plan.step(index).pointee.kind != .concurrency {
            giveBack(slot.charges[index].total, plan.step(index), slot.charges[index])
        }
        slot.release()
        return status
    }

    /// Ends a permit: charges stay, concurrency is freed.
    func drop(_ id: UInt64) -> Int32 {
        var status: Int32 = 0
        guard let slot = begin(id, &status) else { return status }
        let plan = ChargePlanReference(slot.body.pointee.plan.unsafelyUnwrapped)
        if plan.head.pointee.isRemote { return endRemotely(slot, plan, []) }
        status = releaseLeases(plan, slot.charges)
        slot.release()
        return status
    }

    /// Renews a permit's leases, up to their longest hold.
    func renew(_ id: UInt64) -> Int32 {
        // Behind the renewal, which is not to wait for a file.
        defer { beatIfDue() }
        var status: Int32 = 0
        guard let slot = begin(id, &status) else { return status }
        if let remote {
            let renewal = renewal(of: slot)
            slot.endAdding()
            guard let renewal else { return 0 }
            return remote.renew([renewal]).first == false
                ? LimiterError.Code.leaseExpired.status : 0
        }
        let now = store.clock.now()
        if !renewLeases(of: slot, now: now, until: now) {
            status = LimiterError.Code.leaseExpired.status
        }
        slot.endAdding()
        return status
    }

    /// Claims the right to change a permit.
    @inline(__always)
    private func begin(_ id: UInt64, _ status: inout Int32) -> PermitSlot? {
        guard let slot = hot.pointee.permits.find(id) else {
            status = LimiterError.Code.invalidHandle.status
            return nil
        }
        while true {
            let word = slot.state.load()
            let isBusy = word == slot.openWord & ~0xff_ffff | PermitTable.busy
            // Before waiting for another thread: in a forked child there is none.
            guard
                _fastPath(
                    word != slot.openWord && !isBusy
                        || slot.identity == hot.pointee.identity)
            else {
                status = LimiterError.Code.notOwner.status
                return nil
            }
            if _fastPath(word == slot.openWord) {
                if slot.beginSettling() { return slot }
                continue
            }
            guard isBusy else {
                // A later generation, or this one freed: it was ended. An earlier one: never given.
                let isPast = word >> 24 >= slot.openWord >> 24
                status =
                    isPast
                    ? LimiterError.Code.alreadyCompleted.status
                    : LimiterError.Code.invalidHandle.status
                return nil
            }
            // Another thread is at it right now.
            sched_yield()
        }
    }

    /// Frees the slots that a permit holds; the status says when one was no longer its own.
    @inline(__always)
    private func releaseLeases(
        _ plan: ChargePlanReference, _ charges: UnsafeMutablePointer<StepCharge>
    ) -> Int32 {
        plan.head.pointee.hasConcurrency ? releaseHeldLeases(plan, charges) : 0
    }

    @inline(never)
    private func releaseHeldLeases(
        _ plan: ChargePlanReference, _ charges: UnsafeMutablePointer<StepCharge>
    ) -> Int32 {
        var isOwn = true
        let now = store.clock.coarseNow()
        for index in 0..<plan.stepCount {
            let step = plan.step(index)
            // Concurrency comes first.
            guard step.pointee.kind == .concurrency else { break }
            isOwn = step.releaseLease(charges[index], now: now) && isOwn
        }
        return isOwn ? 0 : LimiterError.Code.leaseExpired.status
    }

    private func leasesLive(
        _ plan: ChargePlanReference, _ charges: UnsafeMutablePointer<StepCharge>
    ) -> Bool {
        let now = store.clock.now()
        return (0..<plan.stepCount).allSatisfy { index in
            plan.step(index).pointee.kind != .concurrency
                || plan.step(index).isLeaseLive(charges[index], now: now)
        }
    }

    /// Books the difference between usage and charge on every limit.
    @inline(never)
    private func settle(
        _ plan: ChargePlanReference, _ slot: PermitSlot, _ usage: borrowing UsageAmounts
    ) {
        for index in 0..<plan.stepCount {
            let difference = difference(plan.step(index), index, slot, usage)
            if difference > 0 {
                book(difference, plan, index, &slot.charges[index])
            } else if difference < 0 {
                giveBack(-difference, plan.step(index), slot.charges[index])
            }
        }
    }

    /// The same as entries for a remote store.
    private func settlement(
        _ plan: ChargePlanReference, _ slot: PermitSlot, _ usage: borrowing UsageAmounts
    ) -> [RemoteEntry] {
        var entries: [RemoteEntry] = []
        if usage.isAsCharged { return entries }
        for index in 0..<plan.stepCount {
            let difference = difference(plan.step(index), index, slot, usage)
            if difference > 0 {
                entries.append(RemoteEntry(limit: index, amount: difference, place: 0))
            } else if difference < 0 {
                entries += Self.refunds(-difference, index, slot.charges[index])
            }
        }
        return entries
    }

    /// What a usage makes of a charge: units above 0 are to be booked, below 0 given back.
    @inline(__always)
    private func difference(
        _ step: UnsafeMutablePointer<ChargeStep>, _ index: Int, _ slot: PermitSlot,
        _ usage: borrowing UsageAmounts
    ) -> Int64 {
        let total = slot.charges[index].total
        let used: Int64
        switch step.pointee.countIndex {
        case 0: used = usage.requests
        case 1: used = usage.inputTokens
        case 2: used = usage.outputTokens
        case 3:
            // One count given and one left out: the other one is as charged.
            let (given, produced) = (usage.inputTokens, usage.outputTokens)
            let input = given < 0 ? slot.body.pointee.inputTokens : given
            let output = produced < 0 ? slot.body.pointee.outputTokens : produced
            used = (given & produced) == -1 ? -1 : input.addingSaturated(output)
        case 4: return 0
        default: used = usage.extraAmount(step.pointee.countIndex)
        }
        guard used >= 0 else { return 0 }
        if used < total { return usage.isExact ? used - total : 0 }
        return used - total
    }

    /// Gives units back: first to where the newest addition went, then to where the charge went.
    private func giveBack(
        _ amount: Int64, _ step: UnsafeMutablePointer<ChargeStep>, _ charge: StepCharge
    ) {
        let later = min(amount, charge.laterAmount)
        step.refund(later, place: charge.laterPlace, clock: store.clock)
        let first = min(amount - later, charge.amount)
        step.refund(first, place: charge.place, clock: store.clock)
    }

    /// Books units beyond the charge and notes where they went.
    private func book(
        _ amount: Int64, _ plan: ChargePlanReference, _ index: Int, _ charge: inout StepCharge
    ) {
        let step = plan.step(index)
        let clock = store.clock
        guard let place = step.exceed(amount, clock: clock) ?? exceedAnew(amount, plan, index)
        else { return }
        charge.note(amount, at: place)
    }

    /// Books on a key that was reclaimed since the charge: it is found or made again.
    private func exceedAnew(_ amount: Int64, _ plan: ChargePlanReference, _ index: Int) -> UInt64? {
        store.exceedAnew(amount, plan, index)
    }
}

/// Renewing leases of open permits: what the heartbeat and a manual clock's `advance` do.
extension LimiterCore {
    /// Renews every open permit's leases of this process. A permit without leases is passed by.
    ///
    /// - Parameters:
    ///   - now: the instant at which a lease must still live.
    ///   - until: the instant from which the renewed lease runs.
    func renewAll(now: Int64, until: Int64) {
        if let remote { return renewAllRemotely(remote, ahead: until &- now) }
        let identity = ProcessIdentity.current()
        state.withLock { _ in
            hot.pointee.permits.forEachOpen { slot, word in
                // Held while it is renewed, so that it is not ended and given out anew meanwhile.
                guard word == slot.openWord, slot.beginSettling() else { return }
                if slot.identity == identity {
                    _ = renewLeases(of: slot, now: now, until: until)
                }
                slot.endAdding()
            }
        }
    }

    /// - Returns: whether all leases still were the permit's own and were renewed.
    private func renewLeases(of slot: PermitSlot, now: Int64, until: Int64) -> Bool {
        guard let address = slot.plan else { return true }
        let plan = ChargePlanReference(address)
        let acquiredAt = slot.body.pointee.acquiredAt
        var areRenewed = true
        for index in 0..<plan.stepCount {
            let step = plan.step(index)
            guard step.pointee.kind == .concurrency else { break }
            areRenewed =
                step.renewLease(
                    slot.charges[index], acquiredAt: acquiredAt, now: now, until: until)
                && areRenewed
        }
        return areRenewed
    }

    /// The shortest lease of the document in force, in nanoseconds; nil without concurrency.
    func shortestLease() -> Int64? {
        state.withLock { state in
            var shortest: Int64?
            for notes in state.loaded.limits.notes.joined() {
                // Another process may have loaded a shorter one.
                let inForce = (try? store.notesInForce(notes)) ?? notes
                if case .concurrency(_, let lease, _) = inForce.limit.kind {
                    shortest = min(shortest ?? lease, lease)
                }
            }
            return shortest
        }
    }
}
