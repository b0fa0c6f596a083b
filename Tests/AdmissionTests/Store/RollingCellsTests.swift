import Testing

@testable import Admission

/// The turn of a rolling key's cells, finished by whoever comes next.
@Suite struct RollingCellsTests {
    /// One key of 10 units a minute, and its words.
    private struct Key {
        let limiter: Limiter
        let gate: Gate
        let cells: RollingCells
        let window: RollingWindow
        let segment: Segment

        init() throws {
            limiter = try Limiter(
                policyJSON: """
                    {"admission": 1, "policies": [{"name": "p", "limits": [
                      {"name": "a", "count": "requests", "limit": 10, "window": "1m"}]}]}
                    """,
                options: Limiter.Options(
                    store: "memory:", clock: .manual(startUnixNanoseconds: 0)))
            gate = try limiter.gate([])
            let step = gate.storage.first.step(0)
            cells = RollingCells(record: step.pointee.record)
            window = step.rolling.pointee
            segment = step.pointee.notes.takeUnretainedValue().definition.segment
            try limiter.advance(nanoseconds: 600_000_000_000)
        }

        var now: Int64 { limiter.snapshot().steady.nanoseconds }
        var epoch: UInt64 { window.epoch(at: now) }
        var current: SharedWord { cells.cell(window.slot(ofEpoch: cells.stamp.load())) }
        func used() throws -> Int64 { try gate.explain().limits[0].used }

        func charge(_ count: Int) {
            for _ in 0..<count { #expect(gate.ask().record.outcome == 1) }
        }
    }

    @Test("a turner that died behind the seal loses nothing and holds up nobody")
    func sealed() throws {
        let key = try Key()
        key.charge(4)
        key.current.store(RollingWindow.sealing(cell: key.current.load()))
        #expect(try key.used() == 4)
        // Its clock had reached the next cell: so does whoever finds the seal.
        let record = key.gate.ask().record
        #expect(record.outcome == 1)
        #expect(record.decidedAtNanoseconds == 601_000_000_000)
        #expect(try key.used() == 5)
        #expect(key.limiter.snapshot().turnsHelped > 0)
        key.charge(5)
        #expect(key.gate.ask().record.outcome == 2)
    }

    @Test("a turner that died with the stamp raised and base not moved is finished for")
    func stamped() throws {
        let key = try Key()
        key.charge(4)
        try key.limiter.advance(nanoseconds: 1_000_000_000)
        let epoch = key.epoch
        key.current.store(RollingWindow.sealing(cell: key.current.load()))
        key.cells.cell(key.window.slot(ofEpoch: epoch)).store(
            RollingWindow.cell(epoch: epoch, count: 0, isSealed: false))
        key.cells.stamp.raise(epoch)
        #expect(try key.used() == 4)
        key.charge(6)
        #expect(try key.used() == 10)
        #expect(key.gate.ask().record.outcome == 2)
    }

    @Test("a cell that was prepared and not published counts nothing and is taken over")
    func prepared() throws {
        let key = try Key()
        key.charge(4)
        try key.limiter.advance(nanoseconds: 1_000_000_000)
        key.current.store(RollingWindow.sealing(cell: key.current.load()))
        key.cells.cell(key.window.slot(ofEpoch: key.epoch)).store(
            RollingWindow.cell(epoch: key.epoch, count: 0, isSealed: false))
        key.charge(6)
        #expect(key.gate.ask().record.outcome == 2)
    }

    @Test("a refund into a sealed cell that base does not hold yet finishes the turn first")
    func refundInTurn() throws {
        let key = try Key()
        key.charge(3)
        let (_, record) = key.gate.ask(takesPermit: true)
        key.current.store(RollingWindow.sealing(cell: key.current.load()))
        #expect(key.limiter.abandonPermit(record.permit) == 0)
        #expect(try key.used() == 3)
        key.charge(7)
        #expect(key.gate.ask().record.outcome == 2)
    }

    @Test("a refund behind turns is taken from base, too, and one that has passed is dropped")
    func refundLater() throws {
        let key = try Key()
        let permits = (0..<10).map { _ in key.gate.ask(takesPermit: true).record.permit }
        try key.limiter.advance(nanoseconds: 30_000_000_000)
        #expect(key.gate.ask().record.outcome == 2)
        #expect(key.limiter.abandonPermit(permits[0]) == 0)
        key.charge(1)
        #expect(key.gate.ask().record.outcome == 2)
        try key.limiter.advance(nanoseconds: 31_000_000_000)
        #expect(try key.used() == 1)
        #expect(key.limiter.abandonPermit(permits[1]) == 0)
        #expect(try key.used() == 1)
    }

    @Test(
        "a key that lay idle for as long as epochs take to come round begins empty",
        arguments: [61, 62, 1 << 22, (1 << 22) + 1, (1 << 22) - 60, 3 << 22] as [Int64])
    func alias(_ cells: Int64) throws {
        let key = try Key()
        key.charge(10)
        try key.limiter.advance(nanoseconds: cells * 1_000_000_000)
        #expect(try key.used() == 0)
        key.charge(10)
        #expect(key.gate.ask().record.outcome == 2)
    }

    @Test("usage far above the limit never carries into the seal, and debt passes with its cell")
    func saturation() throws {
        let key = try Key()
        let (_, record) = key.gate.ask(takesPermit: true)
        let usage = Usage(requests: .max)
        #expect(usage.withAmounts { key.limiter.completePermit(record.permit, $0) } == 0)
        #expect(try key.used() >= 1 << 40)
        #expect(key.gate.ask(requests: 0).record.reason == 4)
        try key.limiter.advance(nanoseconds: 60_000_000_000)
        #expect(key.gate.ask().record.outcome == 2)
        try key.limiter.advance(nanoseconds: 1_000_000_000)
        key.charge(10)
    }

    @Test("an idle key is reclaimed once, a used one is not, and its gate finds it anew")
    func reclaim() throws {
        let key = try Key()
        key.charge(10)
        #expect(key.limiter.reclaim() == 0)
        try key.limiter.advance(nanoseconds: 61_000_000_000)
        #expect(key.limiter.reclaim() == 1)
        #expect(key.limiter.reclaim() == 0)
        #expect(key.limiter.snapshot().keys == 0)
        key.charge(10)
        #expect(key.gate.ask().record.outcome == 2)
        #expect(key.limiter.snapshot().keys == 1)
    }
}
