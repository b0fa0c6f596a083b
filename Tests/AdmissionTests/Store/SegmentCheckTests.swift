import Testing

@testable import Admission

/// A look at everything: silent on what writers leave, and it names what no writer leaves.
@Suite struct SegmentCheckTests {
    @Test("nothing is found after traffic, reloads, reclaiming and resets")
    func healthy() throws {
        let bench = try SegmentBench(capacity: 512)
        var numbers = SeededNumbers(seed: TestLength.seed)
        for round in 0..<60 {
            let errors = bench.operate(&numbers)
            #expect(errors.isEmpty, "\(errors.first?.description ?? "")")
            if round % 10 == 3 { try bench.reload() }
            if round % 20 == 7 { try bench.limiter.advance(nanoseconds: 90_000_000_000_000) }
            if round % 5 == 4 { _ = bench.limiter.reclaim() }
            if round % 30 == 15 { _ = bench.store.reset() }
            let report = bench.segment.check()
            #expect(report.isSound && report.notes.isEmpty, "\(report.json)")
            #expect(report.bytesLost == 0 && report.keys == bench.segment.keyCount)
        }
        #expect(bench.segment.check().freeRecords > 0)
    }

    /// A fault, and what its line must say.
    struct Planted: Sendable, CustomTestStringConvertible {
        let says: String
        let plant: @Sendable (SegmentBench) throws -> Void
        var testDescription: String { says }

        init(_ says: String, _ plant: @escaping @Sendable (SegmentBench) throws -> Void) {
            self.says = says
            self.plant = plant
        }
    }

    private static func change(
        _ kind: LimitKindCode, _ offset: Int, named name: String? = nil,
        _ change: @escaping @Sendable (UInt64) -> UInt64
    ) -> @Sendable (SegmentBench) throws -> Void {
        { bench in
            let (key, _) = try #require(bench.key(kind, named: name))
            let word = bench.segment.word(key.offset + offset)
            word.store(change(word.load()))
        }
    }

    private static func header(
        _ offset: Int, _ value: UInt64
    ) -> @Sendable (SegmentBench) throws -> Void {
        { $0.segment.word(offset).store(value) }
    }

    /// The index word that leads to a key.
    static func head(_ bench: SegmentBench, _ key: KeyReference) throws -> SharedWord {
        try #require(bench.segment.chain(of: key.offset, tag: key.tag))
    }

    static let planted: [Planted] = [
        Planted("header: magic", header(Segment.Header.magic, 1)),
        Planted("header: layout version 9", header(Segment.Header.layoutVersion, 9)),
        Planted("header: size 7", header(Segment.Header.size, 7)),
        Planted("header: key capacity 7", header(Segment.Header.keyCapacity, 7)),
        Planted("bytes handed out", header(Segment.Header.allocated, .max)),
        Planted("beyond what was handed out") { bench in
            bench.segment.word(Segment.Header.allocated).store(
                UInt64(bench.segment.arenaStart) + 4_096)
        },
        Planted("definitions: the list leads nowhere", header(Segment.Header.definitions, 3)),
        Planted("clock record", header(Segment.Header.clockRecord, 5)),
        Planted("identity, kind or hash") { bench in
            let (_, definition) = try #require(bench.key(.calendar))
            let word = bench.segment.word(definition.offset + Definition.identity)
            word.store(word.load() ^ 1)
        },
        Planted("doubled") { bench in
            let (key, definition) = try #require(bench.key(.calendar))
            // A copy of the whole record, in front of its chain.
            let text = try #require(bench.segment.textBytes(of: key.offset, definition: definition))
            let bytes = KeyRecord.textStart(kind: .calendar, ringCount: 0) + text.count
            let copy = try bench.segment.allocate(kind: .calendar, bytes: bytes)
            (bench.segment.base + copy).copyMemory(
                from: bench.segment.base + key.offset, byteCount: bytes)
            let head = try head(bench, key)
            bench.segment.word(copy + KeyRecord.link).store(head.load())
            head.store(KeyLink.to(copy, tag: key.tag))
        },
        Planted("leads nowhere", change(.bucket, KeyRecord.tag) { $0 ^ 1 << 32 }),
        Planted(": chain") { bench in
            // Moved into another chain.
            let (key, _) = try #require(bench.key(.bucket))
            let head = try head(bench, key)
            let words = (0...Int(bench.segment.indexMask)).map {
                bench.segment.word(Segment.Header.bytes + $0 * 8)
            }
            let other = try #require(
                words.first { $0.address != head.address && $0.load() == 0 })
            other.store(head.load())
            head.store(0)
        },
        Planted("in no chain") { bench in
            let (key, _) = try #require(bench.key(.calendar))
            try head(bench, key).store(0)
        },
        Planted("leads nowhere") { bench in
            let (key, _) = try #require(bench.key(.rolling))
            bench.segment.word(key.offset + KeyRecord.link)
                .store(KeyLink.to(key.offset, tag: key.tag))
        },
        Planted("definition", change(.bucket, KeyRecord.tag) { $0 & ~0xffff_ffff | 0x77 }),
        Planted(
            "text length", change(.bucket, KeyRecord.hashAndLength) { $0 | 0xffff_ffff }),
        Planted("hash", change(.bucket, KeyRecord.hashAndLength) { $0 ^ 1 << 40 }),
        Planted("stamp", change(.bucket, KeyRecord.stamp) { $0 | 1 << 63 }),
        Planted("calendar word", change(.calendar, KeyRecord.state) { $0 & ~1 | ((1 << 42) - 1) }),
        Planted("lease state", change(.concurrency, KeyRecord.state) { $0 & ~3 }),
        Planted("slot blocks", change(.concurrency, KeyRecord.firstBlock) { _ in 0 }),
        Planted("slot blocks", change(.concurrency, KeyRecord.firstBlock) { _ in .max }),
        Planted("rolling stamp", change(.rolling, KeyRecord.stamp) { _ in .max }),
        Planted("base counts less than its cells") { bench in
            let (key, definition) = try #require(bench.key(.rolling, named: "rolling"))
            let cells = RollingCells(record: bench.segment.base + key.offset)
            let window = try #require(definition.parameters()).current.rolling
            let cell = cells.cell(window.slot(ofEpoch: cells.stamp.load() - 3))
            cell.store(cell.load() + 100)
        },
        Planted("is open") { bench in
            let (key, definition) = try #require(bench.key(.rolling, named: "rolling"))
            let cells = RollingCells(record: bench.segment.base + key.offset)
            let window = try #require(definition.parameters()).current.rolling
            let cell = cells.cell(window.slot(ofEpoch: cells.stamp.load() - 3))
            cell.store(cell.load() & ~(1 << 41))
        },
        Planted(": cell", change(.rolling, KeyRecord.ring + 8) { $0 &- 5 << 42 }),
        Planted("slot 0 of block") { bench in
            let (key, _) = try #require(bench.key(.concurrency))
            let block = bench.segment.blocks(of: key.offset).blocks[0].offset
            bench.segment.word(block + KeyRecord.body).store(5)
        },
        Planted("lies in") { bench in
            // A key that lives is on a free list too.
            let (key, definition) = try #require(bench.key(.calendar))
            let text = try #require(bench.segment.textBytes(of: key.offset, definition: definition))
            let bytes = KeyRecord.textStart(kind: .calendar, ringCount: 0) + text.count
            let link = bench.segment.word(key.offset + KeyRecord.link).load()
            bench.segment.free(key.offset, kind: .calendar, bytes: bytes)
            bench.segment.word(key.offset + KeyRecord.link).store(link)
        },
        Planted("free list") { bench in
            bench.segment.freeList(kind: .rolling, sizeClass: 4).store(.max)
        },
        Planted("free list") { bench in
            let record = try bench.segment.allocate(kind: .bucket, bytes: 64)
            bench.segment.free(record, kind: .bucket, bytes: 64)
            bench.segment.word(record + KeyRecord.link).store(UInt64(record / 16))
        },
        Planted("free record") { bench in
            let record = try bench.segment.allocate(kind: .bucket, bytes: 64)
            bench.segment.word(record + KeyRecord.tag).store(1 << 32 | 77)
            bench.segment.free(record, kind: .bucket, bytes: 64)
        },
    ]

    @Test("each planted fault is found and named", arguments: planted)
    func names(_ fault: Planted) throws {
        let bench = try SegmentBench()
        var numbers = SeededNumbers(seed: TestLength.seed)
        for _ in 0..<3 { #expect(bench.operate(&numbers).isEmpty) }
        for gate in bench.gates { _ = gate.ask(inputTokens: 5, takesPermit: true) }
        try bench.limiter.advance(nanoseconds: 2_000_000_000)
        for gate in bench.gates { _ = gate.ask(takesPermit: true) }
        #expect(bench.segment.check().isSound)
        try fault.plant(bench)
        let report = bench.segment.check()
        #expect(report.faults.contains { $0.contains(fault.says) }, "\(report.json)")
        #expect(report.json.contains("\"sound\":false"))
    }

    @Test("a count of keys that a killed process left wrong is a note, and reclaiming mends it")
    func drift() throws {
        for drift in [UInt64(5), UInt64(bitPattern: -3)] {
            let bench = try SegmentBench()
            let count = bench.segment.word(Segment.Header.keyCount)
            count.store(count.load() &+ drift)
            let report = bench.segment.check()
            #expect(report.isSound && report.notes.count == 1, "\(report.json)")
            _ = bench.limiter.reclaim()
            let after = bench.segment.check()
            #expect(after.notes.isEmpty && count.load() == UInt64(after.keys))
        }
        // A table that is full by a wrong count alone takes keys again at once.
        let bench = try SegmentBench()
        bench.segment.word(Segment.Header.keyCount).store(1 << 40)
        _ = try bench.limiter.gate(["k": "another"])
        #expect(bench.segment.check().notes.isEmpty)
    }

    @Test("a record whose maker or remover died is a note, and the table goes on")
    func killed() throws {
        let bench = try SegmentBench()
        for gate in bench.gates {
            #expect(gate.ask(inputTokens: 5, takesPermit: true).record.outcome == 1)
        }
        #expect(bench.limiter.reclaim() == 0)
        let (key, _) = try #require(bench.key(.calendar))
        // Died in front of publishing.
        _ = try bench.segment.allocate(kind: .calendar, bytes: 64)
        // Died behind retiring the word: reclaiming finishes it, for every kind.
        bench.segment.word(key.offset + KeyRecord.state).store(CalendarWindow.retired)
        let (bucket, _) = try #require(bench.key(.bucket))
        bench.segment.word(bucket.offset + KeyRecord.state).store(TokenBucket.retired)
        let before = bench.segment.keyCount
        let report = bench.segment.check()
        #expect(
            report.isSound && report.notes.count == 3 && report.bytesLost == 64, "\(report.json)")
        #expect(bench.limiter.reclaim() == 2)
        #expect(bench.segment.keyCount == before - 2)
        let after = bench.segment.check()
        #expect(after.isSound && after.notes.count == 1, "\(after.json)")
        for gate in bench.gates { #expect(gate.ask(takesPermit: true).record.outcome == 1) }
        #expect(bench.segment.keyCount == before)
    }

    @Test("a concurrency key whose retiring caller died is open again with the next plan")
    func closing() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "a", "count": "concurrency", "limit": 2}]}]}
                """,
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: 0), heartbeat: .manual))
        let gate = try limiter.gate([])
        for held in [false, true] {
            let permit = held ? gate.ask(takesPermit: true).record.permit : 0
            limiter.core.store.segment.forEachKey { key, _ in
                limiter.core.store.segment.word(key.offset + KeyRecord.state)
                    .store(12 | LeaseArray.closing)
            }
            #expect(gate.ask(takesPermit: true).record.outcome == 1)
            #expect(try gate.explain().limits[0].used == (held ? 2 : 1))
            if held { #expect(limiter.dropPermit(permit) == 0) }
            try limiter.advance(nanoseconds: 60_000_000_000)
        }
    }
}
