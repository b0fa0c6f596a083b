import Testing

@testable import Admission

/// Faults that a reading of the segment found, each with the interleaving that showed it.
@Suite struct SegmentReviewTests {
    let segment: Segment

    init() throws { segment = try Segment(anonymousWithKeyCapacity: 1_024) }

    private func definition(_ kind: LimitKind) throws -> Definition {
        let limit = Limit(name: "l", count: .requests, kind: kind)
        return try segment.definition(
            identity: LimitKey.definition(policy: "p", limit: limit), kind: kind.code,
            parameters: Definition.Parameters(kind, loadedAt: 0))
    }

    private func key(_ definition: Definition, _ text: String, _ seed: KeySeed) throws
        -> KeyReference
    {
        try Array(text.utf8).withUnsafeBytes { bytes in
            try segment.findOrCreateKey(definition, text: bytes) { seed }
        }
    }

    @Test("a place that is used again never holds the link of its life before")
    func linksOfLives() throws {
        let bucket = try definition(
            .tokenBucket(units: 1, periodNanoseconds: 1_000_000_000, burst: 1))
        var links: Set<UInt64> = []
        var offsets: Set<Int> = []
        for _ in 0..<100 {
            let key = try key(bucket, "same", .bucket(0, stamp: 0))
            offsets.insert(key.offset)
            links.insert(segment.word(key.offset + KeyRecord.link).load())
            segment.word(key.offset + KeyRecord.state).store(TokenBucket.retired)
            segment.finishRetirement(key.offset, tag: key.tag)
        }
        #expect(offsets.count == 1, "the place is used again")
        #expect(links.count == 100, "a late marking of one life must fail in the next")
        #expect(segment.keyCount == 0)
    }

    @Test("a key removed before its maker has counted it leaves the count readable")
    func countBelowZero() {
        segment.word(Segment.Header.keyCount).decrement()
        #expect(segment.keyCount == 0)
    }

    @Test("every key is met by a walk, and a walk leaves untouched parts of the index alone")
    func walk() throws {
        let bucket = try definition(
            .tokenBucket(units: 1, periodNanoseconds: 1_000_000_000, burst: 1))
        for number in 0..<300 { _ = try key(bucket, "key \(number)", .bucket(0, stamp: 0)) }
        var met = 0
        segment.forEachKey { _, _ in met += 1 }
        #expect(met == 300)
    }

    private let window = RollingWindow(
        limit: 10, windowNanoseconds: 60_000_000_000, guardNanoseconds: 0)

    private func rollingKey(epoch: UInt64) throws -> RollingCells {
        let rolling = try definition(
            .rollingWindow(limit: 10, windowNanoseconds: 60_000_000_000, guardNanoseconds: 0))
        let key = try key(rolling, "k", .rolling(window, epoch: epoch))
        return RollingCells(record: segment.base + key.offset)
    }

    private func put(_ cells: RollingCells, _ epoch: UInt64, isSealed: Bool) {
        cells.cell(window.slot(ofEpoch: epoch))
            .store(RollingWindow.cell(epoch: epoch, count: 0, isSealed: isSealed))
    }

    @Test("a caller behind a turn that died never takes a cell it overwrote for empty")
    func deadTurn() throws {
        let cells = try rollingKey(epoch: 1_000)
        let first = cells.cell(window.slot(ofEpoch: 1_000))
        first.store(first.load() + 10)
        #expect(cells.turn(window, to: 1_059, in: segment) == 1_059)
        // A turn to 1061, for which cell 1000 has passed, dies before it raises the stamp.
        let current = cells.cell(window.slot(ofEpoch: 1_059))
        current.store(RollingWindow.sealing(cell: current.load()))
        put(cells, 1_060, isSealed: true)
        put(cells, 1_061, isSealed: false)
        // Cell 1000 still counts in 1060, so nobody may be let into it with an empty base.
        #expect(cells.turn(window, to: 1_060, in: segment) == 1_061)
        #expect(RollingWindow.sum(ofBase: cells.base.load()) == 0)
    }

    @Test("a reset of an idle key that died half-way is finished by whoever comes, ahead or behind")
    func deadReset() throws {
        for behind in [UInt64(1_001), 1_040, 1_060, 1_061, 5_000] {
            for written in 0...60 {
                let segment = try SegmentReviewTests()
                let cells = try segment.rollingKey(epoch: 1_000)
                let current = cells.cell(window.slot(ofEpoch: 1_000))
                current.store(RollingWindow.sealing(cell: current.load() + 3))
                for epoch in UInt64(4_940)..<4_940 + UInt64(written) {
                    put(cells, epoch, isSealed: true)
                }
                let inForce = try #require(
                    cells.turn(window, to: behind, in: segment.segment))
                #expect(inForce >= behind && inForce <= 5_000, "no later than that turn's clock")
                if inForce <= 1_060 {
                    #expect(RollingWindow.sum(ofBase: cells.base.load()) == 3)
                }
            }
        }
    }

    @Test("a recount that meets a newer cell finishes that turn instead of counting nothing")
    func recountUnderTurn() throws {
        let cells = try rollingKey(epoch: 1_000)
        let first = cells.cell(window.slot(ofEpoch: 1_000))
        first.store(first.load() + 4)
        #expect(cells.turn(window, to: 1_001, in: segment) == 1_001)
        let second = cells.cell(window.slot(ofEpoch: 1_001))
        second.store(second.load() + 6)
        #expect(cells.turn(window, to: 1_060, in: segment) == 1_060)
        #expect(RollingWindow.sum(ofBase: cells.base.load()) == 10)
        cells.base.store(RollingWindow.base(epoch: 1_060, sum: RollingWindow.largestSum))
        put(cells, 1_061, isSealed: false)
        cells.refund(window, epoch: 1_001, amount: 2, in: segment)
        // Cell 1000 was overwritten by a turn to 1061: it must not be missing from 1060's sum.
        #expect(cells.stamp.load() == 1_061)
        #expect(RollingWindow.sum(ofBase: cells.base.load()) == 4)
    }

    @Test("a slot that decisions are taking is no open permit yet")
    func takingIsNotOpen() throws {
        let table = try #require(PermitTable(capacity: 4))
        defer { table.unmap() }
        let slot = try #require(table.claim(shelf: 0))
        var open = 0
        table.forEachOpen { _, _ in open += 1 }
        #expect(open == 0 && table.counts().open == 1)
        slot.open()
        table.forEachOpen { _, _ in open += 1 }
        #expect(open == 1)
    }
}
