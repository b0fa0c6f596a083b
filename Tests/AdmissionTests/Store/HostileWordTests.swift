import Foundation
import Testing

@testable import Admission

/// Words at the ends of their range where instants and counts are meant: wrong answers, no trap.
@Suite struct HostileWordTests {
    private static let words: [UInt64] = [
        0, 1, 1 << 62 - 1, 1 << 62, 1 << 63 - 1, 1 << 63, 1 << 63 + 1, .max - 1, .max,
    ]

    @Test("no word of a concurrency key, at no instant, makes a claim or a look trap")
    func leases() throws {
        let bench = try OwnerBench()
        let owner = try #require(bench.owner(bench.facts(pid: 50)))
        let first = bench.array.first
        let places =
            [
                KeyRecord.fullHint, KeyRecord.liveEstimate, KeyRecord.state,
            ].map { bench.offset + $0 } + (0..<first.count).map { first.slot($0) }
            + (0..<first.count).map { first.stamp($0) }
        let before = places.map { bench.segment.word($0).load() }
        var inputs = 0
        for place in places {
            for word in Self.words {
                for now: Int64 in [.min, -1, 0, OwnerBench.start, 1 << 62 - 1, .max - 1, .max] {
                    for (place, word) in zip(places, before) {
                        bench.segment.word(place).store(word)
                    }
                    bench.segment.word(place).store(word)
                    for limit: Int64 in [1, 4, 40] {
                        _ = try? bench.claim(owner, limit: limit, lease: 1 << 40, now: now)
                    }
                    _ = bench.array.liveEstimate(limit: 40, now: now)
                    bench.array.forEachHeld(now: now, leaseNanoseconds: 1 << 40) { _ in }
                    _ = bench.array.retireIfIdle(now: now)
                    inputs += 1
                }
            }
        }
        #expect(inputs == places.count * Self.words.count * 7)
    }

    @Test("a full hint is believed for 10 ms and no longer, whatever it says")
    func hint() throws {
        let bench = try OwnerBench()
        let owner = try #require(bench.owner(bench.facts(pid: 50)))
        let hint = bench.array.fullHint
        let millisecond: Int64 = 1_000_000
        for (word, isBelieved) in [
            (UInt64(OwnerBench.start + 10 * millisecond), true),
            (UInt64(OwnerBench.start + 1), true),
            (UInt64(OwnerBench.start + 10 * millisecond + 1), false),
            (UInt64(OwnerBench.start), false), (UInt64(OwnerBench.start - 1), false),
            (UInt64(Int64.max), false), (1 << 63, false), (.max, false), (0, false),
        ] {
            hint.store(word)
            let outcome = try bench.claim(owner)
            #expect(outcome.isFull == isBelieved, "\(word)")
            if let claim = outcome.claim { bench.array.release(claim) }
        }
    }

    @Test("a manual clock that another program set out of range is damage to whoever opens it")
    func attach() throws {
        let scratch = try ScratchDirectory()
        let request = SegmentFileRequest(path: scratch.file(), keyCapacity: 10, clockKind: .manual)
        let segment = try Segment.open(request)
        for steady: Int64 in [-1, .min, .max, 1 << 62] {
            segment.manualClock.steady.store(UInt64(bitPattern: steady))
            let error = StoreError.corrupted(
                path: scratch.file(), what: "its manual clock stands at \(steady) ns")
            #expect(throws: error) { try Segment.open(request) }
            #expect(throws: error) { try Segment.openReadOnly(scratch.file()) }
        }
        segment.manualClock.steady.store(1 << 62 - 1)
        _ = try Segment.open(request)
        _ = try Segment.openReadOnly(scratch.file())
    }

    @Test("words of the clock at the ends of their range trap nobody who has the store open")
    func clocks() throws {
        let bench = try SegmentBench(keys: 2)
        var numbers = SeededNumbers(seed: TestLength.seed)
        let (steady, wallOffset) = bench.segment.manualClock
        for word in Self.words {
            for offset in Self.words {
                steady.store(word)
                wallOffset.store(offset)
                _ = bench.operate(&numbers)
                _ = bench.limiter.reclaim()
                _ = bench.limiter.snapshot().json.utf8.count
                _ = StoreInspection(bench.segment, clock: bench.store.clock, maximumKeys: 9)
                _ = bench.segment.reset(
                    clock: bench.store.clock, keepingLeasesOfLiveOwners: true,
                    graceNanoseconds: 0)
                try? bench.limiter.setTime(unixNanoseconds: Int64(bitPattern: offset))
            }
        }
    }

    @Test("clocks that several move at a time stay in their range, and each move counts")
    func advance() throws {
        let file = try SharedFile()
        let limiter = try file.limiter(SharedFile.rpm(5))
        let steady = limiter.core.store.segment.manualClock.steady
        let second = SharedFile.second
        let rounds = Race.count(5_000)
        let lines = (0..<2 * rounds).map { _ in StartLine(2) }
        let moves = Gathered<Int>()
        Race.run(2) { thread in
            var mine = 0
            for round in 0..<rounds {
                // There is room for one more.
                if thread == 0 { steady.store(UInt64(1 << 62 - 2 * second)) }
                lines[2 * round].wait()
                if (try? limiter.advance(nanoseconds: second)) != nil { mine += 1 }
                lines[2 * round + 1].wait()
            }
            moves.append([mine])
        }
        #expect(moves.all.reduce(0, +) == rounds)
        #expect(steady.load() == UInt64(1 << 62 - second))
        #expect(throws: LimiterError.self) { try limiter.advance(nanoseconds: .max) }
        steady.store(.max)
        #expect(throws: LimiterError.self) { try limiter.advance(nanoseconds: 1) }
    }
}
