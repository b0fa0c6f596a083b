import Testing

@testable import Admission

@Suite struct SegmentEventsTests {
    private let segment: Segment
    private var ring: SegmentEvents { segment.events }

    init() throws { segment = try Segment(anonymousWithKeyCapacity: 64) }

    @discardableResult
    private func note(_ text: String, at wall: Int64 = 0, kind: UInt8 = 1) -> UInt64 {
        segment.noteEvent(kind: kind, wallNanoseconds: wall, text: text)
    }

    @Test("the newest 64 events stay, in the order of their numbers")
    func wrapAround() {
        #expect(segment.recentEvents().isEmpty)
        for number in 1...200 { #expect(note("event \(number)") == UInt64(number)) }
        let events = segment.recentEvents()
        #expect(events.map(\.sequence) == Array(137...200))
        #expect(events.map(\.text) == (137...200).map { "event \($0)" })
        #expect(ring.numbers(after: 198) == 199...200)
        #expect(ring.numbers(after: 200) == nil)
    }

    @Test("a text is cut at a character and comes back as it was")
    func texts() {
        for text in ["", "plain", "zwölf Boxkämpfer 🥊", String(repeating: "ß", count: 104)] {
            note(text)
            #expect(segment.recentEvents().last?.text == text)
        }
        note("x" + String(repeating: "🥊", count: 100))
        #expect(segment.recentEvents().last?.text == "x" + String(repeating: "🥊", count: 51))
        note("e" + String(repeating: "\u{301}", count: 1_000))
        #expect(segment.recentEvents().last?.text.utf8.count == 207)
    }

    @Test("an event whose writer died is passed by until the ring comes round to it")
    func deadWriter() {
        note("before")
        let dead = segment.word(Segment.Header.eventCount).fetchAdd(1) + 1
        note("unclaimed before")
        #expect(ring.claim(dead))
        note("behind")
        #expect(segment.recentEvents().map(\.text) == ["before", "unclaimed before", "behind"])
        for number in 0..<64 { note("\(number)") }
        #expect(segment.recentEvents().count == 64)
    }

    @Test("a writer that is late by a round of the ring spoils no event unnoticed")
    func lateWriter() {
        let late = segment.word(Segment.Header.eventCount).fetchAdd(1) + 1
        #expect(ring.claim(late))
        for number in 0..<64 { note("\(number)") }
        #expect(segment.recentEvents().count == 64)
        // It goes on writing into the entry that the 65th has now.
        ring.write(
            SegmentEvent(kind: 1, sequence: late, wallNanoseconds: 9, processID: 9, text: "late"))
        #expect(!ring.claim(late))
        #expect(segment.recentEvents().map(\.sequence) == Array(2...64))
        #expect(ring.event(late) == nil && ring.event(late + 64) == nil)
    }

    @Test("whatever bytes lie in the ring, only whole events with UTF-8 texts come out")
    func hostileBytes() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        let count = TestLength.isSoak ? 200_000 : 3_000
        var whole = 0
        for _ in 0..<count {
            for number in 0..<4 { note("event \(number)") }
            for _ in 0...numbers.below(3) {
                let offset = Segment.Header.events + numbers.below(64 * 32) * 8
                let word = segment.word(offset)
                word.store(
                    numbers.isOne(of: 2) ? numbers.next() : word.load() ^ 1 << (numbers.next() % 64)
                )
            }
            if numbers.isOne(of: 50) {
                segment.word(Segment.Header.eventCount).store(numbers.next() >> numbers.next() % 64)
            }
            for event in segment.recentEvents() {
                whole += 1
                #expect(event.text.hasPrefix("event "))
            }
        }
        print("events fuzz: \(count) inputs, seed \(TestLength.seed), \(whole) whole events read")
    }

    @Test("a text that is no UTF-8 is not given out even where its checksum is right")
    func notText() {
        let sequence = note("aaaaaaaa")
        // As a writer in another language might leave it.
        let place = Segment.Header.events + Int(sequence % 64) * 256
        var words = (1..<4).map { segment.word(place + $0 * 8).load() }
        words += (6..<32).map { segment.word(place + $0 * 8).load() }
        words[3] = 0xff_ff_ff_ff
        segment.word(place + 48).store(words[3])
        let sum = words.withUnsafeBytes {
            FNV.hash($0, seed: sequence &* 0x9e37_79b9_7f4a_7c15)
        }
        segment.word(place + 32).store(sum)
        #expect(ring.event(sequence) == nil)
        words[3] = 0x61_61_61_61_61_61_61_61
        segment.word(place + 48).store(words[3])
        segment.word(place + 32).store(
            words.withUnsafeBytes { FNV.hash($0, seed: sequence &* 0x9e37_79b9_7f4a_7c15) })
        #expect(ring.event(sequence)?.text == "aaaaaaaa")
    }
}

/// Own events and others' in one row.
@Suite struct EventMergeTests {
    private typealias F = SharedFile

    @Test("events of two limiters are merged by wall time, each numbered once")
    func merged() throws {
        let file = try SharedFile()
        defer { withExtendedLifetime(file) {} }
        let one = try file.limiter(F.rpm(10))
        let two = try file.limiter(F.rpm(10))
        one.core.report(.ownerDied, "a")
        try two.advance(nanoseconds: 1)
        two.core.report(.ownerDied, "b")
        try two.advance(nanoseconds: 1)
        one.core.report(.loadedElsewhere, "own alone")
        let events = one.events()
        #expect(events.map(\.text) == ["a", "b", "own alone"])
        #expect(events.map(\.sequence) == [1, 2, 3])
        #expect(one.events(after: 2).map(\.text) == ["own alone"])
        #expect(two.events().map(\.text) == ["a", "b"])
        // What is found late comes behind what was given out.
        two.core.report(.ownerDied, "c")
        #expect(one.events(after: 3).map(\.text) == ["c"])
        #expect(one.events(after: 4).isEmpty)
        #expect(one.events().map(\.sequence) == [1, 2, 3, 4])
        let late = try file.limiter(F.rpm(10))
        #expect(late.events().isEmpty, "what was before it is not its own")
    }

    @Test("an event that is not whole yet is taken over when it is")
    func lateEvent() throws {
        let file = try SharedFile()
        defer { withExtendedLifetime(file) {} }
        let limiter = try file.limiter(F.rpm(10))
        let segment = limiter.core.store.segment
        let number = segment.word(Segment.Header.eventCount).fetchAdd(1) + 1
        segment.noteEvent(kind: 4, wallNanoseconds: 2, text: "second")
        #expect(limiter.events().map(\.text) == ["second"])
        #expect(segment.events.claim(number))
        segment.events.write(
            SegmentEvent(
                kind: 4, sequence: number, wallNanoseconds: 1, processID: 7, text: "first"))
        #expect(limiter.events(after: 1).isEmpty)
        let state = segment.word(Segment.Header.events + Int(number % 64) * 256)
        #expect(state.swap(number << 1 | 1, number << 1))
        #expect(limiter.events(after: 1).map(\.text) == ["first"])
        #expect(limiter.events(after: 1).map(\.processID) == [7])
        #expect(limiter.events(after: 2).isEmpty)
    }

    @Test("a reload that is refused is told to the others too")
    func refusedElsewhere() throws {
        let file = try SharedFile()
        defer { withExtendedLifetime(file) {} }
        let one = try file.limiter(F.rpm(10))
        let two = try file.limiter(F.rpm(10))
        #expect(throws: LimiterError.self) { try one.reload(policyJSON: "{}") }
        #expect(one.events().map(\.kind) == [.reloadRefused])
        #expect(two.events().map(\.kind) == [.reloadRefused])
        #expect(two.events().map(\.text) == one.events().map(\.text))
    }

    @Test("more own events than fit leave a gap in the numbers")
    func gap() throws {
        let limiter = try Limiter(policyJSON: F.json(F.rpm(1)))
        for number in 0..<300 { limiter.core.report(.policyBroken, "\(number)") }
        let events = limiter.events()
        #expect(events.count == 256 && events.first?.sequence == 45)
        #expect(events.first?.text == "44" && events.last?.sequence == 300)
    }
}
