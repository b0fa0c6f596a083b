import Glibc
import Testing

@testable import Admission

/// Words that no writer leaves, anywhere in a segment: errors with a name or wrong counts, never a
/// crash, a hang or a look beyond the mapping.
@Suite(.serialized) struct SegmentGarbageTests {
    /// Where garbage goes.
    enum Target: String, CaseIterable {
        case header, index, links, tags, texts, words, freeLists, slots, blocks, definitions
        case anywhere
    }

    /// A segment between pages that nobody may touch: a hole is made where the next one fits.
    private struct Fence {
        private let start: UnsafeMutableRawPointer?
        private let size: Int
        private static let bytes = 1 << 20

        init(around size: Int) {
            self.size = size
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
            let mapped = mmap(nil, size + 2 * Self.bytes, PROT_NONE, flags, -1, 0)
            start = mapped == MAP_FAILED ? nil : mapped
            if let start { munmap(start + Self.bytes, size) }
        }

        /// Whether the segment came to lie in the hole.
        func isAround(_ segment: Segment) -> Bool { start.map { $0 + Self.bytes } == segment.base }

        func remove() {
            guard let start else { return }
            munmap(start, Self.bytes)
            munmap(start + Self.bytes + size, Self.bytes)
        }
    }

    private static func value(_ seen: UInt64, _ bench: SegmentBench, _ numbers: inout SeededNumbers)
        -> UInt64
    {
        let used = UInt64(bench.segment.arenaStart + bench.segment.allocatedBytes) / 16
        return switch numbers.below(9) {
        case 0: numbers.next()
        case 1: seen ^ 1 << UInt64(numbers.below(64))
        case 2: .max
        case 3: 0
        case 4: UInt64(numbers.below(64))
        case 5: seen & ~0xffff_ffff | numbers.next() % max(1, used)
        case 6: UInt64(bench.segment.size / 16) - UInt64(numbers.below(8))
        case 7: seen &+ numbers.next() % 5 &- 2
        default: numbers.next() >> UInt64(numbers.below(64))
        }
    }

    private static func place(
        _ target: Target, _ bench: SegmentBench, _ numbers: inout SeededNumbers
    ) -> Int? {
        typealias Header = Segment.Header
        let segment = bench.segment
        var keys: [(KeyReference, Definition)] = []
        let needsSlots = target == .slots || target == .blocks
        segment.forEachKey {
            if !needsSlots || $1.kind == .concurrency { keys.append(($0, $1)) }
        }
        guard !keys.isEmpty else { return nil }
        let (key, definition) = numbers.pick(keys)
        switch target {
        case .header:
            // Events and owners are read by inspection alone.
            let offset = numbers.pick([
                Header.allocated, Header.keyCount, Header.definitions, Header.loadVersion,
                Header.document, Header.loads, Header.ownerHint,
                Header.clockRecord, Header.touched,
                Header.owners + 64 * numbers.below(4_096), numbers.below(Header.bytes / 8) * 8,
            ])
            return offset == Header.size ? nil : offset
        case .index: return Header.bytes + numbers.below(Int(segment.indexMask) + 1) * 8
        case .links: return key.offset + KeyRecord.link
        case .tags: return key.offset + KeyRecord.tag
        case .texts:
            let text = KeyRecord.textStart(kind: definition.kind, ringCount: definition.ringCount)
            return key.offset + (numbers.isOne(of: 2) ? KeyRecord.hashAndLength : text & ~7)
        case .words:
            let words =
                KeyRecord.textStart(kind: definition.kind, ringCount: definition.ringCount) / 8
            let word = numbers.below(max(1, words - 3))
            return key.offset + (word == 0 ? 0 : 24 + word * 8)
        case .freeLists:
            let kind = LimitKindCode(rawValue: UInt8(numbers.below(6))) ?? .bucket
            let list = segment.freeList(kind: kind, sizeClass: numbers.below(48))
            let head = Int(list.load() & 0xffff_ffff) * 16
            return head != 0 && numbers.isOne(of: 2)
                ? head + KeyRecord.link
                : UnsafeRawPointer(list.address) - UnsafeRawPointer(segment.base)
        case .slots, .blocks:
            guard definition.kind == .concurrency,
                let block = segment.blocks(of: key.offset).blocks.first
            else { return nil }
            if target == .slots {
                return block.slot(numbers.below(block.count))
            }
            return numbers.pick([block.offset, block.offset + 8, key.offset + KeyRecord.firstBlock])
        case .definitions: return definition.offset + numbers.below(28) * 8
        case .anywhere:
            let end = segment.arenaStart + segment.allocatedBytes
            let offset = numbers.below(end / 8) * 8
            return offset == Header.size ? nil : offset
        }
    }

    /// Everything that callers and operators do.
    private static func useAll(
        _ bench: SegmentBench, _ numbers: inout SeededNumbers, _ codes: inout [String: Int]
    ) {
        var errors = bench.operate(&numbers)
        do throws(LimiterError) {
            // A load follows the list of definitions as it stands.
            if bench.segment.definitionOffsets().isSound { try bench.reload() }
            bench.segment.loadVersion.increment()
        } catch {
            errors.append(error)
        }
        for number in 0..<4 {
            do throws(LimiterError) {
                _ = try bench.limiter.gate(["k": "new \(number)"])
            } catch {
                errors.append(error)
            }
        }
        _ = bench.limiter.reclaim()
        let report = bench.segment.check()
        codes[report.isSound ? "sound" : "faults", default: 0] += 1
        _ = report.json.utf8.count
        let clock = bench.store.clock
        _ = StoreInspection(bench.segment, clock: clock, maximumKeys: 50).json.utf8.count
        _ = bench.segment.reset(
            clock: clock, keepingLeasesOfLiveOwners: numbers.isOne(of: 2), graceNanoseconds: 0)
        errors += bench.operate(&numbers)
        for error in errors { codes[error.code.name, default: 0] += 1 }
    }

    @Test("garbage in any word ends in a named error or a wrong count", arguments: Target.allCases)
    func garbage(_ target: Target) throws {
        var numbers = SeededNumbers(seed: TestLength.seed &+ UInt64(target.rawValue.utf8.count))
        var codes: [String: Int] = [:]
        var planted = 0
        var fences = 0
        var slowest = 0.0
        let inputs = TestLength.isSoak ? 2_000 : 12
        let size = try SegmentBench(keys: 0, capacity: 512).segment.size
        for _ in 0..<inputs {
            var fence = Fence(around: size)
            var bench = try SegmentBench(keys: 3, capacity: 512)
            // Other tests map memory too, and may be quicker.
            for _ in 0..<8 where !fence.isAround(bench.segment) {
                fence.remove()
                fence = Fence(around: size)
                bench = try SegmentBench(keys: 3, capacity: 512)
            }
            defer { fence.remove() }
            if fence.isAround(bench.segment) { fences += 1 }
            _ = bench.operate(&numbers)
            _ = bench.limiter.reclaim()
            _ = bench.operate(&numbers)
            for _ in 0...numbers.below(4) {
                guard let place = Self.place(target, bench, &numbers) else { continue }
                let word = bench.segment.word(place)
                word.store(Self.value(word.load(), bench, &numbers))
                planted += 1
            }
            // What plans follow without looking is looked at when they are made.
            if [.blocks, .words, .anywhere].contains(target) {
                bench.segment.loadVersion.increment()
            }
            let started = ContinuousClock.now
            Self.useAll(bench, &numbers, &codes)
            let taken = started.duration(to: .now) / Duration.seconds(1)
            slowest = max(slowest, taken)
        }
        print(
            "garbage \(target.rawValue): \(inputs) inputs, \(planted) words, \(fences) fences; "
                + "slowest \(Int(slowest * 1_000)) ms; \(codes.sorted { $0.key < $1.key })")
        #expect(planted >= inputs / 2 && fences > inputs / 4)
        let named: Set<String> = [
            "store_corrupted", "key_table_full", "sound", "faults", "internal", "invalid_argument",
        ]
        #expect(codes.keys.allSatisfy { named.contains($0) }, "\(codes)")
    }

    @Test("a bucket's parameters and words may be anything")
    func buckets() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        for _ in 0..<20_000 {
            func any() -> Int64 {
                Int64(bitPattern: numbers.next() >> UInt64(numbers.below(64)))
                    &* (numbers.isOne(of: 4) ? -1 : 1)
            }
            let old = TokenBucket(units: any(), periodNanoseconds: any(), burst: any())
            let new = TokenBucket(units: any(), periodNanoseconds: any(), burst: any())
            let now = any()
            let word = UInt64(bitPattern: any())
            _ = new.converted(word, from: old, now: now, parity: 1)
            _ = new.verdict(word, now: now, amount: max(0, any()))
            _ = new.refunded(word, now: now, amount: any(), parity: 0)
            _ = new.exceeded(word, now: now, amount: any(), parity: 0)
            _ = new.used(lead: new.lead(of: word, now: now))
        }
    }

    @Test("a stamp beyond every clock makes the key full for one window and moves no other limit")
    func damagedStamp() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "r", "count": "requests", "limit": 10, "window": "1m"},
                  {"name": "b", "count": "requests", "rate": "1/h", "burst": 3}]}]}
                """,
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: 0)))
        try limiter.advance(nanoseconds: 600_000_000_000)
        let gate = try limiter.gate([])
        for _ in 0..<2 { #expect(gate.ask().record.outcome == 1) }
        limiter.core.store.segment.forEachKey { key, definition in
            guard definition.kind == .rolling else { return }
            let stamp = limiter.core.store.segment.word(key.offset + KeyRecord.stamp)
            stamp.store(stamp.load() + 10_000_000)
        }
        let refused = gate.ask().record
        #expect(refused.outcome == 2 && refused.retryAfterNanoseconds == 61_000_000_000)
        #expect(try gate.explain().limits.map(\.used) == [10, 2])
        try limiter.advance(nanoseconds: 61_000_000_000)
        let admitted = gate.ask().record
        #expect(admitted.outcome == 1)
        #expect(admitted.decidedAtNanoseconds == 661_000_000_000)
        #expect(gate.ask().record.outcome == 2)
        #expect(limiter.core.store.segment.check().isSound)
    }
}
