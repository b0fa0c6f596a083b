import CCounter
import Synchronization

/// The prepared form of one attribute set: what callers acquire from.
///
/// Made once and kept: policies are resolved and keys found, so a decision does no string work, no
/// allocation and takes no lock. It outlives a reload and resolves anew at its next call. Any
/// thread may use it; a copy is the same gate.
///
/// ```swift
/// let gate = try limiter.gate(["project": "acme", "model": "gemini-2.5-flash"])
/// let decision = try gate.tryAcquire(Cost(inputTokens: 1_200))
/// ```
///
/// It does not wait, and keeps no quota of its own.
public struct Gate: @unchecked Sendable {
    // Unchecked: the storage, which ManagedBuffer keeps from being Sendable, is never written again.
    let storage: GateStorage
    /// The plan that the gate was opened with; its successors hang on it.
    @usableFromInline let first: ChargePlanReference
    /// What the first plan's charge is going to touch, known before the storage is read; see
    /// `ChargePlanReference.nearest`.
    private let nearest: UnsafeRawPointer

    init(_ storage: GateStorage) {
        self.storage = storage
        first = storage.first
        nearest = storage.first.nearest
    }

    /// Decides now, without waiting; on admission the charges are booked and the permit is yours.
    ///
    /// - Parameter cost: what the call is expected to use.
    /// - Throws: `LimiterError`: `negativeCost`, `permitTableFull`, `keyTableFull`, `closed`; and
    ///   what opening a gate throws, when a reload made the gate's attributes insufficient.
    /// - Complexity: O(limits); one compare-and-swap each. No allocation.
    @inlinable @inline(__always)
    public func tryAcquire(
        _ cost: borrowing Cost = Cost()
    ) throws(LimiterError) -> Decision {
        // Inlined into the caller, whose last use of the gate this may be.
        defer { withExtendedLifetime(self) {} }
        if _fastPath(cost.extra.isEmpty) {
            let granted = first.acquireAtOnce(
                cost.requests, cost.inputTokens, cost.outputTokens)
            if _fastPath(granted.permit != 0) {
                return .admitted(Permit(granted, of: first, cost))
            }
        }
        return try acquireMany(cost)
    }

    /// The way of everything that `acquireAtOnce` leaves.
    @usableFromInline
    @inline(never)
    func acquireMany(_ cost: borrowing Cost) throws(LimiterError) -> Decision {
        if _fastPath(cost.extra.isEmpty && isInForceHere) {
            let attempt = first.acquire(CostAmounts(withoutExtra: cost))
            if _fastPath(attempt.isAdmitted) {
                return .admitted(
                    Permit(
                        binding: Binding(attempt.result, of: first), number: attempt.permit,
                        core: PermitCore(first.owner)))
            }
            if attempt.status != Attempt.staleStatus {
                return .rejected(try rejection(attempt))
            }
        }
        return try acquireSlowly(cost)
    }

    @inline(never)
    private func acquireSlowly(_ cost: borrowing Cost) throws(LimiterError) -> Decision {
        var record = DecisionRecord()
        let status = decide(cost, takesPermit: true, &record)
        guard status == 0 else { throw storage.error(status) }
        guard record.outcome == 1 else { return .rejected(Rejection(record)) }
        return .admitted(
            Permit(
                binding: Binding(record), number: record.permit,
                core: PermitCore(first.owner)))
    }

    /// Books and forgets: no permit, nothing to complete; for pure pacing.
    ///
    /// - Throws: as `tryAcquire`, and `concurrencyNeedsPermit` where a concurrency limit applies.
    /// - Complexity: O(limits); one compare-and-swap each. No allocation.
    @inlinable @inline(__always)
    public func tryCharge(
        _ cost: borrowing Cost = Cost()
    ) throws(LimiterError) -> ChargeDecision {
        // As in `tryAcquire`: the limit's facts are read behind the call.
        defer { withExtendedLifetime(self) {} }
        if _fastPath(cost.extra.isEmpty) {
            let charged = chargeAtOnce(cost.requests, cost.inputTokens, cost.outputTokens)
            if let limit = charged.limit {
                return .admitted(Binding(charged, of: limit, cost))
            }
        }
        return try chargeMany(cost)
    }

    @usableFromInline
    @inline(never)
    func chargeAtOnce(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> ChargedAtOnce {
        admission_prefetch(nearest)
        return storage.near.chargeAtOnce(requests, inputTokens, outputTokens)
    }

    @usableFromInline
    @inline(never)
    func chargeMany(_ cost: borrowing Cost) throws(LimiterError) -> ChargeDecision {
        if _fastPath(cost.extra.isEmpty && isInForceHere) {
            let attempt = first.charge(CostAmounts(withoutExtra: cost))
            if _fastPath(attempt.isAdmitted) {
                return .admitted(Binding(attempt.result, of: first))
            }
            if attempt.status != Attempt.staleStatus {
                return .rejected(try rejection(attempt))
            }
        }
        return try chargeSlowly(cost)
    }

    @inline(never)
    private func chargeSlowly(_ cost: borrowing Cost) throws(LimiterError) -> ChargeDecision {
        var record = DecisionRecord()
        let status = decide(cost, takesPermit: false, &record)
        guard status == 0 else { throw storage.error(status) }
        return record.outcome == 1 ? .admitted(Binding(record)) : .rejected(Rejection(record))
    }

    /// The refusal that an attempt ended with, or its error.
    @inline(never)
    private func rejection(_ attempt: Attempt) throws(LimiterError) -> Rejection {
        guard attempt.status == 0 else { throw storage.error(attempt.status) }
        var record = DecisionRecord()
        first.fill(&record, attempt.result)
        return Rejection(record)
    }

    @inline(__always)
    private var isInForce: Bool { first.isInForce }

    /// The same, and the counters are this process's to change.
    @inline(__always)
    private var isInForceHere: Bool { isInForce && !first.head.pointee.isRemote }

    @inline(__always)
    private func decide(
        _ cost: borrowing Cost, takesPermit: Bool, _ record: inout DecisionRecord
    ) -> Int32 {
        if _fastPath(cost.extra.isEmpty) {
            let amounts = CostAmounts(withoutExtra: cost)
            return decide(amounts, takesPermit: takesPermit, into: &record)
        }
        return decideWithExtra(cost, takesPermit: takesPermit, &record)
    }

    @inline(never)
    private func decideWithExtra(
        _ cost: borrowing Cost, takesPermit: Bool, _ record: inout DecisionRecord
    ) -> Int32 {
        cost.extra.withUnsafeBufferPointer { extra in
            let amounts = CostAmounts(
                requests: cost.requests, inputTokens: cost.inputTokens,
                outputTokens: cost.outputTokens, extra: extra)
            return decide(amounts, takesPermit: takesPermit, into: &record)
        }
    }

    /// The raw decision: a status of the header, and the record where it is 0.
    @inline(__always)
    package func decide(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        if _fastPath(isInForce) {
            let status = first.decide(cost, takesPermit: takesPermit, into: record)
            if _fastPath(status != Attempt.staleStatus) { return status }
        }
        return storage.decide(cost, takesPermit: takesPermit, into: record)
    }

    /// The error behind a status that `decide` gave, with its numbers.
    package func error(_ status: Int32) -> LimiterError { storage.error(status) }

    /// What a store behind a connection said with this status; nil for any other.
    package func remoteFailure(_ status: Int32) -> LimiterError? { storage.remoteFailure(status) }

    /// Shows for each limit of the gate what was used, what is left, when, and which would bind.
    ///
    /// - Throws: `LimiterError`: `negativeCost`, `closed`, and what opening a gate throws.
    /// - Complexity: O(limits x cells); allocates.
    public func explain(_ cost: Cost = Cost()) throws(LimiterError) -> Explanation {
        try storage.explain(cost)
    }
}

extension ChargePlanReference {
    /// Whether the plan is that of the document in force.
    @inline(__always)
    var isInForce: Bool { isInForce(by: hot.loadVersion) }
}

/// What a gate owns: its plans, each the successor of the one before; and behind that a copy of the
/// head of the first, with its address in front.
///
/// A caller that keeps gates in a collection retains and releases this object around each call; with
/// the head beside its reference count, a charge of a bucket touches this object and the key alone.
/// The copy serves `chargeAtOnce`, which reads a plan's head and never its steps.
package final class GateStorage: ManagedBuffer<LimiterCore, UInt64> {
    static func make(
        core: LimiterCore, attributes: [Attribute]
    ) throws(LimiterError) -> GateStorage {
        let first = try core.makePlan(attributes, isFirst: true)
        first.latest.store(UInt64(UInt(bitPattern: first.address)))
        let words = 1 + MemoryLayout<ChargePlan>.size / 8
        let storage = GateStorage.create(minimumCapacity: words) { _ in core }
        storage.withUnsafeMutablePointerToElements { elements in
            elements.pointee = UInt64(UInt(bitPattern: first.address))
            UnsafeMutableRawPointer(elements + 1).copyMemory(
                from: first.address, byteCount: MemoryLayout<ChargePlan>.size)
        }
        core.state.withLock { $0.gatesOpen += 1 }
        return unsafeDowncast(storage, to: GateStorage.self)
    }

    var core: LimiterCore { header }

    var attributes: [Attribute] { first.attributes }

    /// The plan that the gate was opened with; its successors hang on it.
    @inline(__always)
    var first: ChargePlanReference {
        withUnsafeMutablePointerToElements { elements in
            // Set when the object was made.
            ChargePlanReference(
                UnsafeMutableRawPointer(bitPattern: UInt(elements.pointee)).unsafelyUnwrapped)
        }
    }

    /// The copy of the first plan's head; valid while the object lives.
    @inline(__always)
    var near: ChargePlanReference {
        withUnsafeMutablePointerToElements { elements in
            ChargePlanReference(UnsafeMutableRawPointer(elements + 1))
        }
    }

    deinit {
        var plans: [ChargePlanReference] = []
        var plan: ChargePlanReference? = first
        while let next = plan {
            plans.append(next)
            plan = Self.successor(of: next)
        }
        core.retire(plans)
        ClosedCores.keepWhilePermitsAreOpen(core)
    }

    private static func successor(of plan: ChargePlanReference) -> ChargePlanReference? {
        UnsafeMutableRawPointer(bitPattern: UInt(plan.successor.load())).map {
            ChargePlanReference($0)
        }
    }

    /// The newest plan, made anew when it is not in force.
    ///
    /// - Parameter stale: a plan whose keys were found reclaimed.
    func currentPlan(replacing stale: ChargePlanReference?) throws(LimiterError)
        -> ChargePlanReference
    {
        try core.checkOpen()
        // Acquire: pairs with the release below; the plan's memory is whole.
        let known = UnsafeMutableRawPointer(bitPattern: UInt(first.latest.load()))
        var plan = known.map { ChargePlanReference($0) } ?? first
        while let next = Self.successor(of: plan) { plan = next }
        let isInForce =
            plan.head.pointee.version
            == UInt32(truncatingIfNeeded: core.hot.loadVersion.load())
        if isInForce && plan != stale { return plan }
        let made = try core.makePlan(attributes)
        while !plan.successor.swap(0, UInt64(UInt(bitPattern: made.address))) {
            while let next = Self.successor(of: plan) { plan = next }
        }
        first.latest.store(UInt64(UInt(bitPattern: made.address)))
        return made
    }

    /// The way when the first plan is not in force, or a key was reclaimed.
    @inline(never)
    func decide(
        _ cost: borrowing CostAmounts, takesPermit: Bool,
        into record: UnsafeMutablePointer<DecisionRecord>
    ) -> Int32 {
        var stale: ChargePlanReference?
        // Each round meets another reload or reclaiming; a thousand in one call are a defect.
        for _ in 0..<1_000 {
            do throws(LimiterError) {
                let plan = try currentPlan(replacing: stale)
                let status = plan.decide(cost, takesPermit: takesPermit, into: record)
                guard status == Attempt.staleStatus else { return status }
                stale = plan
            } catch {
                return error.code.status
            }
        }
        return LimiterError.Code.internalError.status
    }

    /// What the remote store said when it last refused a decision so.
    func remoteFailure(_ status: Int32) -> LimiterError? {
        guard let failure = core.state.withLock({ $0.remoteFailure }),
            failure.code.status == status
        else { return nil }
        return failure
    }

    /// The error behind a status, with its numbers.
    @inline(never)
    func error(_ status: Int32) -> LimiterError {
        let code = LimiterError.Code.code(status: status)
        switch code {
        case .negativeCost: return LimiterError(code, "a cost is below 0; costs are 0 or more")
        case .permitTableFull:
            return LimiterError(
                code, "\(core.hot.pointee.permits.capacity) permits are open, as many as fit")
        case .concurrencyNeedsPermit:
            return LimiterError(
                code, "a concurrency limit applies: only a permit gives its slot back")
        case .closed: return LimiterError(code, "the limiter was closed")
        default:
            if let refusal = remoteFailure(status) { return refusal }
            do throws(LimiterError) {
                core.store.free(try core.makePlan(attributes))
            } catch {
                if error.code == code { return error }
            }
            return LimiterError(code, "the gate cannot decide: \(code.name)")
        }
    }
}

extension CostAmounts {
    @inline(__always)
    init(withoutExtra cost: borrowing Cost) {
        self.init(
            requests: cost.requests, inputTokens: cost.inputTokens,
            outputTokens: cost.outputTokens, extra: UnsafeBufferPointer(start: nil, count: 0))
    }
}
