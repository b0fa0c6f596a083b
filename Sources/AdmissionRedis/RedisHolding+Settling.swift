import Admission

/// Settling what was charged by slices, or by the server for a gate that has them.
extension RedisHolding {
    /// Puts a permit's units back into the slice that they came from, or keeps them to be given back.
    ///
    /// - Returns: whether somebody has to come to send them.
    func settleBack(_ units: Int64, limit: Int, place: UInt64, now: Int64) -> Bool {
        for slot in 0..<SliceSlots.count {
            let state = slots.state(slot)
            guard state != 0, now < slots.end(slot), slots.place(slot, limit: limit) == place,
                slots.putBack(units, slot, state: state, limit: limit)
            else { continue }
            return false
        }
        return state.withLock { state in
            if let index = state.backs.firstIndex(where: { $0.limit == limit && $0.place == place })
            {
                state.backs[index].units = state.backs[index].units.addingSaturated(units)
            } else {
                state.backs.append(SliceBack(limit: limit, units: units, place: place))
            }
            return claimFlush(&state)
        }
    }

    /// Books units beyond a charge: from a slice.
    ///
    /// - Returns: where they were charged; nil: no slice has as much.
    func settleMore(_ units: Int64, limit: Int, now: Int64) -> UInt64? {
        guard identity.loadRelaxed() == ProcessIdentity.current() else { return nil }
        for slot in 0..<SliceSlots.count {
            let state = slots.state(slot)
            guard state != 0, now < slots.end(slot) else { continue }
            let place = slots.place(slot, limit: limit)
            if slots.take(units, slot, state: state, limit: limit) >= 0 { return place }
        }
        return nil
    }

    /// Keeps units to be booked with what is sent next.
    ///
    /// - Returns: whether somebody has to come to send them.
    func keepMore(_ units: Int64, limit: Int) -> Bool {
        state.withLock { state in
            state.more[limit] = state.more[limit].addingSaturated(units)
            return claimFlush(&state)
        }
    }

    private func claimFlush(_ state: inout State) -> Bool {
        defer { state.isFlushDue = true }
        return !state.isFlushDue
    }

    /// What waits to be sent: one call each, with one place a limit.
    func takeSettlements() -> [RemoteSettlement] {
        let (backs, more) = state.withLock { state in
            defer {
                state.backs = []
                state.more = [Int64](repeating: 0, count: state.more.count)
                state.isFlushDue = false
            }
            return (state.backs, state.more)
        }
        var calls: [[RemoteEntry]] = []
        for back in backs {
            let entry = RemoteEntry(limit: back.limit, amount: -back.units, place: back.place)
            let index = calls.firstIndex { !$0.contains { $0.limit == back.limit } }
            if let index { calls[index].append(entry) } else { calls.append([entry]) }
        }
        let excess = more.indices.filter { more[$0] > 0 }
            .map { RemoteEntry(limit: $0, amount: more[$0], place: 0) }
        if !excess.isEmpty { calls.append(excess) }
        return calls.map { RemoteSettlement(entries: $0, lease: 0, freesLeases: false) }
    }
}
