import Testing

@testable import Admission

@Suite struct LeaseBlockTests {
    @Test(
        "slots and stamps of a size class never share a word",
        arguments: [1, 2, 8, 125, 126, 127, 253, 254, 255, 510, 1_000])
    func places(count: Int) {
        let block = LeaseBlock(offset: 1_600, count: count)
        let end = 1_600 + Segment.roundedSize(LeaseBlock.bytes(slots: count))
        #expect(block.stamp(0) >= block.slot(count - 1) + 8)
        #expect(block.stamp(count - 1) + 8 <= end)
        // Another count of the same class has its stamps at the same place.
        for other in 1...count
        where Segment.roundedSize(LeaseBlock.bytes(slots: other)) == end - 1_600 {
            #expect(LeaseBlock(offset: 1_600, count: other).stamp(0) == block.stamp(0))
        }
        #expect(block.index(ofSlot: block.slot(count - 1)) == count - 1)
        #expect(block.index(ofSlot: block.slot(count)) == nil)
        #expect(block.index(ofSlot: block.slot(0) - 8) == nil)
        #expect(block.index(ofSlot: block.slot(0) + 4) == nil)
    }

    @Test("a lease is as old as its first renewal says, else as its end says")
    func age() throws {
        let bench = try OwnerBench()
        let owner = try #require(bench.owner(bench.facts(pid: 50)))
        let claim = try #require(bench.claim(owner).claim)
        let lease = 30 * OwnerBench.second
        func held(at now: Int64) -> [LeaseArray.Held] {
            var found: [LeaseArray.Held] = []
            bench.array.forEachHeld(now: now, leaseNanoseconds: lease) { found.append($0) }
            return found
        }
        let later = OwnerBench.start + 20 * OwnerBench.second
        let fresh = try #require(held(at: later).first)
        #expect(fresh.slot == 0 && fresh.owner == 1)
        #expect(abs(fresh.acquiredAt - OwnerBench.start) < 1 << 22)
        let expiry = LeaseSlots.expiry(now: later, leaseNanoseconds: lease)
        #expect(bench.array.renew(claim, expiry: expiry, now: later))
        bench.array.stamp(claim, acquiredAt: OwnerBench.start)
        let renewed = try #require(held(at: later).first)
        #expect(abs(renewed.acquiredAt - OwnerBench.start) < 1 << 21)
        #expect(renewed.endsAt > later + lease)
        // The next lease of the slot has another generation: the stamp is not its own.
        #expect(bench.array.release(claim))
        _ = try #require(bench.claim(owner, now: later).claim)
        let next = try #require(held(at: later).first)
        #expect(abs(next.acquiredAt - later) < 1 << 22)
    }

    private func shape(_ bench: OwnerBench, _ change: (Segment, LeaseBlock) -> Void) {
        change(bench.segment, bench.array.first)
    }

    @Test(
        "links and counts that lead astray end a walk, and a claim says that the store is corrupted"
    )
    func astray() throws {
        let changes: [(Segment, LeaseBlock) -> Void] = [
            { $0.word($1.offset).store(UInt64($1.offset / 16)) },
            { $0.word($1.offset).store(UInt64($0.size / 16)) },
            { $0.word($1.offset).store(0xffff_ffff) },
            { $0.word($1.offset).store(1) },
            { segment, first in
                // A cycle of two behind the first, of which one passes the check.
                guard let next = try? segment.makeLeaseBlock(slots: 2),
                    let last = try? segment.makeLeaseBlock(slots: 2)
                else { return }
                segment.word(first.offset).store(UInt64(next.offset / 16))
                segment.word(next.offset).store(UInt64(last.offset / 16))
                segment.word(last.offset).store(UInt64(next.offset / 16))
            },
            { segment, first in
                guard let next = try? segment.makeLeaseBlock(slots: 2) else { return }
                segment.word(first.offset).store(UInt64(next.offset / 16))
                segment.word(next.offset + 8).store(UInt64.max)
            },
        ]
        for change in changes {
            let bench = try OwnerBench()
            let owner = try #require(bench.owner(bench.facts(pid: 50)))
            for _ in 0..<4 { _ = try #require(bench.claim(owner).claim) }
            shape(bench, change)
            #expect(!bench.array.forEachBlock { _ in })
            // What free slots the walk meets can be claimed.
            #expect(throws: StoreError.self) {
                for _ in 0..<9 { _ = try bench.claim(owner, limit: 1_000_000) }
            }
            bench.end(50)
            bench.look()
            #expect(bench.segment.owners().isEmpty)
        }
    }

    @Test("a first block that cannot be is none: nothing is read there")
    func noFirstBlock() throws {
        for word in [UInt64(0), 1, 2_048, 0xffff_ffff, .max] {
            let bench = try OwnerBench()
            let owner = try #require(bench.owner(bench.facts(pid: 50)))
            bench.segment.word(bench.offset + KeyRecord.firstBlock).store(word)
            #expect(bench.array.first.offset == 0 && bench.array.firstSlot == 0)
            #expect(bench.array.capacity == 0 && bench.live() == 0)
            #expect(throws: StoreError.self) { try bench.claim(owner) }
        }
        let bench = try OwnerBench()
        bench.segment.word(bench.array.first.offset + 8).store(UInt64(bench.segment.size))
        #expect(bench.array.first.offset == 0)
    }

    @Test("a plan over a key without slots says that the store is corrupted")
    func plan() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "c", "count": "concurrency", "limit": 3}]}]}
                """, options: Limiter.Options(clock: .manual(startUnixNanoseconds: 0)))
        _ = try limiter.gate([])
        let segment = limiter.core.store.segment
        segment.forEachKey { key, _ in
            segment.word(key.offset + KeyRecord.firstBlock).store(0xffff_ffff)
        }
        do {
            _ = try limiter.gate([])
            Issue.record("a gate on slots that are not there")
        } catch {
            #expect(error.code == .storeCorrupted)
        }
    }
}
