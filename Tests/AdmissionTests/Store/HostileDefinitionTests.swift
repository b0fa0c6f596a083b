import Foundation
import Testing

@testable import Admission

/// A segment whose definitions another program wrote over.
@Suite struct HostileDefinitionTests {
    private typealias F = SharedFile

    private static let limits = [
        F.pace("1/1s", 10), F.rpm(10), F.day(10), F.slots(3),
        #"{"name": "long", "count": "requests", "limit": 9, "window": "2h", "guard": "1s"}"#,
    ].joined(separator: ", ")
    private static let other = [
        F.pace("3/7s", 20), F.rpm(20), F.day(20), F.slots(5),
        #"{"name": "long", "count": "requests", "limit": 8, "window": "2h", "guard": "1s"}"#,
    ].joined(separator: ", ")

    /// A limiter whose store can be put back as it was.
    private struct Victim {
        let limiter: Limiter
        let gate: Gate
        let documents: [PolicyDocument]
        /// Words that belong to definitions, their blocks and the header's words about them.
        let targets: [Int]
        /// Header, index and what the arena held.
        private let bytes: [UInt8]

        var segment: Segment { limiter.core.store.segment }

        init() throws {
            documents = try [F.document(limits), F.document(other)]
            limiter = try Limiter(
                policy: documents[0],
                options: Limiter.Options(
                    clock: .manual(startUnixNanoseconds: F.start), keyCapacity: 1_024,
                    heartbeat: .manual))
            gate = try limiter.gate([])
            try limiter.reload(documents[1])
            try limiter.reload(documents[0])
            _ = gate.ask(requests: 2)
            let segment = limiter.core.store.segment
            var targets = [
                Segment.Header.definitions, Segment.Header.loads,
                Segment.Header.document, Segment.Header.loadsFinished,
                Segment.Header.loadVersion,
            ]
            for row in limiter.core.state.withLock({ $0.loaded.limits.notes }) {
                for notes in row {
                    let definition = notes.definition
                    let block = try #require(definition.blockInForce())
                    for place in [definition.offset, block.offset, block.previous] {
                        targets += (0..<8).map { place + $0 * 8 }
                    }
                    targets += [definition.offset + 64, definition.offset + 72]
                }
            }
            self.targets = targets
            bytes = Array(
                UnsafeRawBufferPointer(
                    start: segment.base, count: segment.arenaStart + segment.allocatedBytes))
        }

        func putBack() {
            // What was handed out since, as fresh space again: whole pages behind the arena's start.
            let page = 4_096
            let used = bytes.count
            let start = (used + page - 1) / page * page
            let end = min(segment.size, segment.arenaStart + segment.allocatedBytes + page)
            if end > start { madvise(segment.base + start, end - start, 9) }
            (segment.base + used).initializeMemory(
                as: UInt8.self, repeating: 0, count: start - used)
            segment.base.copyMemory(from: bytes, byteCount: bytes.count)
        }

        /// Everything that reads definitions; returns the codes of the errors met.
        func use() -> [String] {
            var met: [String] = []
            func attempt(_ body: () throws(LimiterError) -> Void) {
                do throws(LimiterError) { try body() } catch { met.append(error.code.name) }
            }
            attempt { () throws(LimiterError) in _ = try limiter.gate([]) }
            attempt { () throws(LimiterError) in _ = try gate.explain() }
            let (status, record) = gate.ask(takesPermit: true)
            if status != 0 { met.append(LimiterError.Code.code(status: status).name) }
            if record.permit != 0 { _ = limiter.completePermit(record.permit, .asCharged) }
            for document in documents.reversed() {
                attempt { () throws(LimiterError) in try limiter.reload(document) }
            }
            _ = limiter.snapshot()
            _ = limiter.events()
            return met
        }
    }

    /// Numbers that arithmetic and offsets stumble over.
    private static func word(_ numbers: inout SeededNumbers, _ before: UInt64) -> UInt64 {
        switch numbers.below(8) {
        case 0: 0
        case 1: .max
        case 2: UInt64(numbers.below(1 << 20))
        case 3: before ^ 1 << UInt64(numbers.below(64))
        case 4:
            UInt64(bitPattern: numbers.pick([-1, .min, .max, 1 << 62, 1_000_000, 60_000_000_000]))
        case 5: before &+ UInt64(numbers.below(5)) &- 2
        case 6: numbers.next() >> UInt64(numbers.below(64))
        default: numbers.next()
        }
    }

    @Test(
        "definitions that another program wrote over end in named errors or wrong counts, no more")
    func fuzz() throws {
        let victim = try Victim()
        var numbers = SeededNumbers(seed: TestLength.seed)
        let count = TestLength.isSoak ? 200_000 : 600
        var errors: [String: Int] = [:]
        for _ in 0..<count {
            victim.putBack()
            for _ in 0...numbers.below(3) {
                let word = victim.segment.word(numbers.pick(victim.targets))
                word.store(Self.word(&numbers, word.load()))
            }
            for error in victim.use() { errors[error, default: 0] += 1 }
        }
        #expect(errors["store_corrupted"] ?? 0 > 0)
        let known: Set<String> = ["store_corrupted", "key_table_full", "internal"]
        #expect(known.isSuperset(of: errors.keys))
        print("definitions fuzz: \(count) inputs, seed \(TestLength.seed): \(errors)")
        victim.putBack()
        // The last input may have left the limiter on a definition that is not there any more: its
        // loads find the old ones again.
        _ = victim.use()
        #expect(victim.use().isEmpty)
    }

    @Test("each word of a definition, each hostile number: the same")
    func everyWord() throws {
        let victim = try Victim()
        var inputs = 0
        for target in victim.targets {
            for value: UInt64 in [0, .max, 1 << 62, 0xffff_ffff] {
                victim.putBack()
                victim.segment.word(target).store(value)
                _ = victim.use()
                inputs += 1
            }
        }
        print("definitions fuzz: \(inputs) single words")
    }

    @Test("a list of definitions that leads into itself is damage, not a hang")
    func cycle() throws {
        let victim = try Victim()
        let first = victim.segment.word(Segment.Header.definitions)
        victim.segment.word(Int(first.load()) * 16).store(first.load())
        #expect(throws: LimiterError.self) {
            try victim.limiter.reload(F.document(F.day(1) + ", " + F.rpm(3)))
        }
        #expect(victim.limiter.events().last?.text.contains("store_corrupted") == true)
    }

    @Test("parameters that no document could say are damage before an algorithm sees them")
    func ranges() throws {
        let bad: [(LimitKindCode, SIMD4<Int64>)] = [
            (.bucket, [0, 1_000_000, 1, 0]), (.bucket, [1, 0, 1, 0]),
            (.bucket, [1, 1_000_000, 0, 0]), (.bucket, [1, 1 << 61, 1 << 39, 0]),
            (.bucket, [1, 1_000_000, .max, 0]), (.rolling, [1, 1, 0, 0]),
            (.rolling, [1, 60_000_000_000, 60_000_000_000, 0]),
            (.rolling, [.max, 60_000_000_000, 0, 0]), (.rolling, [1, .min, -1, 0]),
            (.calendar, [1, 0, 0, 0]), (.calendar, [1, 7, 0, 0]), (.calendar, [1, 259, 0, 0]),
            (.calendar, [1, 1, 60_000_000_000, 0]), (.concurrency, [0, 1_000_000_000, 1 << 40, 0]),
            (.concurrency, [1_000_001, 1_000_000_000, 1 << 40, 0]),
            (.concurrency, [1, 1_000_000_000, 999_999_999, 0]), (.slots, [1, 1, 1, 0]),
        ]
        for (kind, values) in bad {
            var block = PublishedBlock()
            block.values = values
            #expect(Definition.Parameters(block).limitKind(kind) == nil, "\(kind) \(values)")
        }
        var block = PublishedBlock()
        block.values = [1, 1_000_000, 1, 0]
        #expect(Definition.Parameters(block).limitKind(.bucket) != nil)
        block.loadedAt = -1
        #expect(Definition.Parameters(block).limitKind(.bucket) == nil)
    }
}
