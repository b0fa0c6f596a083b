/// An admission over several limits, in as many words as are returned in registers.
///
/// As a record in memory it would be written in words and read again in pairs, which processors
/// cannot forward.
struct GrantedAtOnce {
    /// The permit's id; 0: nothing was decided, take the general way.
    var permit: UInt64
    /// Steady and wall nanoseconds of the decision.
    var now: Int64
    var wall: Int64
    /// `step:8 | remaining:56`: counts and limits are below 2^42.
    private var tightest: UInt64

    @inline(__always)
    init(permit: UInt64, now: Int64, wall: Int64, step: Int, remaining: Int64) {
        self.permit = permit
        self.now = now
        self.wall = wall
        tightest =
            UInt64(truncatingIfNeeded: step) &<< 56 | UInt64(bitPattern: remaining)
    }

    @inline(__always)
    static var none: GrantedAtOnce {
        GrantedAtOnce(permit: 0, now: 0, wall: 0, step: 0, remaining: 0)
    }

    @inline(__always)
    var step: Int { Int(truncatingIfNeeded: tightest >> 56) }
    @inline(__always)
    var remaining: Int64 { Int64(bitPattern: tightest & (1 << 56 &- 1)) }
}

extension ChargePlanReference {
    /// Charges several limits and gives a permit out where that needs no call: see
    /// `prepareAtOnce`. No extra counts.
    @inline(never)
    func acquireAtOnce(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> GrantedAtOnce {
        withUnsafeTemporaryAllocation(
            of: PreparedCharge.self, capacity: Self.roomAtOnce
        ) { buffer in
            // Its capacity is not 0.
            acquireAtOnce(
                requests, inputTokens, outputTokens, buffer.baseAddress.unsafelyUnwrapped)
        }
    }

    /// Apart from the allocation, whose closure would else be a function with captures in memory.
    @inline(never)
    private func acquireAtOnce(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64,
        _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> GrantedAtOnce {
        let hot = self.hot
        let count = stepCount
        let identity = hot.pointee.identityWord.loadRelaxed()
        let holdsLease = head.pointee.hasConcurrency
        guard
            _fastPath(
                identity != 0 && requests | inputTokens | outputTokens >= 0 && count != 0
                    && count <= Self.maximumAtOnce
                    && hot.pointee.ownerIdentity.loadRelaxed() == identity
                    && (!holdsLease || hot.pointee.heartbeatIdentity.loadRelaxed() == identity)),
            let now = hot.pointee.clock.nowAtOnce()
        else { return .none }
        let moment = ChargeMoment(
            now: now, wallOffset: hot.pointee.clock.wallOffset(),
            owner: hot.pointee.owner.loadRelaxed())
        let cost = CostAmounts(
            requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
            extra: UnsafeBufferPointer(start: nil, count: 0))
        var tightest = Tightest()
        guard prepareAtOnce(cost, moment, prepared, &tightest) else { return .none }
        let first = prepared.pointee.exchange
        guard let slot = hot.pointee.permits.claimAtOnce(shelf: 0) else { return .none }
        let done = swapAll(prepared, first: first, count: count)
        let charges = slot.charges
        guard _fastPath(done == count && (!holdsLease || step(0).keepsClaim(owner: moment.owner)))
        else {
            undo(prepared, slot, done: done)
            return .none
        }
        var index = 0
        repeat {
            prepared[index].noteFirst(charges + index)
            index &+= 1
        } while index < count
        slot.keep(
            cost, plan: address, acquiredAt: now, identity: identity,
            lease: holdsLease ? prepared.pointee.word : nil)
        slot.open()
        return GrantedAtOnce(
            permit: slot.id, now: now, wall: moment.wall, step: tightest.step,
            remaining: tightest.remaining)
    }

    /// Gives back what was swapped in before another writer was met.
    @inline(never)
    private func undo(
        _ prepared: UnsafeMutablePointer<PreparedCharge>, _ slot: PermitSlot, done: Int
    ) {
        for index in 0..<done { prepared[index].note(slot.charges + index) }
        giveBack(slot.charges, upTo: done, clock: hot.pointee.clock)
        if done < stepCount { step(done).countRetry() }
        slot.cancel()
    }
}
