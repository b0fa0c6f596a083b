import Glibc

@testable import Admission

/// One process's limiter and gates.
struct Member {
    let limiter: Limiter
    let call: Gate
    let pace: Gate
    let few: Gate
    let single: Gate

    init(_ world: World, _ document: Document? = nil) throws {
        let limiter = try world.open(document)
        func gate(_ kind: String) throws -> Gate {
            try limiter.gate(["kind": kind, "project": "old"])
        }
        self.limiter = limiter
        call = try gate("call")
        pace = try gate("pace")
        few = try gate("few")
        single = try gate("single")
    }

    /// One call of so many tokens.
    func acquire(
        _ gate: KeyPath<Member, Gate> = \.call, requests: Int64 = 1, tokens: Int64
    ) throws -> Permit {
        let cost = Cost(requests: requests, inputTokens: tokens)
        switch try self[keyPath: gate].tryAcquire(cost) {
        case .admitted(let permit): return permit
        case .rejected(let rejection): throw Fault("rejected: \(rejection)")
        }
    }

    func charge(
        _ gate: KeyPath<Member, Gate> = \.pace, requests: Int64 = 1, tokens: Int64
    ) throws {
        let cost = Cost(requests: requests, inputTokens: tokens)
        switch try self[keyPath: gate].tryCharge(cost) {
        case .admitted: return
        case .rejected(let rejection): throw Fault("rejected: \(rejection)")
        }
    }

    /// Slots alone, of a gate with concurrency; they are held until the process ends.
    func holdSlots(_ count: Int, _ gate: KeyPath<Member, Gate> = \.call) throws {
        for _ in 0..<count { World.finish(try acquire(gate, requests: 0, tokens: 0)) }
    }

    /// Use by limit, those of concurrency left out.
    func use() throws -> [String: Int64] {
        var use: [String: Int64] = [:]
        for gate in [call, pace, few, single] {
            for limit in try gate.explain().limits where limit.kind != "concurrency" {
                use[limit.limit] = limit.used
                guard limit.used <= limit.capacity else {
                    throw Fault("\(limit.limit): \(limit.used) of \(limit.capacity) used")
                }
            }
        }
        return use
    }
}

/// The short ways, asked for by themselves: what `tryAcquire`, `tryCharge` and a permit's end try
/// first. They do nothing but what they do at once, so a process that dies in one dies there.
extension Member {
    /// Why the short ways are closed on this machine; nil: they are open.
    static var closedWays: String? {
        CounterClock.start()
        let (source, reason) = CounterClock.shared.describe()
        return source == "clock_gettime" ? reason : nil
    }

    /// Opens the short ways of the gates: the first decisions of a process take the general one, as
    /// does whoever finds that the clock is due to be looked at.
    func openShortWays() throws {
        try acquire(\.few, tokens: 5).abandon()
        try acquire(\.single, tokens: 0).abandon()
        while CounterClock.shared.nanosecondsByAnchor() == nil {
            _ = CounterClock.shared.nanoseconds()
        }
    }

    func acquireAtOnce(_ gate: KeyPath<Member, Gate>, tokens: Int64) throws -> Permit {
        guard let permit = tryAtOnce(gate, tokens: tokens) else { throw NotAtOnce() }
        return permit
    }

    /// Nil: nothing was charged.
    func tryAtOnce(_ gate: KeyPath<Member, Gate>, tokens: Int64) -> Permit? {
        let plan = self[keyPath: gate].first
        let granted = plan.acquireAtOnce(1, tokens, 0)
        guard granted.permit != 0 else { return nil }
        return Permit(granted, of: plan, Cost(inputTokens: tokens))
    }

    func chargeAtOnce() throws {
        guard single.chargeAtOnce(1, 0, 0).limit != nil else { throw NotAtOnce() }
    }

    func endAtOnce(_ permit: consuming Permit) throws {
        guard AtOnce.end(AtOnce.address(of: limiter), permit: permit.id) else { throw NotAtOnce() }
        World.finish(permit)
    }

    /// Decisions that gave back what they had taken, of all processes.
    var rollbacks: UInt64 { limiter.core.store.segment.rollbacks.load() }

    /// Entries of owners that were found dead while they still are swept.
    var ownersBeingSwept: Int {
        limiter.core.store.segment.owners().filter { $0.state == .dead }.count
    }

    /// Has each refused claim of this process look for dead owners, however often.
    func looksAtEachClaim() { limiter.core.store.segment.watch.looksAtEachClaim() }

    /// When the process' own leases end, in steady nanoseconds.
    func leaseEnds() -> [Int64] {
        let segment = limiter.core.store.segment
        let owner = LeaseOwner(word: limiter.core.hot.pointee.owner.load()).number
        var ends: [Int64] = []
        segment.forEachKey { key, definition in
            guard definition.kind == .concurrency else { return }
            LeaseArray(segment, at: key.offset).forEachHeld(
                now: limiter.core.store.clock.now(), leaseNanoseconds: 0
            ) { held in
                if held.owner == owner { ends.append(held.endsAt) }
            }
        }
        return ends
    }
}

/// A short way was closed: the clock was due, say. Nothing was done; the test is to be repeated.
struct NotAtOnce: Error {}
