import Testing

@testable import Admission

@Suite struct OwnersTests {
    let bench: OwnerBench
    var segment: Segment { bench.segment }

    init() throws { bench = try OwnerBench() }

    @Test("an entry's word keeps its parts at their edges")
    func words() {
        for pid in [Int32(1), 32_768, 4_194_304, .max] {
            for incarnation in [UInt64(0), 1, 0xff_ffff] {
                let word = OwnerEntry.word(incarnation: incarnation, .live, pid: pid)
                #expect(OwnerEntry.state(word) == .live)
                #expect(word >> 40 == incarnation && Int32(word & 0xffff_ffff) == pid)
                #expect(OwnerEntry.state(OwnerEntry.word(word, turned: .dead)) == .dead)
                let freed = OwnerEntry.freed(word)
                #expect(freed >> 40 == (incarnation + 1) & 0xff_ffff)
                #expect(OwnerEntry.state(freed) == .free)
                let owner = LeaseOwner(number: 4_095, entry: word)
                #expect(owner.number == 4_095 && owner.owns(word) && !owner.owns(freed))
                #expect(!owner.owns(OwnerEntry.word(word, turned: .dead)))
                let slot = LeaseSlots.word(owner: owner.word, generation: 1, expiry: 2)
                #expect(LeaseSlots.owner(of: slot) == 4_095)
            }
        }
        #expect(!LeaseOwner.none.owns(segment.word(LeaseOwner.none.entry).load()))
    }

    @Test("an entry tells who took it, and the next taker is another owner")
    func taking() throws {
        let first = try #require(bench.owner(bench.facts(pid: 10, startTime: 1 << 39)))
        let second = try #require(bench.owner(bench.facts(pid: 11)))
        #expect(first.number == 1 && second.number == 2)
        let entry = segment.owner(1)
        #expect(entry.state == .live && entry.pid == 10 && entry.startTime == 1 << 39)
        #expect(entry.pidNamespace == 70 && entry.boot == 7 && entry.isWhole)
        #expect(entry.heartbeat == OwnerBench.start)
        segment.leave(first)
        segment.leave(first)
        #expect(segment.owners().map(\.number) == [2])
        let third = try #require(bench.owner(bench.facts(pid: 12)))
        #expect(third.number == 1 && third != first)
        #expect(segment.noteLife(of: third, now: OwnerBench.start + 5))
        #expect(!segment.noteLife(of: first, now: OwnerBench.start + 9))
        #expect(segment.owner(1).heartbeat == OwnerBench.start + 5)
        #expect(segment.owner(1).incarnation == 1 && segment.owner(1).isWhole)
        // The owner of before cannot give away what is not its own.
        segment.leave(first)
        #expect(segment.owner(1).state == .live)
    }

    @Test("4,095 living processes fill the table, which says so with the number")
    func full() throws {
        for number in 1...4_095 {
            let facts = bench.facts(pid: Int32(99 + number))
            bench.processes.withLock { $0[facts.pid] = .running(startTime: facts.startTime) }
            segment.give(facts, entry: number, now: OwnerBench.start)
        }
        #expect(bench.owner(bench.facts(pid: 9_999)) == nil)
        segment.watch.system = bench.system
        #expect(throws: StoreError.ownerTableFull(owners: 4_095)) {
            try segment.takeOwner(now: OwnerBench.start)
        }
        let error = LimiterError(StoreError.ownerTableFull(owners: 4_095))
        #expect(error.code == .ownerTableFull && error.message.contains("4095"))
        bench.end(100 + 77)
        #expect(try segment.takeOwner(now: OwnerBench.start).number == 78)
        #expect(segment.watch.takeDeaths().map(\.pid) == [177])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var state: ProcessState
        var namespace: UInt64 = 70
        var boot: UInt64 = 7
        var isDead: Bool
        var isStranger = false
    }

    @Test(
        "an owner is dead when its process is gone or another one has its pid",
        arguments: [
            Case(testDescription: "runs", state: .running(startTime: 100), isDead: false),
            Case(testDescription: "is gone", state: .gone, isDead: true),
            Case(testDescription: "pid reused", state: .running(startTime: 101), isDead: true),
            Case(testDescription: "nobody says", state: .running(startTime: 0), isDead: false),
            Case(
                testDescription: "another namespace", state: .gone, namespace: 71, isDead: false,
                isStranger: true),
            Case(
                testDescription: "another boot", state: .running(startTime: 100), boot: 8,
                isDead: true),
            Case(
                testDescription: "another boot and namespace", state: .running(startTime: 100),
                namespace: 71, boot: 8, isDead: true),
            Case(
                testDescription: "boot unknown", state: .running(startTime: 100), boot: 0,
                isDead: false),
        ])
    func judging(_ entry: Case) throws {
        let owner = try #require(
            bench.owner(bench.facts(pid: 50, namespace: entry.namespace, boot: entry.boot)))
        _ = try bench.claim(owner)
        bench.processes.withLock { $0[50] = entry.state }
        let look = bench.look()
        #expect(look.deaths.map(\.leases) == (entry.isDead ? [1] : []))
        #expect(look.freedLeases == (entry.isDead ? 1 : 0))
        #expect(look.metStrangers == entry.isStranger)
        #expect(bench.live() == (entry.isDead ? 0 : 1))
        #expect(segment.owner(1).state == (entry.isDead ? .free : .live))
    }

    @Test("what a dead owner held comes back at once, is counted, and its entry is free then")
    func death() throws {
        let dead = try #require(bench.owner(bench.facts(pid: 50)))
        let other = try #require(bench.owner(bench.facts(pid: 51)))
        for _ in 0..<3 { _ = try #require(bench.claim(dead).claim) }
        _ = try #require(bench.claim(other).claim)
        #expect(try bench.claim(other).isFull)
        bench.end(50)
        let look = bench.look()
        #expect(look.deaths == [OwnerDeath(number: 1, pid: 50, leases: 3)])
        #expect(look.freedLeases == 3 && look.freedEntries == 1)
        #expect(segment.reclaimedLeases.load() == 3)
        // The hint that all are taken went with them.
        for _ in 0..<3 { #expect(try bench.claim(other).claim != nil) }
        #expect(bench.look().deaths.isEmpty)
        #expect(segment.reclaimedLeases.load() == 3)
    }

    @Test("a sweep that died is done again by the next look, and tells nothing twice")
    func deadSweep() throws {
        let dead = try #require(bench.owner(bench.facts(pid: 50)))
        let other = try #require(bench.owner(bench.facts(pid: 51)))
        for _ in 0..<4 { _ = try #require(bench.claim(dead).claim) }
        bench.end(50)
        // Marked, and one slot freed: then who did it died too.
        let word = segment.ownerWord(1).load()
        segment.ownerWord(1).store(OwnerEntry.word(word, turned: .dead))
        let slot = segment.word(bench.array.first.slot(2))
        slot.store(LeaseSlots.freed(slot.load()))
        #expect(bench.live() == 0, "a dead owner's slots count for nobody")
        #expect(try bench.claim(other).claim != nil)
        #expect(try bench.claim(other).claim != nil, "a slot of a dead owner can be claimed")
        #expect(segment.reclaimedLeases.load() == 2)
        #expect(segment.owner(1).state == .dead, "not free while a slot is its own")
        #expect(try #require(bench.owner(bench.facts(pid: 52))).number == 3)
        let look = bench.look()
        #expect(look.deaths.isEmpty && look.freedLeases == 1 && look.freedEntries == 1)
        #expect(segment.owner(1).state == .free && segment.owner(1).incarnation == 1)
        #expect(bench.live() == 2)
        #expect(segment.reclaimedLeases.load() == 3)
    }

    @Test("a sweeper that was held up does not free the slots of the number's next owner")
    func lateSweeper() throws {
        let dead = try #require(bench.owner(bench.facts(pid: 50)))
        _ = try bench.claim(dead)
        bench.end(50)
        let word = OwnerEntry.word(segment.ownerWord(1).load(), turned: .dead)
        bench.look()
        let next = try #require(bench.owner(bench.facts(pid: 60)))
        #expect(next.number == 1)
        let claim = try #require(bench.claim(next).claim)
        var swept = OwnerSet()
        swept.insert(1)
        var freed = 0
        bench.array.free(of: swept, [1: word], now: OwnerBench.start) { _ in freed += 1 }
        #expect(freed == 0 && bench.array.isLive(claim, now: OwnerBench.start))
    }

    @Test("a claim of an owner that was taken for dead is turned down and leaves no slot")
    func disowned() throws {
        let owner = try #require(bench.owner(bench.facts(pid: 50)))
        let word = segment.ownerWord(1).load()
        segment.ownerWord(1).store(OwnerEntry.word(word, turned: .dead))
        #expect(try bench.claim(owner).isDisowned)
        bench.look()
        #expect(try bench.claim(owner).isDisowned)
        #expect(try bench.claim(.none).isDisowned)
        #expect(bench.live() == 0)
    }

    @Test("an entry that died while it was written is free again, and a late writer goes elsewhere")
    func claimedEntry() throws {
        let claimed = OwnerEntry.word(incarnation: 0, .claimed, pid: 50)
        segment.ownerWord(1).store(claimed)
        segment.word(Segment.Header.ownerHint).store(1)
        bench.processes.withLock { $0[50] = .running(startTime: 1) }
        #expect(bench.look().freedEntries == 0)
        #expect(bench.look(claimed: true).freedEntries == 1, "where no other is free")
        let next = try #require(bench.owner(bench.facts(pid: 60, startTime: 7)))
        #expect(next.number == 1)
        // The late writer: its swaps expect what stood there before its claim.
        #expect(!segment.ownerWord(1, 8).swap(0, 100))
        #expect(!segment.ownerWord(1).swap(claimed, OwnerEntry.word(claimed, turned: .live)))
        #expect(segment.owner(1).startTime == 7)
    }

    @Test("an owner of another namespace that is silent for long loses its entry, never a lease")
    func silence() throws {
        let stranger = try #require(bench.owner(bench.facts(pid: 50, namespace: 71)))
        let silence = Segment.ownerSilence
        segment.word(Segment.Header.longestLease).store(30_000_000_000)
        let later = OwnerBench.start + silence + 30_000_000_000
        let claim = try #require(bench.claim(stranger, now: later).claim)
        #expect(bench.look(now: later).metStrangers)
        #expect(segment.owner(1).state == .live)
        // A nanosecond later it is given up, but holds a lease.
        let look = bench.look(now: later + 1)
        #expect(look.freedEntries == 0 && look.freedLeases == 0 && look.deaths.isEmpty)
        #expect(segment.owner(1).state == .silent)
        #expect(bench.array.isLive(claim, now: later + 1) && bench.live(now: later + 1) == 1)
        #expect(try bench.claim(stranger, now: later + 1).isDisowned)
        #expect(bench.look(now: later + 60 * OwnerBench.second).freedEntries == 0)
        #expect(bench.look(now: later + 61 * OwnerBench.second).freedEntries == 1)
        #expect(segment.owner(1).state == .free)
    }

    @Test("a heartbeat ahead of time is no sign of life for ever")
    func heartbeatAhead() throws {
        _ = try #require(bench.owner(bench.facts(pid: 50, namespace: 71)))
        segment.ownerWord(1, 32).store(UInt64(Int64.max))
        bench.look()
        #expect(segment.owner(1).heartbeat == OwnerBench.start)
        segment.ownerWord(1, 32).store(UInt64(bitPattern: -5))
        bench.look(now: OwnerBench.start + Segment.ownerSilence)
        #expect(segment.owners().isEmpty)
    }

    @Test("words that no writer leaves in the table lead to no trap and no hang")
    func hostile() throws {
        var numbers = SeededNumbers(seed: 11)
        for _ in 0..<10 {
            for offset in stride(from: Segment.Header.owners, to: Segment.Header.bytes, by: 8 * 97)
            {
                segment.word(offset).store(numbers.next())
            }
            segment.word(Segment.Header.ownerHint).store(numbers.next())
            segment.word(Segment.Header.ownersSeenAt).store(numbers.next())
            segment.word(Segment.Header.longestLease).store(numbers.next())
            bench.look()
            segment.reclaimDead(now: OwnerBench.start, ifUnseenFor: 1)
            _ = bench.owner(bench.facts(pid: 50))
        }
    }

    @Test("one caller of all processes looks in an interval, unless it met what it cannot judge")
    func interval() throws {
        segment.watch.system = bench.system
        let dead = try #require(bench.owner(bench.facts(pid: 50)))
        let look = { (now: Int64) in segment.reclaimDead(now: now, ifUnseenFor: 100) }
        let now = OwnerBench.start
        _ = look(now)
        _ = try bench.claim(dead)
        bench.end(50)
        #expect(look(now + 99) == 0)
        #expect(look(now + 100) == 1)
        _ = bench.owner(bench.facts(pid: 51, namespace: 71))
        let stamp = segment.word(Segment.Header.ownersSeenAt)
        let before = stamp.load()
        _ = look(now + 300)
        #expect(stamp.load() == before, "those of the other namespace look for themselves")
    }
}
