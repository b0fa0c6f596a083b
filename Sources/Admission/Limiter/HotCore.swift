/// What a decision needs of its limiter, in memory that is reached without retain or release.
///
/// Owner: `LimiterCore`, which frees it when the last gate, permit and caller are gone.
struct HotCore {
    /// Compared with each plan's version.
    let loadVersion: SharedWord
    let clock: StoreClock
    let permits: PermitTable
    /// Identity of the process that `owner` belongs to.
    let ownerIdentity: SharedWord
    /// Lease owner number of that process.
    let owner: SharedWord
    /// Identity of the process whose heartbeat renews this limiter's leases; 0 for none.
    let heartbeatIdentity: SharedWord
    /// 1 once the limiter was closed.
    let isClosed: SharedWord
    /// Unowned: it owns this.
    let core: Unmanaged<LimiterCore>
}

/// A decision as plain data, in the layout of C's `admission_decision`: written field by field,
/// in place, `structSize` left alone.
@frozen
package struct DecisionRecord {
    /// C's `struct_size`: the caller's.
    package var structSize: UInt32 = 0
    /// 1 admitted, 2 rejected.
    package var outcome: Int32 = 0
    /// `RejectionReason`, 0 when admitted.
    package var reason: Int32 = 0
    package var storeMode: Int32 = 0
    /// The permit's id, 0 where there is none.
    package var permit: UInt64 = 0
    /// 0 when admitted, -1 never, -2 unknown.
    package var retryAfterNanoseconds: Int64 = 0
    /// The decision's own instant when admitted, -1 never, -2 unknown.
    package var predictedStartUnixNanoseconds: Int64 = 0
    package var decidedAtNanoseconds: Int64 = 0
    package var decidedAtUnixNanoseconds: Int64 = 0
    package var limit: Int64 = 0
    package var asked: Int64 = 0
    package var remaining: Int64 = 0
    /// Interned, never freed; nil where no limit applies.
    package var policyName: UnsafePointer<CChar>?
    package var limitName: UnsafePointer<CChar>?

    @inlinable
    package init() {}
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
        record.pointee.storeMode = StoreMode.memory.rawValue
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
        if _fastPath(result.outcome == .admitted) {
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
        case .none, .exhausted, .debt, .boundaryGuard:
            record.pointee.retryAfterNanoseconds = result.retryAfterNanoseconds
            record.pointee.predictedStartUnixNanoseconds =
                wall.addingSaturated(result.retryAfterNanoseconds)
        }
    }
}

extension ChargePlanReference {
    /// Decides on a plan that is known to be in force, or gives the status why not.
    ///
    /// - Returns: 0 with a filled record; `staleStatus`: resolve anew; else an error's status.
    @inline(__always)
    func decide(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        if _slowPath(cost.hasNegative) { return LimiterError.Code.negativeCost.status }
        if takesPermit { return decideWithPermit(cost, into: record) }
        if _fastPath(head.pointee.isSingleBucket && !wasRefused),
            let result = chargeSingle(cost, clock: hot.pointee.clock)
        {
            if _slowPath(!step(0).isNoted) { step(0).note() }
            fill(record, result)
            record.pointee.permit = 0
            return 0
        }
        return chargeWithoutPermit(cost, into: record)
    }

    /// Never a status of the header: the plan is out of date.
    static var staleStatus: Int32 { -1 }

    @inline(__always)
    private func decideWithPermit(
        _ cost: borrowing CostAmounts, into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        let hot = self.hot
        let identity = ProcessIdentity.current()
        if _slowPath(hot.pointee.ownerIdentity.loadRelaxed() != identity) {
            hot.pointee.core.takeUnretainedValue().adopt(identity)
        }
        let shelf = PermitTable.shelfIndex(charges: stepCount)
        guard let slot = hot.pointee.permits.claim(shelf: shelf) else {
            return LimiterError.Code.permitTableFull.status
        }
        let owner = hot.pointee.owner.loadRelaxed()
        let result = charge(
            cost, clock: hot.pointee.clock, owner: owner, charges: slot.charges)
        guard _fastPath(result.outcome == .admitted) else {
            slot.cancel()
            return status(of: result, into: record)
        }
        let body = slot.body
        slot.plan = address
        body.pointee.requests = cost.requests
        body.pointee.inputTokens = cost.inputTokens
        body.pointee.outputTokens = cost.outputTokens
        body.pointee.acquiredAt = result.now
        body.pointee.identity = identity
        slot.open()
        fill(record, result)
        record.pointee.permit = slot.id
        if _slowPath(
            head.pointee.hasConcurrency
                && hot.pointee.heartbeatIdentity.loadRelaxed() != identity)
        {
            hot.pointee.core.takeUnretainedValue().startHeartbeat(identity)
        }
        return 0
    }

    /// Rejected, or why nothing could be decided.
    @inline(never)
    private func status(
        of result: ChargeResult, into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        switch result.outcome {
        case .admitted, .rejected:
            fill(record, result)
            return 0
        case .stale: return Self.staleStatus
        case .failed: return LimiterError.Code.keyTableFull.status
        }
    }

    /// A charge over several limits keeps its notes in a permit's slot while it decides.
    @inline(never)
    private func chargeWithoutPermit(
        _ cost: borrowing CostAmounts, into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        guard !head.pointee.hasConcurrency else {
            return LimiterError.Code.concurrencyNeedsPermit.status
        }
        let hot = self.hot
        let shelf = PermitTable.shelfIndex(charges: stepCount)
        guard let slot = hot.pointee.permits.claim(shelf: shelf) else {
            return LimiterError.Code.permitTableFull.status
        }
        slot.plan = nil
        let result = charge(
            cost, clock: hot.pointee.clock, owner: 0, charges: slot.charges)
        slot.cancel()
        record.pointee.permit = 0
        return status(of: result, into: record)
    }
}
