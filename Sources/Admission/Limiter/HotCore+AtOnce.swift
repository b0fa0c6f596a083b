extension ChargePlanReference {
    /// Charges a plain bucket in force, which `prepareSingle` looks at; none: nothing was charged, take
    /// the general way. Reads the plan's head and never its steps.
    @inline(__always)
    func chargeAtOnce(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> ChargedAtOnce {
        let head = self.head
        let amount = head.pointee.countIndex == 0 ? requests : inputTokens
        let version = hot.loadVersion
        guard
            _fastPath(
                head.pointee.isPlainBucket && requests | inputTokens | outputTokens >= 0),
            let charge = prepareSingle(amount, version: version)
        else { return .none }
        let lead = commit(charge, amount, version: version, retries: hot.pointee.retries)
        guard _fastPath(lead != SingleCharge.refused) else { return .none }
        return ChargedAtOnce(
            limit: shared.address, now: charge.now, wall: charge.wall,
            remaining: remainingSingle(lead: lead))
    }

    /// Charges the limits and gives a permit out where that needs no call; none: nothing was done,
    /// take the general way. No extra counts.
    @usableFromInline
    @inline(never)
    func acquireAtOnce(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> GrantedAtOnce {
        // Functions of their own keep each other's registers free.
        head.pointee.isPlainBucket
            ? acquireAlone(requests, inputTokens, outputTokens)
            : acquireFew(requests, inputTokens, outputTokens)
    }

    @inline(never)
    private func acquireAlone(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> GrantedAtOnce {
        acquireSingle(requests, inputTokens, outputTokens)
    }

    /// The same of a plan that `isPlainBucket`.
    @inline(__always)
    func acquireSingle(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> GrantedAtOnce {
        let hot = self.hot
        let amount = head.pointee.countIndex == 0 ? requests : inputTokens
        let identity = hot.pointee.identityWord.loadRelaxed()
        let version = hot.loadVersion
        guard _fastPath(identity != 0), _fastPath(requests | inputTokens | outputTokens >= 0),
            let prepared = prepareSingle(amount, version: version),
            let slot = hot.pointee.permits.claimAtOnce(shelf: 0)
        else { return .none }
        let lead = commit(prepared, amount, version: version, retries: hot.pointee.retries)
        guard _fastPath(lead != SingleCharge.refused) else {
            slot.cancel()
            return .none
        }
        let cost = CostAmounts(
            requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
            extra: UnsafeBufferPointer(start: nil, count: 0))
        slot.keep(
            cost, plan: address, acquiredAt: prepared.now, identity: identity, leaseWord: 0)
        let charge = slot.charges
        charge.pointee.amount = amount
        charge.pointee.laterAmount = 0
        charge.pointee.total = amount
        slot.open()
        return GrantedAtOnce(
            permit: slot.id, now: prepared.now, wall: prepared.wall, step: 0,
            remaining: remainingSingle(lead: lead))
    }

    /// The same of a few limits: see `prepareAtOnce`.
    @inline(never)
    func acquireFew(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64
    ) -> GrantedAtOnce {
        guard _fastPath(head.pointee.isOfFewLimits) else { return .none }
        return withUnsafeTemporaryAllocation(byteCount: Room.bytes, alignment: 8) { buffer in
            // It is not empty.
            let room = Room(buffer.baseAddress.unsafelyUnwrapped)
            return acquireFew(requests, inputTokens, outputTokens, room)
        }
    }

    /// Apart from the allocation, whose closure would else be a function with captures in memory.
    @inline(never)
    private func acquireFew(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64, _ room: Room
    ) -> GrantedAtOnce {
        let hot = self.hot
        let count = stepCount
        let identity = hot.pointee.identityWord.loadRelaxed()
        let holdsLease = head.pointee.hasConcurrency
        let version = hot.loadVersion
        // A heartbeat begins behind the owner's number.
        room.write(requests, inputTokens, outputTokens)
        guard _fastPath(identity != 0), _fastPath(requests | inputTokens | outputTokens >= 0),
            !holdsLease || _fastPath(hot.pointee.heartbeatIdentity.loadRelaxed() == identity),
            needsNoNote(room),
            let time = CounterClock.shared.nanosecondsByAnchor(),
            // In front of what is read of the limits, since the charges are written into it.
            let slot = hot.pointee.permits.claimAtOnce(shelf: 0)
        else { return .none }
        let now = time &+ head.pointee.steadyOffset
        let wall = time &+ CounterClock.shared.wallOffsetNanoseconds()
        let owner = hot.pointee.owner.loadRelaxed()
        let tightest = prepareAtOnce(
            now: now, wall: wall, owner: owner, version: version, room, slot.charges)
        guard _fastPath(tightest != Self.notAtOnce) else {
            slot.cancel()
            return .none
        }
        let leaseWord = holdsLease ? room.swaps.pointee.word : nil
        let done = swapAll(room, count: count)
        guard _fastPath(done == count && (!holdsLease || step(0).keepsClaim(owner: owner))) else {
            undo(slot, done: done)
            return .none
        }
        let cost = CostAmounts(
            requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
            extra: UnsafeBufferPointer(start: nil, count: 0))
        slot.keep(cost, plan: address, acquiredAt: now, identity: identity, lease: leaseWord)
        slot.open()
        return GrantedAtOnce(permit: slot.id, now: now, wall: wall, tightest: tightest)
    }

    /// Gives back what was swapped in before another writer was met.
    @inline(never)
    private func undo(_ slot: PermitSlot, done: Int) {
        giveBack(slot.charges, upTo: done, clock: hot.pointee.clock)
        if done < stepCount { step(done).countRetry() }
        slot.cancel()
    }
}
