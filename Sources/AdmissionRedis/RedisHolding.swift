import Admission

/// What a process holds of one scope's limits: its slices, what it knows of demand and of what is left,
/// and the settlements that have not gone out.
///
/// Limits are in the order of the wire, which is that of `plan`'s steps. Decisions touch words alone;
/// whoever asks, ends slices and settles holds the lock, for moments, and never while it calls.
///
/// A forked child has a copy of its parent's units, which are not its own: the first call in a child
/// forgets them.
final class RedisHolding: Sendable {
    /// The scope alone.
    let plan: RedisPlan
    let slots: SliceSlots
    let lifetimeNanoseconds: Int64
    /// Units asked for by decisions, as they come.
    private let demand: [SharedWord]
    /// Units that the server had left when it last answered.
    private let left: [SharedWord]
    /// Units of the last decision.
    private let typical: [SharedWord]
    /// Units that decisions took from slices, and as many when the server last answered.
    private let spent: [SharedWord]
    private let spentSeen: [SharedWord]
    /// From when on another slice may be asked for; whoever moves it asks.
    private let nextAskAt: SharedWord
    let identity: SharedWord
    /// Another one has taken its place: its slices end, and none begins.
    private let retired: SharedWord
    private let words: OwnWords
    let state: ForkableLock<State>

    struct State: Sendable {
        var demand: SliceDemand
        /// Units of slices that are asked for and not yet there.
        var asked: [Int64]
        var roundTripNanoseconds: Int64 = 0
        /// The number of the scope's life, as in places.
        var life: UInt64 = 0
        var backs: [SliceBack] = []
        /// Units to be booked beyond charges.
        var more: [Int64]
        /// Somebody comes to send them.
        var isFlushDue = false
    }

    init(_ plan: RedisPlan, lifetimeNanoseconds: Int64) {
        let count = plan.limits.count
        self.plan = plan
        self.lifetimeNanoseconds = lifetimeNanoseconds
        slots = SliceSlots(limitCount: count)
        let words = OwnWords(count: 3 + 5 * count)
        self.words = words
        nextAskAt = words[0]
        identity = words[1]
        retired = words[2]
        demand = (0..<count).map { words[3 + $0] }
        left = (0..<count).map { words[3 + count + $0] }
        typical = (0..<count).map { words[3 + 2 * count + $0] }
        spent = (0..<count).map { words[3 + 3 * count + $0] }
        spentSeen = (0..<count).map { words[3 + 4 * count + $0] }
        identity.store(ProcessIdentity.current())
        state = ForkableLock(
            State(
                demand: SliceDemand(count: count),
                asked: [Int64](repeating: 0, count: count),
                more: [Int64](repeating: 0, count: count)),
            rank: .redisHolding)
    }

    var isRetired: Bool { retired.load() != 0 }

    func retire() { retired.store(1) }

    // MARK: Spending

    /// Units taken from one slice.
    struct Taken {
        let slot: Int
        let state: UInt64
        let facts: SliceSlots.Facts
    }

    /// Takes a cost from the oldest slice that has all of it; nil: none has.
    ///
    /// - Parameters:
    ///   - steps: for each limit the index of its amount.
    ///   - verdicts: what is left is noted, by step.
    ///   - places: where the units were charged is noted, by step.
    func take(
        _ amounts: [Int64], _ steps: [Int], now: Int64, _ verdicts: inout [Verdict],
        _ places: inout [UInt64]
    ) -> Taken? {
        if _slowPath(identity.loadRelaxed() != ProcessIdentity.current()) { forgetParents() }
        var tried = 0
        for _ in 0..<SliceSlots.count {
            guard let slot = oldest(now: now, tried: &tried) else { return nil }
            let state = slots.state(slot)
            guard state != 0, now < slots.end(slot) else { continue }
            let facts = slots.facts(slot)
            var taken = 0
            while taken < steps.count {
                let step = steps[taken]
                let amount = amounts[step]
                let rest = slots.take(amount, slot, state: state, limit: taken)
                guard rest >= 0 else { break }
                places[step] = slots.place(slot, limit: taken)
                verdicts[step].remaining = rest &+ amount &+ known(taken)
                taken &+= 1
            }
            if _fastPath(taken == steps.count) {
                return Taken(slot: slot, state: state, facts: facts)
            }
            putBack(amounts, steps, slot, state: state, upTo: taken)
        }
        return nil
    }

    /// The open slice that ends first among those that were not tried.
    @inline(__always)
    private func oldest(now: Int64, tried: inout Int) -> Int? {
        var best = -1
        var bestEnd = Int64.max
        for slot in 0..<SliceSlots.count where tried & 1 << slot == 0 {
            guard slots.state(slot) != 0 else { continue }
            let end = slots.end(slot)
            if end > now && end < bestEnd { (best, bestEnd) = (slot, end) }
        }
        guard best >= 0 else { return nil }
        tried |= 1 << best
        return best
    }

    private func putBack(
        _ amounts: [Int64], _ steps: [Int], _ slot: Int, state: UInt64, upTo count: Int
    ) {
        for limit in 0..<count {
            slots.putBack(amounts[steps[limit]], slot, state: state, limit: limit)
        }
    }

    func putBack(_ taken: Taken, _ amounts: [Int64], _ steps: [Int]) {
        putBack(amounts, steps, taken.slot, state: taken.state, upTo: steps.count)
    }

    /// Whether the process has to ask for another slice, behind a decision that took from this one.
    @inline(__always)
    func needsMore(_ taken: Taken, now: Int64) -> Bool {
        if now >= Int64(bitPattern: nextAskAt.loadRelaxed()) { return claimAsk(now: now) }
        for limit in 0..<slots.limitCount
        where slots.left(taken.slot, limit: limit) < slots.initial(taken.slot, limit: limit) / 2 {
            return slots.claimRefill(taken.slot, state: taken.state)
        }
        return false
    }

    /// Takes it over to ask, where that is due.
    func claimAsk(now: Int64) -> Bool {
        let seen = nextAskAt.loadRelaxed()
        guard now >= Int64(bitPattern: seen) else { return false }
        let gap = max(1, lifetimeNanoseconds / 16)
        return nextAskAt.swap(seen, UInt64(bitPattern: now.addingSaturated(gap)))
    }

    /// Nobody asks before that.
    func postponeAsk(until instant: Int64) {
        nextAskAt.storeRelaxed(UInt64(bitPattern: instant))
    }

    @inline(__always)
    private func known(_ limit: Int) -> Int64 { Int64(bitPattern: left[limit].loadRelaxed()) }

    // MARK: Learning

    /// Notes an admission's units.
    @inline(__always)
    func noteDemand(_ amounts: [Int64], _ steps: [Int]) {
        for (limit, step) in steps.enumerated() {
            let amount = UInt64(bitPattern: amounts[step])
            demand[limit].increment(by: amount)
            if typical[limit].loadRelaxed() != amount { typical[limit].storeRelaxed(amount) }
        }
    }

    /// The same of a decision from a slice.
    @inline(__always)
    func noteSpent(_ amounts: [Int64], _ steps: [Int]) {
        noteDemand(amounts, steps)
        for (limit, step) in steps.enumerated() {
            spent[limit].increment(by: UInt64(bitPattern: amounts[step]))
        }
    }

    /// Units that decisions took from slices since the server last answered.
    func spentUnseen(_ limit: Int) -> Int64 {
        Int64(clamping: spent[limit].loadRelaxed() &- spentSeen[limit].loadRelaxed())
    }

    /// Nobody spends what is in hand, and nobody gives it back.
    func dropSlices() {
        state.withLock { _ in
            for slot in 0..<SliceSlots.count where slots.state(slot) != 0 { _ = slots.shut(slot) }
        }
    }

    /// Notes what an answer of the server's says is left.
    func noteLeft(_ units: Int64, limit: Int) {
        spentSeen[limit].storeRelaxed(spent[limit].loadRelaxed())
        left[limit].storeRelaxed(UInt64(bitPattern: max(0, units)))
    }

    /// How much to ask for now; nil: nothing.
    func wants(now: Int64) -> [Int64]? {
        let count = slots.limitCount
        let usual = typical.map { Int64(bitPattern: $0.loadRelaxed()) }
        return state.withLock { state in
            let perLife = state.demand.perLife(
                demand.map { $0.loadRelaxed() }, now: now, lifetime: lifetimeNanoseconds)
            let open = (0..<SliceSlots.count).filter { slots.state($0) != 0 && slots.end($0) > now }
                .sorted { slots.end($0) < slots.end($1) }
            let inHand = (0..<count).map { limit in
                let spendable = SliceDemand.spendable(
                    open.map { (slots.left($0, limit: limit), slots.end($0) - now) },
                    perLife: perLife[limit], lifetime: lifetimeNanoseconds)
                return state.asked[limit].addingSaturated(spendable)
            }
            let wanted = SliceDemand.slice(
                perLife: perLife, usual: usual, inHand: inHand, left: (0..<count).map(known))
            if let wanted { for limit in 0..<count { state.asked[limit] += wanted[limit] } }
            return wanted
        }
    }

    /// What was asked for is there, or will not be.
    func noteAnswer(_ amounts: [Int64], roundTripNanoseconds: Int64, now: Int64) {
        let next = state.withLock { state -> Int64 in
            for limit in amounts.indices { state.asked[limit] -= amounts[limit] }
            state.roundTripNanoseconds = roundTripNanoseconds
            return pace(state)
        }
        postponeAsk(until: now.addingSaturated(next))
    }

    /// How long behind an ask the next one is due: early enough that its answer comes before what is
    /// in hand has ended, should the server become slow meanwhile.
    private func pace(_ state: State) -> Int64 {
        let life = lifetimeNanoseconds
        return max(life / 8, min(life / 4, life - state.roundTripNanoseconds * 3 / 2))
    }

    var paceNanoseconds: Int64 { state.withLock { pace($0) } }

    // MARK: Ending

    /// Begins a slice; false where it cannot be kept.
    func open(_ facts: SliceSlots.Facts, _ amounts: [Int64], _ places: [UInt64]) -> Bool {
        state.withLock { state in
            let life = places.map { $0 >> 56 }.max() ?? 0
            if state.life != life {
                // Counters that are gone: what was taken of them is gone too.
                for slot in 0..<SliceSlots.count where slots.state(slot) != 0 {
                    _ = slots.shut(slot)
                }
                state.life = life
            }
            return slots.open(facts, amounts: amounts, places: places)
        }
    }

    /// Notes the life that another answer tells of.
    func noteLife(_ life: UInt64) {
        state.withLock { state in
            guard state.life != life, life != 0 else { return }
            for slot in 0..<SliceSlots.count where slots.state(slot) != 0 { _ = slots.shut(slot) }
            state.life = life
        }
    }

    /// Ends the slices whose time is over, or all; what is left of them waits to be given back.
    func endSlices(now: Int64) {
        state.withLock { state in
            for slot in 0..<SliceSlots.count
            where slots.state(slot) != 0 && slots.end(slot) <= now {
                let places = (0..<slots.limitCount).map { slots.place(slot, limit: $0) }
                for (limit, units) in slots.shut(slot).enumerated() {
                    note(units, limit: limit, place: places[limit], &state)
                }
            }
        }
    }

    /// Notes units that were never spent.
    private func note(_ units: Int64, limit: Int, place: UInt64, _ state: inout State) {
        // A bucket has refilled meanwhile: what it would take back it has not lost, and giving back
        // what flowed over would let more than the rate pass.
        guard units > 0, plan.limits[limit].kind != .bucket else { return }
        state.backs.append(SliceBack(limit: limit, units: units, place: place))
    }

    /// Units that no decision had, and no slice took: of a slice that came too late.
    func giveBack(_ amounts: [Int64], _ places: [UInt64]) {
        state.withLock { state in
            for limit in amounts.indices {
                note(amounts[limit], limit: limit, place: places[limit], &state)
            }
        }
    }

    private func forgetParents() {
        state.withLock { state in
            guard identity.loadRelaxed() != ProcessIdentity.current() else { return }
            for slot in 0..<SliceSlots.count { _ = slots.shut(slot) }
            state.backs = []
            for limit in state.more.indices { (state.more[limit], state.asked[limit]) = (0, 0) }
            state.isFlushDue = false
            nextAskAt.store(0)
            identity.store(ProcessIdentity.current())
        }
    }
}

/// Units to be given back.
struct SliceBack: Sendable {
    let limit: Int
    var units: Int64
    let place: UInt64
}

/// Words of memory that live as long as this.
final class OwnWords: @unchecked Sendable {
    // Unchecked: an address; all words behind it are atomic.
    private let memory: UnsafeMutableRawPointer

    init(count: Int) {
        memory = .allocate(byteCount: 8 * count, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 8 * count)
    }

    deinit { memory.deallocate() }

    subscript(index: Int) -> SharedWord { SharedWord(memory, at: 8 * index) }
}
