import Testing

@testable import Admission

/// Several limiters on one store, each with a document of its own, as processes have them.
@Suite struct SharedLoadTests {
    private let file: SharedFile
    private typealias F = SharedFile

    init() throws { file = try SharedFile() }

    @Test("the document loaded last owns the parameters, from the other's next decision on")
    func lastOwns() throws {
        let old = try file.limiter(F.rpm(10), F.day(100), F.slots(4))
        let gate = try old.gate([])
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        let new = try file.limiter(F.rpm(3), F.day(7), F.slots(1))
        #expect(try new.left() == [[3, 2], [7, 6], [1, 0]])
        let (_, refused) = gate.ask(requests: 4, takesPermit: true)
        #expect(refused.outcome == 2 && refused.limit == 3, "its own document says 10")
        #expect(try old.left() == [[3, 2], [7, 6], [1, 0]])
        #expect(try gate.explain().limits.map(\.capacity) == [3, 7, 1])
    }

    @Test("a limit that the last document does not know keeps its parameters")
    func unknownLimit() throws {
        let old = try file.limiter(F.rpm(10), F.day(100))
        let new = try file.limiter(F.rpm(5))
        #expect(try old.left() == [[5, 5], [100, 100]])
        #expect(try new.left() == [[5, 5]])
    }

    /// S74 with the reload in another process.
    @Test(
        "a bucket's level is cut to the burst that another process loads, and refills at its rate")
    func bucketAcross() throws {
        let old = try file.limiter(F.pace("1/1s", 500))
        let gate = try old.gate([])
        #expect(gate.ask(requests: 270).record.outcome == 1)
        let new = try file.limiter(F.pace("2/1s", 200))
        #expect(try old.left() == [[200, 200]])
        #expect(gate.ask(requests: 200).record.outcome == 1)
        try old.advance(nanoseconds: 10 * F.second)
        #expect(try old.left() == [[200, 20]])
        #expect(try new.left() == [[200, 20]])
    }

    /// S76 with the reloads in another process.
    @Test("rolling and calendar limits keep what was used when another process loads them")
    func windowsAcross() throws {
        let old = try file.limiter(F.rpm(100), F.day(100))
        let gate = try old.gate([])
        for left: Int64 in [99, 98] { #expect(gate.ask().record.remaining == left) }
        let new = try file.limiter(F.rpm(10), F.day(10))
        for left: Int64 in [7, 6] { #expect(gate.ask().record.remaining == left) }
        try new.reload(F.document(F.rpm(200) + ", " + F.day(200)))
        #expect(gate.ask().record.remaining == 195)
    }

    @Test("documents loaded in turns by two processes convert a bucket once each")
    func alternating() throws {
        let one = try file.limiter(F.pace("1/1s", 100))
        let gate = try one.gate([])
        #expect(gate.ask(requests: 60).record.outcome == 1)
        let two = try file.limiter(F.pace("1/7s", 50))
        let documents = try [
            F.document(F.pace("1/1s", 100)), F.document(F.pace("1/7s", 50)),
        ]
        for round in 0..<50 {
            try [one, two][round % 2].reload(documents[round % 2])
            let capacity: Int64 = [100, 50][round % 2]
            #expect(try one.left() == [[capacity, 40]], "round \(round)")
            #expect(try two.left() == [[capacity, 40]], "round \(round)")
        }
        try two.advance(nanoseconds: 7 * F.second)
        #expect(try one.left() == [[50, 41]])
    }

    @Test("a permit from before another process's load settles under the parameters in force")
    func settlement() throws {
        let old = try file.limiter(F.pace("1/1h", 10))
        let gate = try old.gate([])
        let (_, record) = gate.ask(requests: 5, takesPermit: true)
        let new = try file.limiter(F.pace("1/1m", 10))
        try new.reload(F.document(F.pace("1/1s", 10)))
        #expect(try new.left() == [[10, 5]])
        #expect(old.abandonPermit(record.permit) == 0)
        #expect(try new.left() == [[10, 10]])
        #expect(gate.ask(requests: 10).record.outcome == 1)
        #expect(gate.ask().record.retryAfterNanoseconds == F.second)
    }

    @Test("opening with an unchanged document leaves the others' gates as they are")
    func unchanged() throws {
        let one = try file.limiter(F.rpm(10), F.pace("1/1s", 5))
        let gate = try one.gate([])
        let plan = try gate.storage.currentPlan(replacing: nil)
        let version = one.core.store.segment.loadVersion.load()
        let two = try file.limiter(F.rpm(10), F.pace("1/1s", 5))
        #expect(two.core.store.segment.loadVersion.load() == version)
        #expect(two.core.store.segment.word(Segment.Header.loads).load() == 2)
        #expect(gate.ask().record.outcome == 1)
        #expect(try gate.storage.currentPlan(replacing: nil) == plan)
        #expect(one.events().isEmpty && two.events().isEmpty)
        // A limit that is new changes nothing for the others either.
        let three = try file.limiter(F.rpm(10), F.pace("1/1s", 5), F.day(3))
        #expect(three.core.store.segment.loadVersion.load() == version)
    }

    @Test("a load elsewhere is told once to each limiter, with both documents' hashes")
    func toldOnce() throws {
        let old = try file.limiter(F.rpm(10))
        let own = old.snapshot().policyHash
        let new = try file.limiter(F.rpm(5))
        let other = new.snapshot().policyHash
        #expect(new.events().isEmpty, "its own load is none elsewhere")
        let events = old.events()
        #expect(events.map(\.kind) == [.loaded, .loadedElsewhere])
        #expect(events.allSatisfy { $0.text.contains(own) && $0.text.contains(other) })
        #expect(old.events(after: 2).isEmpty)
        _ = try old.gate([])
        #expect(old.events(after: 2).isEmpty)
        // A third with the same document is no news.
        _ = try file.limiter(F.rpm(5))
        #expect(old.events(after: 2).isEmpty)
        try new.reload(F.document(F.rpm(10)))
        #expect(old.events(after: 2).map(\.kind) == [.loaded, .loadedElsewhere])
        #expect(old.snapshot().policyHash == own, "its own document")
    }

    @Test("what a limit counted stays with it when another process changes its parameters")
    func tallies() throws {
        let old = try file.limiter(F.rpm(1), F.day(100))
        let gate = try old.gate([])
        #expect(gate.ask().record.outcome == 1)
        #expect(gate.ask().record.outcome == 2)
        _ = try file.limiter(F.rpm(2), F.day(100))
        #expect(try gate.explain().unused.isEmpty)
        #expect(gate.ask().record.outcome == 1)
        #expect(gate.ask().record.outcome == 2)
        #expect(old.snapshot().rejections.map(\.count) == [2])
        #expect(try gate.explain().unused.isEmpty)
    }

    @Test("a reload that changes what a limit counts alone holds for the gates at once")
    func countAlone() throws {
        let limiter = try file.limiter(F.rpm(10))
        let gate = try limiter.gate([])
        let tokens =
            #"{"name": "rpm", "count": "input_tokens", "limit": 10, "window": "1m"}"#
        try limiter.reload(F.document(tokens))
        #expect(gate.ask(requests: 11, inputTokens: 3).record.remaining == 7)
    }

    @Test("a single bucket is decided the short way again once its stored parameters were met")
    func shortWay() throws {
        let file = try SharedFile(clock: .system)
        defer { withExtendedLifetime(file) {} }
        let old = try file.limiter(F.pace("1/1h", 100))
        let gate = try old.gate([])
        #expect(gate.ask().record.outcome == 1)
        _ = try file.limiter(F.pace("1/1h", 50))
        #expect(gate.ask().record.limit == 50)
        let plan = try gate.storage.currentPlan(replacing: nil)
        #expect(plan.head.pointee.isSingleBucket)
        // The short way leaves a decision to the other one where the clock's anchor is due: once a
        // second, and in a process's first milliseconds. Reading the time lays it.
        let clock = StoreClock()
        #expect(
            (0..<10_000_000).contains { _ in
                _ = clock.now()
                return plan.prepareSingle(1, version: plan.hot.loadVersion) != nil
            })
    }
}
