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

extension UnsafeMutablePointer where Pointee == DecisionRecord {
    /// Fills in an admission, word by word.
    @inline(__always)
    private func fill(now: Int64, wall: Int64, permit: UInt64, asked: Int64, remaining: Int64) {
        pointee.outcome = 1
        pointee.reason = 0
        pointee.permit = permit
        pointee.retryAfterNanoseconds = 0
        pointee.predictedStartUnixNanoseconds = wall
        pointee.decidedAtNanoseconds = now
        pointee.decidedAtUnixNanoseconds = wall
        pointee.asked = asked
        pointee.remaining = remaining
    }

    @inline(__always)
    private func fill(limitName: UnsafePointer<CChar>?) {
        pointee.limitName = limitName
        // Every limit has a name.
        pointee.storeMode = InternedName.storeMode(of: limitName.unsafelyUnwrapped)
    }

    /// A charge of a single bucket, from what its limit's keys share.
    @inline(__always)
    func fill(
        _ charged: ChargedAtOnce, of limit: UnsafeMutablePointer<SharedLimit>, asked: Int64
    ) {
        fill(
            now: charged.now, wall: charged.wall, permit: 0, asked: asked,
            remaining: charged.remaining)
        fill(limitName: limit.pointee.limitName)
        pointee.limit = limit.pointee.capacity
        pointee.policyName = limit.pointee.policyName
    }

    /// An admission by a single bucket.
    @inline(__always)
    func fill(
        _ granted: GrantedAtOnce, of limit: UnsafeMutablePointer<SharedLimit>, asked: Int64
    ) {
        fill(
            now: granted.now, wall: granted.wall, permit: granted.permit, asked: asked,
            remaining: granted.remaining)
        fill(limitName: limit.pointee.limitName)
        pointee.limit = limit.pointee.capacity
        pointee.policyName = limit.pointee.policyName
    }

    /// An admission with a permit.
    @inline(__always)
    func fill(
        _ granted: GrantedAtOnce, of plan: ChargePlanReference, _ cost: borrowing CostAmounts
    ) {
        let facts = StepFacts(of: plan, granted.step)
        fill(
            now: granted.now, wall: granted.wall, permit: granted.permit,
            asked: cost.amount(ofCount: facts.countIndex), remaining: granted.remaining)
        fill(limitName: facts.limitName)
        pointee.limit = facts.capacity
        pointee.policyName = facts.policyName
    }
}
