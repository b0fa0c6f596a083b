import Testing

@testable import Admission

/// Loads as rows of steps, stopped and interleaved anywhere.
@Suite struct DocumentLoadTests {
    private typealias F = SharedFile

    /// Documents that differ in everything; a bucket with 6 units left keeps them in each.
    private static let documents = try? [
        F.document([F.pace("1/1s", 10), F.rpm(10), F.slots(3)].joined(separator: ", ")),
        F.document([F.pace("1/7s", 20), F.rpm(20), F.slots(5)].joined(separator: ", ")),
        F.document([F.pace("1/3s", 30), F.rpm(30), F.slots(7)].joined(separator: ", ")),
    ]
    private static let capacities: [[Int64]] = [[10, 10, 3], [20, 20, 5], [30, 30, 7]]

    private let documents: [PolicyDocument]
    /// The files stay as long as the test.
    private let files = Gathered<SharedFile>()

    private func file() throws -> SharedFile {
        let file = try SharedFile()
        files.append([file])
        return file
    }

    init() throws { documents = try #require(Self.documents) }

    /// A store with the first document, 4 requests used, and a second process on it.
    private func opened() throws -> (one: Limiter, two: Limiter, gate: Gate) {
        let file = try file()
        let limits = [F.pace("1/1s", 10), F.rpm(10), F.slots(3)].joined(separator: ", ")
        let one = try file.limiter(limits)
        let gate = try one.gate([])
        let (_, record) = gate.ask(requests: 4, takesPermit: true)
        #expect(one.dropPermit(record.permit) == 0)
        return (one, try file.limiter(limits), gate)
    }

    private func left(_ capacities: [Int64]) -> [[Int64]] {
        [[capacities[0], 6], [capacities[1], capacities[1] - 4], [capacities[2], capacities[2]]]
    }

    @Test("a loader that dies behind any of its steps leaves the others going on")
    func dead() throws {
        var steps = 0
        var isOver = false
        while !isOver {
            let (one, two, gate) = try opened()
            var load = try two.beginLoad(documents[1])
            for _ in 0..<steps { try load.advance() }
            isOver = load.step == .done
            // Dead. The others decide, under each limit's old parameters or its new ones.
            let (status, record) = gate.ask(takesPermit: true)
            #expect(status == 0 && record.outcome == 1, "\(steps) steps")
            #expect(one.abandonPermit(record.permit) == 0)
            for (found, both) in zip(try one.left(), zip(left([10, 10, 3]), left([20, 20, 5]))) {
                #expect(found == both.0 || found == both.1, "\(steps) steps")
            }
            // And load.
            try one.reload(documents[2])
            #expect(try one.left() == left(Self.capacities[2]), "\(steps) steps")
            #expect(try two.left() == left(Self.capacities[2]), "\(steps) steps")
            #expect(one.core.store.segment.documentInForce?.hash == documents[2].hash)
            steps += 1
        }
        #expect(steps > 8)
        print("document loads: dead behind each of \(steps) steps")
    }

    @Test("gates that were made in a loader's last moments are made anew by the second look")
    func deadBeforeTelling() throws {
        let (one, two, gate) = try opened()
        var load = try two.beginLoad(documents[1])
        while load.step != .publish(0) { try load.advance() }
        _ = one.snapshot()
        let plan = try gate.storage.currentPlan(replacing: nil)
        while load.step != .tell { try load.advance() }
        #expect(try gate.storage.currentPlan(replacing: nil) == plan, "nobody has told")
        _ = one.snapshot()
        #expect(try gate.storage.currentPlan(replacing: nil) == plan)
        _ = one.snapshot()
        #expect(try gate.storage.currentPlan(replacing: nil) != plan)
        #expect(try gate.explain().limits.map(\.capacity) == [20, 20, 5])
        let version = one.core.store.segment.loadVersion.load()
        for _ in 0..<3 { _ = one.snapshot() }
        #expect(one.core.store.segment.loadVersion.load() == version)
    }

    /// Runs two loads, the next step by whom `choose` says, and looks at what they leave.
    private func interleave(
        _ first: Int, _ second: Int, _ choose: (Int) -> Bool
    ) throws -> (steps: Int, again: Int) {
        let (one, two, gate) = try opened()
        var loads = try [one.beginLoad(documents[first]), two.beginLoad(documents[second])]
        var steps = 0
        var again = 0
        while loads.contains(where: { $0.step != .done }) {
            let wanted = choose(steps) ? 1 : 0
            let index = loads[wanted].step == .done ? 1 - wanted : wanted
            let isPublishing = if case .publish = loads[index].step { true } else { false }
            try loads[index].advance()
            if isPublishing && loads[index].step == .look { again += 1 }
            steps += 1
            guard steps % 3 == 0 else { continue }
            let (status, record) = gate.ask(requests: 0, takesPermit: true)
            #expect(status == 0 && record.outcome == 1 && one.dropPermit(record.permit) == 0)
        }
        // Numbers were taken in this order: the second is the last.
        #expect(loads[0].load < loads[1].load)
        #expect(try one.left() == left(Self.capacities[second]))
        #expect(try two.left() == left(Self.capacities[second]))
        #expect(one.core.store.segment.documentInForce?.hash == documents[second].hash)
        return (steps, again)
    }

    @Test("two loads in any order of steps end with all limits of the one that came last")
    func interleaved() throws {
        var runs = 0
        var again = 0
        for (first, second) in [(1, 2), (1, 0), (0, 1)] {
            for start in 0..<12 {
                for other in 1..<12 {
                    let result = try interleave(first, second) { step in
                        step >= start && step < start + other
                    }
                    runs += 1
                    again += result.again
                }
            }
        }
        var numbers = SeededNumbers(seed: TestLength.seed)
        for _ in 0..<300 {
            var numbersOfRun = SeededNumbers(seed: numbers.next())
            let pair = [(1, 2), (1, 0), (0, 1), (2, 2)][numbers.below(4)]
            again += try interleave(pair.0, pair.1) { _ in numbersOfRun.isOne(of: 2) }.again
            runs += 1
        }
        #expect(again > 0, "no load met another")
        print("document loads: \(runs) interleavings (seed \(TestLength.seed)), met \(again) times")
    }

    @Test("loads give back every block that they take; a dead one costs one")
    func blocks() throws {
        let (one, two, _) = try opened()
        for round in 0..<6 { try [one, two][round % 2].reload(documents[round % 3]) }
        let bytes = one.core.store.segment.allocatedBytes
        for round in 0..<60 { try [one, two][round % 2].reload(documents[round % 3]) }
        #expect(one.core.store.segment.allocatedBytes == bytes)
        var load = try two.beginLoad(documents[1])
        try load.advance()
        for round in 0..<6 { try [one, two][round % 2].reload(documents[round % 3]) }
        #expect(one.core.store.segment.allocatedBytes <= bytes + PublishedBlock.bytes)
    }

    @Test("a key that was made before two loads and published behind them is full, at any scale")
    func lateKey() throws {
        let paces = ["1/1s", "999999937/1s", "1/1h", "1000000000/1m"]
        for (index, made) in paces.enumerated() {
            for (other, last) in paces.enumerated() where index != other {
                let limiter = try file().limiter(F.pace(made, 1_000))
                try limiter.advance(nanoseconds: 400 * 86_400 * F.second)
                let store = limiter.core.store
                let notes = limiter.core.state.withLock { $0.loaded.limits.notes[0][0] }
                let seed = store.seed(notes, cell: nil)
                try limiter.reload(F.document(F.pace("5/1s", 7)))
                try limiter.reload(F.document(F.pace(last, 1_000)))
                let key = try [UInt8]().withUnsafeBytes { bytes in
                    try store.segment.findOrCreateKey(notes.definition, text: bytes) { seed }
                }
                #expect(store.segment.word(key.offset).load() & 1 == notes.parameterNumber & 1)
                #expect(try limiter.left() == [[1_000, 1_000]], "\(made), then \(last)")
                #expect(try limiter.gate([]).ask(requests: 1_000).record.outcome == 1)
            }
        }
    }

    @Test(
        "a fast bucket that lay idle until its cycle went round is full after a reload, not in debt"
    )
    func idleCycle() throws {
        for days: Int64 in [0, 1, 40, 400, 3_000] {
            let limiter = try file().limiter(F.pace("999999937/1s", 1_000))
            try limiter.advance(nanoseconds: F.second)
            #expect(try limiter.gate([]).ask(requests: 1_000).record.outcome == 1)
            for _ in 0..<days * 4 { try limiter.advance(nanoseconds: 21_600 * F.second) }
            try limiter.advance(nanoseconds: F.second)
            try limiter.reload(F.document(F.pace("1/1s", 1_000)))
            #expect(try limiter.left() == [[1_000, 1_000]], "\(days) days")
        }
    }
}
