/// A limiter whose counters are another store's.
extension LimiterCore {
    /// What the document in force says of its store.
    var storeSettings: StoreSettings {
        state.withLock { $0.loaded.table.document.store }
    }

    /// Puts a document in force on the remote store, before the segment beside it knows it.
    func loadRemotely(_ document: PolicyDocument, _ table: PolicyTable) throws(StoreError) {
        guard let remote else { return }
        _ = try remote.load(table.scopes, document: RemoteDocument(document))
    }

    /// Takes over the limits that another process put in force.
    ///
    /// - Returns: nil once that is done; else why not.
    func followRemote() -> Int32? {
        guard let remote else { return nil }
        do throws(StoreError) {
            try reloading.withLock { (_) throws(StoreError) in
                let table = state.withLock { $0.loaded.table }
                guard let (scopes, hash) = try remote.limitsInForce(table.scopes) else { return }
                let limits = try store.load(scopes, hash: hash)
                state.withLock { $0.loaded.limits = limits }
                store.segment.loadVersion.increment()
                report(
                    .loadedElsewhere,
                    "document \(hash.hexadecimal) was loaded elsewhere and is in force; "
                        + "this limiter's is \(table.document.hash.hexadecimal)")
            }
            return nil
        } catch {
            return LimiterError(error).code.status
        }
    }

    /// The remote part of a beat: others' loads, and what the store has to tell.
    func beatRemotely() {
        guard remote != nil else { return }
        _ = followRemote()
        reportRemoteNotes()
    }

    /// Tells what the store has to tell. Reaches no server.
    func reportRemoteNotes() {
        for note in remote?.takeNotes() ?? [] {
            switch note {
            case .lost(let reason): report(.storeLost, reason)
            case .back(let outage):
                report(.storeBack, "the store answers again after \(outage / 1_000_000) ms")
            case .stateLost(let shard): report(.stateLost, shard)
            case .unsafe(let what): report(.storeUnsafe, what)
            }
        }
    }

    /// What `explain` shows of a plan's limits, as the store has them.
    func viewsRemotely(
        _ plan: ChargePlanReference, _ cost: Cost
    ) throws(LimiterError) -> [StepView] {
        let amounts = cost.extra.withUnsafeBufferPointer { extra in
            plan.amounts(
                CostAmounts(
                    requests: cost.requests, inputTokens: cost.inputTokens,
                    outputTokens: cost.outputTokens, extra: extra))
        }
        guard let remote, let kept = plan.remote else { return [] }
        do throws(StoreError) {
            return plan.views(try remote.look(kept, amounts), amounts)
        } catch {
            throw LimiterError(error)
        }
    }

    /// Renews the leases of all open permits of this process in one go.
    ///
    /// - Parameter ahead: how far the clock is about to be moved.
    func renewAllRemotely(_ remote: any RemoteStore, ahead: Int64) {
        let identity = ProcessIdentity.current()
        var renewals: [RemoteRenewal] = []
        hot.pointee.permits.forEachOpen { slot, word in
            // Held while its plan is read, so that it is not ended and freed meanwhile.
            guard word == slot.openWord, slot.beginSettling() else { return }
            if slot.identity == identity, let renewal = renewal(of: slot, ahead: ahead) {
                renewals.append(renewal)
            }
            slot.endAdding()
        }
        if !renewals.isEmpty { _ = remote.renew(renewals) }
    }

    /// - Returns: nil for a permit that holds no lease.
    func renewal(of slot: PermitSlot, ahead: Int64 = 0) -> RemoteRenewal? {
        guard slot.lease == PermitBody.leasesInPlan, let address = slot.plan,
            let remote = ChargePlanReference(address).remote
        else { return nil }
        return RemoteRenewal(plan: remote, lease: slot.id, aheadNanoseconds: ahead)
    }
}

/// Ending permits whose charges a remote store holds.
///
/// The permit is ended before the store is told: what becomes of that is never tried again.
extension LimiterCore {
    /// - Parameter entries: what the usage makes of the charges, by limit.
    func endRemotely(
        _ slot: PermitSlot, _ plan: ChargePlanReference, _ entries: [RemoteEntry]
    ) -> Int32 {
        guard let remote, let kept = plan.remote else { return 0 }
        let holdsLeases = slot.lease == PermitBody.leasesInPlan
        let settlement = RemoteSettlement(
            entries: entries, lease: holdsLeases ? slot.id : 0, freesLeases: holdsLeases)
        slot.release()
        guard holdsLeases || !entries.isEmpty else { return 0 }
        switch remote.settle(kept, settlement) {
        case .settled(_, let leasesLived):
            return leasesLived || !holdsLeases ? 0 : LimiterError.Code.leaseExpired.status
        case .unknown: return LimiterError.Code.storeUnavailable.status
        }
    }

    /// Books additions; the permit stays open.
    func addRemotely(
        _ slot: PermitSlot, _ plan: ChargePlanReference, _ entries: [RemoteEntry]
    ) -> Int32 {
        defer { slot.endAdding() }
        guard let remote, let kept = plan.remote else { return 0 }
        let holdsLeases = slot.lease == PermitBody.leasesInPlan
        let settlement = RemoteSettlement(
            entries: entries, lease: holdsLeases ? slot.id : 0, freesLeases: false,
            isPermitOpen: true)
        guard case .settled(let places, let leasesLived) = remote.settle(kept, settlement) else {
            // It may have been booked, and is not booked again by `complete`.
            for entry in entries { slot.charges[entry.limit].total &+= entry.amount }
            return LimiterError.Code.storeUnavailable.status
        }
        for (entry, place) in zip(entries, places) {
            slot.charges[entry.limit].note(entry.amount, at: place)
        }
        return leasesLived || !holdsLeases ? 0 : LimiterError.Code.leaseExpired.status
    }

    /// What is given back of a charge: first what was added last.
    static func refunds(_ amount: Int64, _ limit: Int, _ charge: StepCharge) -> [RemoteEntry] {
        let later = min(amount, charge.laterAmount)
        let first = min(amount - later, charge.amount)
        return [(later, charge.laterPlace), (first, charge.place)]
            .filter { $0.0 > 0 }
            .map { RemoteEntry(limit: limit, amount: -$0.0, place: $0.1) }
    }
}

extension StepCharge {
    /// Notes where an addition went.
    mutating func note(_ amount: Int64, at place: UInt64) {
        if laterAmount > 0 && laterPlace == place {
            laterAmount = laterAmount.addingSaturated(amount)
        } else {
            laterAmount = amount
            laterPlace = place
        }
        total = total.addingSaturated(amount)
    }
}

extension RemoteDocument {
    init(_ document: PolicyDocument) {
        self.init(
            hash: document.hash, settings: RemoteSettings(document.store), shard: document.shard)
    }
}

extension RemoteSettings {
    init(_ settings: StoreSettings) {
        self.init(
            deadlineNanoseconds: settings.deadlineNanoseconds,
            holdsOnLoss: settings.onLoss == .hold, spendsLocally: settings.onOutage == .local,
            usesSlices: settings.usesSlices)
        sliceTTLNanoseconds = settings.sliceTTLNanoseconds
        processes = settings.processes.map { Int64($0) }
        outageShare = settings.outageShare.map {
            (Int64($0.numerator), Int64($0.denominator))
        }
    }
}
