import Admission
import Synchronization

/// What a process holds of one scope's limits for an outage: units that the server has charged, which
/// are spent while it is away (`outage_share`).
///
/// Held anew with each beat, so that they stand in the newest part of a window: they may be spent until
/// one window after that. Concurrency has none. Not a forked child's: the parent holds them.
final class RedisReserve: Sendable {
    /// The scope alone.
    let plan: RedisPlan
    /// Units of each limit, in the order of the wire.
    let amounts: [Int64]
    private let state: ForkableLock<State>
    /// Nobody has asked for it yet: the next decision does, while there is room.
    private let awaited = Atomic<Bool>(true)

    /// One limit's units.
    struct Held: Sendable {
        var place: UInt64
        /// No later than they were charged, steady ns.
        var steady: Int64
        /// Until when they may be spent, steady ns.
        var until: Int64
        /// Whether the place is known: a reply that was lost may have moved them, so that nothing may
        /// be given back there.
        var isCertain = true
    }

    private struct State: Sendable {
        var identity: UInt64
        var held: [Held?]
    }

    init(_ plan: RedisPlan, share: (numerator: Int64, denominator: Int64)) {
        self.plan = plan
        amounts = plan.limits.map { limit in
            limit.kind == .concurrency
                ? 0 : limit.limit.kind.capacity.scaled(by: share.numerator, over: share.denominator)
        }
        state = ForkableLock(
            State(
                identity: ProcessIdentity.current(),
                held: [Held?](repeating: nil, count: amounts.count)), rank: .redisHolding)
    }

    var held: [Held?] {
        state.withLock { state in
            if state.identity != ProcessIdentity.current() {
                state.identity = ProcessIdentity.current()
                state.held = [Held?](repeating: nil, count: amounts.count)
            }
            return state.held
        }
    }

    func note(_ held: Held?, limit: Int) {
        state.withLock { $0.held[limit] = held }
        if held == nil { awaited.store(true, ordering: .relaxed) }
    }

    /// Takes it over to ask, once.
    func claimFirst() -> Bool {
        awaited.load(ordering: .relaxed) && awaited.exchange(false, ordering: .relaxed)
    }

    /// How long after they were charged units may be spent, ns; nil: to the end of their window.
    func goodFor(_ limit: Int) -> Int64? {
        switch plan.sources[limit].limit.kind {
        case .rollingWindow(_, let window, _): return window
        case .tokenBucket(let units, let period, let burst):
            return burst.multipliedSaturated(period / max(1, units) + 1)
        case .calendarWindow: return nil
        case .concurrency: return 0
        }
    }

    /// How old they are when they are held anew.
    func interval(_ limit: Int) -> Int64 { min(1_000_000_000, (goodFor(limit) ?? .max) / 4) }
}

/// The reserves of a process, by scope. Gates keep them: those of gates that are gone run out.
struct RedisReserves: Sendable {
    private struct Entry: Sendable {
        weak var reserve: RedisReserve?
        var layout: Int64
    }

    private var entries: [[UInt8]: Entry] = [:]

    func find(_ prefix: [UInt8], layout: Int64) -> RedisReserve? {
        guard let entry = entries[prefix], entry.layout == layout else { return nil }
        return entry.reserve
    }

    /// - Returns: the one that is there already, if somebody was first.
    mutating func keep(_ made: RedisReserve, _ prefix: [UInt8], layout: Int64) -> RedisReserve {
        if let known = find(prefix, layout: layout) { return known }
        entries[prefix] = Entry(reserve: made, layout: layout)
        return made
    }

    /// Those that gates have.
    func alive() -> [RedisReserve] { entries.values.compactMap(\.reserve) }

    mutating func forgetOthers() { entries = entries.filter { $0.value.reserve != nil } }
}

/// Holding units for an outage.
extension RedisStore {
    /// Takes what is missing, and holds anew what has become old. With each beat.
    func keepReserves() {
        guard holdsReserves, !isOutageOpen else { return }
        let alive = reserves.withLock { $0.alive() }
        // While all are kept here: none ends inside of the lock.
        reserves.withLock { $0.forgetOthers() }
        for reserve in alive {
            guard renew(reserve) else { return }
        }
    }

    /// Takes what nobody has asked for yet, in front of the first decision: later there may be no room.
    func takeReserves(of plan: RedisPlan) {
        for reserve in plan.reserves where reserve.claimFirst() { _ = renew(reserve) }
    }

    /// - Returns: false where the server did not answer.
    private func renew(_ reserve: RedisReserve) -> Bool {
        let moment = outageMoment()
        var missing = [Int64](repeating: 0, count: reserve.amounts.count)
        var entries: [RemoteEntry] = []
        for (limit, held) in reserve.held.enumerated() where reserve.amounts[limit] > 0 {
            guard let held, moment.steady < held.until else {
                missing[limit] = reserve.amounts[limit]
                continue
            }
            guard held.isCertain, reserve.goodFor(limit) != nil,
                moment.steady - held.steady >= reserve.interval(limit)
            else { continue }
            // One call, so that nobody takes them in between, and the limit is not exceeded.
            entries.append(
                RemoteEntry(limit: limit, amount: -reserve.amounts[limit], place: held.place))
            entries.append(RemoteEntry(limit: limit, amount: reserve.amounts[limit], place: 0))
        }
        if !entries.isEmpty, !renew(reserve, entries, moment.steady) { return false }
        return missing.allSatisfy { $0 == 0 } || take(missing, reserve)
    }

    private func renew(
        _ reserve: RedisReserve, _ entries: [RemoteEntry], _ steady: Int64
    ) -> Bool {
        let settlement = RemoteSettlement(entries: entries, lease: 0, freesLeases: false)
        let settled = settleDirectly(reserve.plan, settlement, until: deadline)
        let held = reserve.held
        for (index, entry) in entries.enumerated() where entry.amount > 0 {
            guard var units = held[entry.limit] else { continue }
            if case .settled(let places, _) = settled {
                // The known time is never ahead of the server's.
                let until = steady.addingSaturated(reserve.goodFor(entry.limit) ?? 0)
                units = RedisReserve.Held(place: places[index], steady: steady, until: until)
            } else {
                units.isCertain = false
            }
            reserve.note(units, limit: entry.limit)
        }
        if case .unknown = settled { return false }
        return true
    }

    private func take(_ amounts: [Int64], _ reserve: RedisReserve) -> Bool {
        let answer: RedisAnswer?
        do throws(Fault) {
            answer = try ask(
                reserve.plan, amounts, member: RedisLeases.member(0), until: deadline)
        } catch {
            return false
        }
        // Refused: there is not as much left; the next beat tries again.
        guard let answer, answer.outcome == .admitted else { return true }
        let fields = fields(answer, reserve.plan)
        let places = places(answer, reserve.plan, fields)
        let steady = answer.steadyNanoseconds
        for limit in amounts.indices where amounts[limit] > 0 {
            let good =
                reserve.goodFor(limit)
                ?? RedisWords.nanoseconds(fields[limit][1]) - answer.wallNanoseconds
            let held = RedisReserve.Held(
                place: places[limit], steady: steady, until: steady.addingSaturated(good))
            reserve.note(held, limit: limit)
        }
        return true
    }

    /// What goes to the server at the end of an outage for units that were spent of a reserve: all of
    /// it goes back where it stands, and what was spent is booked now. Units whose place is not known
    /// stay where they are.
    func entries(_ spent: [RemoteEntry], _ plan: RedisPlan) -> [RemoteEntry] {
        spent.flatMap { entry -> [RemoteEntry] in
            let (scope, limit) = plan.positions[entry.limit]
            guard let reserve = plan.reserves.isEmpty ? nil : plan.reserves[scope] else {
                return [entry]
            }
            guard let held = reserve.held[limit] else { return [entry] }
            reserve.note(nil, limit: limit)
            guard held.isCertain else {
                return entry.amount > reserve.amounts[limit]
                    ? [
                        RemoteEntry(
                            limit: entry.limit, amount: entry.amount - reserve.amounts[limit],
                            place: 0)
                    ] : []
            }
            let back = RemoteEntry(
                limit: entry.limit, amount: -reserve.amounts[limit], place: held.place)
            return [back, entry]
        }
    }
}
