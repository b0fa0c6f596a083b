import Synchronization

/// What most calls through a C handle need, behind one address that is kept beside the handle.
///
/// Loads wait behind a swap on current processors, so that each hop from handle to gate to plan
/// costs its full latency between two decisions; and what comes in registers is not written to the
/// stack first. Both save more than the work itself costs.
///
/// Every function does all or nothing, and says when the general way has to be taken.
package enum AtOnce {
    /// What `charge` and `acquire` take; good while the gate lives.
    package static func address(of gate: Gate) -> UnsafeMutableRawPointer {
        Unmanaged.passUnretained(gate.storage).toOpaque()
    }

    /// What `charge` and `acquire` touch last: worth a prefetch before the address is known.
    package static func nearest(of gate: Gate) -> UnsafeRawPointer {
        gate.storage.first.nearest
    }

    /// What `end` takes; good while the limiter lives.
    package static func address(of limiter: Limiter) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(limiter.core.hot)
    }

    /// `Gate.decide` without a permit, where the gate is one bucket in force that admits; leaves
    /// what the caller entered, so that the caller has nothing to keep but for the other way.
    ///
    /// - Parameters:
    ///   - address: of the gate.
    ///   - token: what the caller entered for the gate.
    /// - Returns: 0; or the tag that was left, and nothing was done.
    /// - Precondition: amounts are 0 or more.
    @inline(never)
    package static func charge(
        _ address: UnsafeMutableRawPointer, requests: Int64, inputTokens: Int64,
        into record: UnsafeMutablePointer<DecisionRecord>, leaving token: InFlight.Token
    ) -> UInt {
        let near = storage(address).near
        let charged = near.chargeAtOnce(requests, inputTokens, 0)
        guard let limit = charged.limit else { return leave(token) }
        let asked = near.head.pointee.countIndex == 0 ? requests : inputTokens
        record.fill(charged, of: limit, asked: asked)
        InFlight.leave(token)
        return 0
    }

    /// The same with a permit, where the gate is such a bucket or a few limits.
    @inline(never)
    package static func acquire(
        _ address: UnsafeMutableRawPointer, requests: Int64, inputTokens: Int64,
        outputTokens: Int64, into record: UnsafeMutablePointer<DecisionRecord>,
        leaving token: InFlight.Token
    ) -> UInt {
        let plan = storage(address).first
        guard _fastPath(plan.head.pointee.isPlainBucket) else {
            return acquireFew(
                plan, requests, inputTokens, outputTokens, into: record, leaving: token)
        }
        let granted = plan.acquireSingle(requests, inputTokens, outputTokens)
        guard _fastPath(granted.permit != 0) else { return leave(token) }
        let asked = plan.head.pointee.countIndex == 0 ? requests : inputTokens
        record.fill(granted, of: plan.shared.address, asked: asked)
        InFlight.leave(token)
        return 0
    }

    /// Apart, so that neither way takes registers from the other.
    @inline(never)
    private static func acquireFew(
        _ plan: ChargePlanReference, _ requests: Int64, _ inputTokens: Int64,
        _ outputTokens: Int64, into record: UnsafeMutablePointer<DecisionRecord>,
        leaving token: InFlight.Token
    ) -> UInt {
        let granted = plan.acquireFew(requests, inputTokens, outputTokens)
        guard _fastPath(granted.permit != 0) else { return leave(token) }
        let cost = CostAmounts(
            requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
            extra: UnsafeBufferPointer(start: nil, count: 0))
        record.fill(granted, of: plan, cost)
        InFlight.leave(token)
        return 0
    }

    /// The gate's storage, which the caller keeps alive.
    @inline(__always)
    private static func storage(_ address: UnsafeMutableRawPointer) -> GateStorage {
        Unmanaged<GateStorage>.fromOpaque(address)._withUnsafeGuaranteedRef { $0 }
    }

    @inline(never)
    private static func leave(_ token: InFlight.Token) -> UInt {
        let tag = token.pointee.load(ordering: .relaxed)
        InFlight.leave(token)
        return tag
    }

    /// Ends an open permit of this process that holds at most one lease, as charged.
    ///
    /// - Parameter address: of the limiter.
    /// - Returns: false where nothing was done.
    @inline(never)
    package static func end(_ address: UnsafeMutableRawPointer, permit: UInt64) -> Bool {
        let hot = address.assumingMemoryBound(to: HotCore.self)
        let identity = hot.pointee.identityWord.loadRelaxed()
        return hot.pointee.permits.find(permit)?
            .endAtOnce(identity: identity, clock: hot.pointee.clock) ?? false
    }
}
