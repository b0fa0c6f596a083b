/// What a decision needs of its limiter, in memory that is reached without retain or release.
///
/// Owner: `LimiterCore`, which frees it when the last gate, permit and caller are gone.
struct HotCore {
    /// Address of what is compared with each plan's version; read through `loadVersion`.
    fileprivate let loadVersionBits: UInt64
    let clock: StoreClock
    let permits: PermitTable
    /// `ProcessIdentity.word`, reached without its one-time initialisation.
    let identityWord: SharedWord
    /// The segment's count of swaps that met another writer.
    let retries: SharedWord
    /// Identity of the process that `owner` belongs to.
    let ownerIdentity: SharedWord
    /// `LeaseOwner` of that process.
    let owner: SharedWord
    /// Identity of the process whose heartbeat renews this limiter's leases; 0 for none.
    let heartbeatIdentity: SharedWord
    /// 1 once the limiter was closed.
    let isClosed: SharedWord
    /// Unowned: it owns this.
    let core: Unmanaged<LimiterCore>
    /// `StoreMode.rawValue`.
    let storeMode: Int32

    init(_ store: SegmentStore, permits: PermitTable, core: LimiterCore) {
        loadVersionBits = UInt64(UInt(bitPattern: store.segment.loadVersion.address))
        clock = store.clock
        self.permits = permits
        identityWord = ProcessIdentity.word
        retries = store.segment.retries
        ownerIdentity = .makeOwned(0)
        owner = .makeOwned(0)
        heartbeatIdentity = .makeOwned(0)
        isClosed = .makeOwned(0)
        self.core = Unmanaged.passUnretained(core)
        storeMode = store.mode.rawValue
    }

    /// `ProcessIdentity.current()`.
    @inline(__always)
    var identity: UInt64 {
        let value = identityWord.loadRelaxed()
        return _fastPath(value != 0) ? value : ProcessIdentity.renew()
    }
}

extension UnsafeMutablePointer where Pointee == HotCore {
    /// The word that each plan's version is compared with: the segment's, until the limiter is closed.
    @inline(__always)
    var loadVersion: SharedWord {
        // Relaxed: either word makes a caller look at the other things anew.
        let bits = loadVersionAddress.loadRelaxed()
        // It is an address, never 0.
        let address = UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: bits))
        return SharedWord(address.unsafelyUnwrapped, at: 0)
    }

    /// Makes every plan stale, for this limiter alone: others may use the same segment.
    func stopPlans() {
        loadVersionAddress.storeRelaxed(UInt64(UInt(bitPattern: Self.closedVersion.address)))
    }

    @inline(__always)
    private var loadVersionAddress: SharedWord { SharedWord(UnsafeMutableRawPointer(self), at: 0) }

    /// No plan has this version: a segment's begins at 1.
    private static var closedVersion: SharedWord { ClosedVersion.word }
}

private enum ClosedVersion {
    static let word = SharedWord.makeImmortal(0)
}

extension ChargePlanReference {
    @inline(__always)
    var hot: UnsafeMutablePointer<HotCore> {
        head.pointee.core.assumingMemoryBound(to: HotCore.self)
    }

    /// Fills the answer's record from a result.
    @inline(__always)
    func fill(_ record: UnsafeMutablePointer<DecisionRecord>, _ result: ChargeResult) {
        let wall = result.now &+ result.wallOffset
        record.pointee.decidedAtNanoseconds = result.now
        record.pointee.decidedAtUnixNanoseconds = wall
        record.pointee.storeMode = hot.pointee.storeMode
        record.pointee.asked = result.asked
        record.pointee.remaining = result.remaining
        if _fastPath(result.step >= 0) {
            let step = step(result.step)
            record.pointee.limit = step.pointee.capacity
            record.pointee.policyName = step.pointee.policyName
            record.pointee.limitName = step.pointee.limitName
        } else {
            record.pointee.limit = 0
            record.pointee.policyName = nil
            record.pointee.limitName = nil
        }
        if _fastPath(result.isAdmitted) {
            record.pointee.outcome = 1
            record.pointee.reason = 0
            record.pointee.retryAfterNanoseconds = 0
            record.pointee.predictedStartUnixNanoseconds = wall
        } else {
            fillRejection(record, result, wall: wall)
        }
    }

    @inline(never)
    private func fillRejection(
        _ record: UnsafeMutablePointer<DecisionRecord>, _ result: ChargeResult, wall: Int64
    ) {
        record.pointee.outcome = 2
        record.pointee.permit = 0
        record.pointee.reason = Int32(result.refusal.rawValue)
        switch result.refusal {
        case .exceedsLimit:
            record.pointee.retryAfterNanoseconds = -1
            record.pointee.predictedStartUnixNanoseconds = -1
        case .concurrency:
            record.pointee.retryAfterNanoseconds = -2
            record.pointee.predictedStartUnixNanoseconds = -2
        case .storeUnavailable where result.retryAfterNanoseconds < 0:
            record.pointee.retryAfterNanoseconds = -2
            record.pointee.predictedStartUnixNanoseconds = -2
        case .none, .exhausted, .debt, .boundaryGuard, .storeUnavailable:
            record.pointee.retryAfterNanoseconds = result.retryAfterNanoseconds
            record.pointee.predictedStartUnixNanoseconds =
                wall.addingSaturated(result.retryAfterNanoseconds)
        }
    }
}

/// What came of one try on a plan, before it is put into the caller's form.
///
/// Handed on by value: as a record in memory it would be written in words and read again in pairs,
/// which processors cannot forward.
struct Attempt {
    private var statusWord: Int
    /// The permit's id, 0 where there is none.
    var permit: UInt64
    var result: ChargeResult

    /// 0 with a result; `staleStatus`: resolve anew; else an error's status.
    @inline(__always)
    var status: Int32 { Int32(truncatingIfNeeded: statusWord) }

    @inline(__always)
    init(_ result: ChargeResult, permit: UInt64) {
        statusWord = 0
        self.permit = permit
        self.result = result
    }

    /// Nothing was decided.
    @inline(__always)
    init(failed status: Int32) {
        statusWord = Int(status)
        permit = 0
        result = ChargeResult(outcome: .failed, now: 0, wallOffset: 0)
    }

    /// Rejected, or why nothing could be decided.
    @inline(__always)
    init(notAdmitted result: ChargeResult, of plan: ChargePlanReference) {
        switch result.outcome {
        case .admitted, .rejected: self.init(result, permit: 0)
        case .stale: self.init(failed: Self.staleStatus)
        case .failed: self.init(failed: Self.status(of: result.failure, on: plan))
        }
    }

    /// As `LimiterError` says of the error itself.
    @inline(never)
    private static func status(of failure: StoreFailure, on plan: ChargePlanReference) -> Int32 {
        let code: LimiterError.Code =
            switch failure {
            case .arenaFull: .keyTableFull
            case .diskFull: .storeFull
            // Of a file that was cut, zeros are what is left.
            case .corrupted: plan.isOfLostFile ? .storeReplaced : .storeCorrupted
            case .replaced: .storeReplaced
            case .notPermitted: .storeNotPermitted
            case .unavailable: .storeUnavailable
            }
        return code.status
    }

    /// Never a status of the header: the plan is out of date.
    static var staleStatus: Int32 { -1 }

    @inline(__always)
    var isAdmitted: Bool { statusWord == 0 && result.isAdmitted }
}

extension ChargePlanReference {
    fileprivate var isOfLostFile: Bool {
        hot.pointee.core.takeUnretainedValue().store.segment.isGone.load(ordering: .acquiring)
    }

    /// Decides on a plan that is known to be in force, or gives the status why not.
    ///
    /// - Returns: 0 with a filled record; `staleStatus`: resolve anew; else an error's status.
    @inline(__always)
    func decide(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        if _fastPath(cost.extra.isEmpty) {
            if takesPermit {
                let granted = acquireAtOnce(cost.requests, cost.inputTokens, cost.outputTokens)
                if _fastPath(granted.permit != 0) {
                    record.fill(granted, of: self, cost)
                    return 0
                }
            } else {
                let charged = chargeAtOnce(cost.requests, cost.inputTokens, cost.outputTokens)
                if let limit = charged.limit {
                    let asked = limit.pointee.countIndex == 0 ? cost.requests : cost.inputTokens
                    record.fill(charged, of: limit, asked: asked)
                    return 0
                }
            }
        }
        return decideMany(cost, takesPermit: takesPermit, into: record)
    }

    @inline(never)
    private func decideMany(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        if _slowPath(head.pointee.isRemote) {
            return decideRemotely(cost, takesPermit: takesPermit, into: record)
        }
        let attempt = takesPermit ? acquire(cost) : charge(cost)
        if _fastPath(attempt.status == 0) {
            fill(record, attempt.result)
            record.pointee.permit = attempt.permit
        }
        return attempt.status
    }

    /// Charges and forgets.
    @inline(__always)
    func charge(_ cost: borrowing CostAmounts) -> Attempt {
        if _slowPath(cost.hasNegative) {
            return Attempt(failed: LimiterError.Code.negativeCost.status)
        }
        return chargeWithoutPermit(cost)
    }

    /// Charges and gives a permit out.
    @inline(__always)
    func acquire(_ cost: borrowing CostAmounts) -> Attempt {
        if _slowPath(cost.hasNegative) {
            return Attempt(failed: LimiterError.Code.negativeCost.status)
        }
        let hot = self.hot
        let identity = hot.pointee.identity
        if _slowPath(hot.pointee.ownerIdentity.loadRelaxed() != identity) {
            hot.pointee.core.takeUnretainedValue().adopt(identity)
        }
        let amounts = copy cost
        var claimed: PermitSlot?
        let result = decideAll(amounts, owner: hot.pointee.owner.loadRelaxed()) {
            claimed = hot.pointee.permits.claim(
                shelf: PermitTable.shelfIndex(charges: stepCount))
            return claimed?.charges
        }
        guard let slot = claimed, let result else {
            return Attempt(failed: LimiterError.Code.permitTableFull.status)
        }
        guard _fastPath(result.isAdmitted) else {
            slot.cancel()
            return Attempt(notAdmitted: result, of: self)
        }
        slot.keep(
            cost, plan: address, acquiredAt: result.now, identity: identity,
            leaseWord: head.pointee.hasConcurrency ? PermitBody.leasesInPlan : 0)
        slot.open()
        if _slowPath(
            head.pointee.hasConcurrency
                && hot.pointee.heartbeatIdentity.loadRelaxed() != identity)
        {
            hot.pointee.core.takeUnretainedValue().startHeartbeat(identity)
        }
        return Attempt(result, permit: slot.id)
    }

    /// Decides over all steps.
    ///
    /// - Parameter claim: gives room for the charges, asked once every limit has been read; nil:
    ///   there is none.
    /// - Returns: nil where `claim` gave nothing.
    @inline(__always)
    private func decideAll(
        _ cost: CostAmounts, owner: UInt64, claim: () -> UnsafeMutablePointer<StepCharge>?
    ) -> ChargeResult? {
        let clock = hot.pointee.clock
        var moment = ChargeMoment(
            now: clock.now(), wallOffset: clock.wallOffset(), owner: owner)
        var best = ChargeResult(
            outcome: .admitted, now: moment.now, wallOffset: moment.wallOffset)
        return withUnsafeTemporaryAllocation(
            of: PreparedCharge.self, capacity: Self.maximumPrepared
        ) { buffer in
            let prepared = buffer.baseAddress.unsafelyUnwrapped  // capacity is not 0
            var outcome = StepOutcome.raised
            if _fastPath(stepCount <= Self.maximumPrepared) {
                outcome = prepareAll(
                    cost, version: hot.loadVersion, &moment, prepared, &best)
            }
            guard let charges = claim() else { return nil }
            var done = 0
            if _fastPath(outcome == .taken) {
                (done, outcome) = commitAll(cost, &moment, prepared, charges)
                if _fastPath(outcome == .taken) { return best }
            }
            let result = chargeAgain(
                cost, clock: clock, &moment, charges: charges, failed: done, outcome)
            // A refusal too is one under the parameters in force.
            guard result.outcome == .rejected, !isInForce else { return result }
            return ChargeResult(
                outcome: .stale, now: result.now, wallOffset: result.wallOffset)
        }
    }

    /// A charge over several limits keeps its notes on the stack while it decides; one over more
    /// than a decision prepares, in a permit's slot.
    @inline(__always)
    private func chargeWithoutPermit(_ cost: borrowing CostAmounts) -> Attempt {
        guard !head.pointee.hasConcurrency else {
            return Attempt(failed: LimiterError.Code.concurrencyNeedsPermit.status)
        }
        let amounts = copy cost
        guard _fastPath(stepCount <= Self.maximumPrepared) else { return chargeMany(amounts) }
        return withUnsafeTemporaryAllocation(
            of: StepCharge.self, capacity: Self.maximumPrepared
        ) { buffer in
            let charges = buffer.baseAddress.unsafelyUnwrapped  // capacity is not 0
            return Attempt(
                notAdmitted: decideAll(amounts, owner: 0) { charges } ?? ChargeResult.none,
                of: self)
        }
    }

    @inline(never)
    private func chargeMany(_ cost: CostAmounts) -> Attempt {
        let hot = self.hot
        let shelf = PermitTable.shelfIndex(charges: stepCount)
        guard let slot = hot.pointee.permits.claim(shelf: shelf) else {
            return Attempt(failed: LimiterError.Code.permitTableFull.status)
        }
        slot.plan = nil
        let result = decideAll(cost, owner: 0) { slot.charges } ?? ChargeResult.none
        slot.cancel()
        return Attempt(notAdmitted: result, of: self)
    }
}
