import Testing

@testable import Admission

/// A decision that is held up between its look at the version and its swap, while documents are
/// loaded: twice, after which words have the parity of its parameters again.
@Suite struct HeldUpDecisionTests {
    private typealias F = SharedFile

    /// A gate whose plan was made under the first of three documents.
    private struct Bench {
        let limiter: Limiter
        let gate: Gate
        private let limits: [String]

        init(_ limits: String..., clock: LimiterClock = .system) throws {
            self.limits = limits
            limiter = try Limiter(
                policy: F.document(limits[0]),
                options: Limiter.Options(clock: clock, heartbeat: .manual))
            gate = try limiter.gate([])
            // Notes that the limits were met, and who owns leases.
            let (status, record) = gate.ask(takesPermit: true)
            #expect(status == 0 && record.outcome == 1)
            // Its slot is free again, which the short way begins with.
            _ = limiter.completePermit(record.permit, .asCharged)
        }

        var plan: ChargePlanReference { gate.storage.first }
        var version: SharedWord { plan.hot.loadVersion }

        func load() throws {
            for limits in limits.dropFirst() { try limiter.reload(F.document(limits)) }
        }

        /// What a decision gets that comes this far on the plan; nil: it is told to resolve anew.
        func decide(takesPermit: Bool) -> Bool? {
            let cost = CostAmounts(withoutExtra: Cost())
            let attempt = takesPermit ? plan.acquire(cost) : plan.charge(cost)
            return attempt.status == Attempt.staleStatus ? nil : attempt.isAdmitted
        }

        /// The short way looks elsewhere while the clock's anchor is due: it is asked until it does
        /// not, where it is to say yes.
        func prepareSingle() -> SingleCharge? {
            for _ in 0..<10_000_000 {
                _ = StoreClock().now()
                if let charge = plan.prepareSingle(1, version: version) { return charge }
            }
            return nil
        }
    }

    private static let paces = [F.pace("1/1h", 10), F.pace("1/1h", 3), F.pace("1/1h", 2)]

    @Test("a bucket's word of the same parity is not taken for one of the plan's parameters")
    func single() throws {
        let bench = try Bench(Self.paces[0], Self.paces[1], Self.paces[2])
        #expect(bench.plan.head.pointee.isSingleBucket)
        let charge = try #require(bench.prepareSingle())
        try bench.load()
        let state = bench.plan.step(0).state
        #expect(state.load() & 1 == bench.plan.head.pointee.parity, "two loads: its parity again")
        let before = state.load()
        let isPrepared = (0..<1_000).contains { _ in
            _ = StoreClock().now()
            return bench.plan.prepareSingle(1, version: bench.version) != nil
        }
        #expect(!isPrepared)
        // Prepared before, and swapped now: the word has moved, and is looked at again.
        let lead = bench.plan.commit(
            charge, 1, version: bench.version, retries: bench.limiter.core.store.segment.retries)
        #expect(lead == SingleCharge.refused)
        #expect(state.load() == before)
    }

    @Test(
        "the general way resolves anew, of every kind of limit, before it admits or refuses",
        arguments: [
            paces, [F.rpm(5), F.rpm(3), F.rpm(2)], [F.day(5), F.day(3), F.day(2)],
            [F.slots(5), F.slots(3), F.slots(2)],
        ])
    func general(_ documents: [String]) throws {
        let bench = try Bench(
            documents[0], documents[1], documents[2],
            clock: .manual(startUnixNanoseconds: F.start))
        let takesPermit = documents[0] == F.slots(5)
        #expect(bench.decide(takesPermit: takesPermit) == true)
        try bench.load()
        let left = try bench.limiter.left()
        #expect(bench.decide(takesPermit: takesPermit) == nil)
        // Each by itself, as where a swap met another writer.
        var charge = StepCharge()
        let clock = bench.plan.hot.pointee.clock
        var moment = ChargeMoment(
            now: clock.now(), wallOffset: clock.wallOffset(),
            owner: bench.plan.hot.pointee.owner.load())
        let outcome = withUnsafeMutablePointer(to: &charge) {
            bench.plan.step(0).take(1, &moment, $0)
        }
        #expect(outcome == .stale)
        #expect(try bench.limiter.left() == left)
    }

    @Test("a refusal of limits that are not in force any more is none")
    func refusal() throws {
        let bench = try Bench(F.rpm(1), F.rpm(5), clock: .manual(startUnixNanoseconds: F.start))
        #expect(bench.decide(takesPermit: false) == false)
        try bench.load()
        #expect(bench.decide(takesPermit: false) == nil)
        #expect(bench.gate.ask().record.outcome == 1)
    }

    @Test("the short way over a few limits does not swap what it read before the loads")
    func few() throws {
        let bench = try Bench(
            F.slots(5) + ", " + F.rpm(9) + ", " + F.day(9),
            F.slots(3) + ", " + F.rpm(3) + ", " + F.day(3))
        #expect(bench.plan.head.pointee.isOfFewLimits)
        func prepare() -> UInt64 {
            withUnsafeTemporaryAllocation(
                byteCount: ChargePlanReference.Room.bytes, alignment: 8
            ) { memory in
                var charges = [StepCharge](repeating: StepCharge(), count: 4)
                let room = ChargePlanReference.Room(memory.baseAddress.unsafelyUnwrapped)
                room.write(1, 0, 0)
                let clock = bench.plan.hot.pointee.clock
                let now = clock.now()
                return bench.plan.prepareAtOnce(
                    now: now, wall: now + clock.wallOffset(),
                    owner: bench.plan.hot.pointee.owner.load(), version: bench.version, room,
                    &charges)
            }
        }
        // A cell or a window may begin just then, which the short way leaves to the general one.
        #expect(
            (0..<3).contains { _ in
                if prepare() != ChargePlanReference.notAtOnce { return true }
                let permit = bench.gate.ask(takesPermit: true).record.permit
                _ = bench.limiter.completePermit(permit, .asCharged)
                return false
            })
        try bench.load()
        #expect(prepare() == ChargePlanReference.notAtOnce)
    }
}
