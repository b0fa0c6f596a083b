import Glibc
import Synchronization
import Testing

@testable import Admission

/// What an operator sees of a store, and giving everything back.
@Suite(.serialized) struct SegmentInspectionTests {
    private func row(_ store: StoreInspection, _ limit: String, _ key: String)
        -> StoreInspection.KeyRow?
    {
        store.limits.first { $0.limit == limit }?.keys
            .first { $0.attributes == [Attribute("k", key)] }
    }

    @Test("used, remaining and full again are those of a hand-kept oracle, for every kind")
    func figures() throws {
        let bench = try SegmentBench(keys: 3)
        let clock = bench.store.clock
        // Key n is charged n times, 7 tokens each, and keeps its permits.
        for (number, gate) in bench.gates.enumerated() {
            for _ in 0..<number {
                #expect(gate.ask(inputTokens: 7, takesPermit: true).record.outcome == 1)
            }
        }
        for seconds: Int64 in [0, 10] {
            try bench.limiter.advance(nanoseconds: seconds * 1_000_000_000)
            let store = StoreInspection(bench.segment, clock: clock, maximumKeys: 100)
            let wall = SegmentBench.start / 1_000_000_000 + 3_600 + seconds
            #expect(store.wall.unixNanoseconds == wall * 1_000_000_000)
            #expect(store.keys == 21 && store.limits.count == 7 && !store.isDamaged)
            for number in 0..<3 {
                let used = Int64(number)
                let key = "key \(number)"
                // 100 a second: refilled after 10 seconds; each unit takes 10 ms.
                let bucket = try #require(row(store, "bucket", key))
                #expect(bucket.used == (seconds == 0 ? used : 0))
                #expect(bucket.remaining == 50 - bucket.used)
                #expect(bucket.fullAgainNanoseconds == bucket.used * 10_000_000)
                let rolling = try #require(row(store, "rolling", key))
                #expect(rolling.used == used && rolling.remaining == 10 - used)
                #expect(
                    rolling.fullAgainNanoseconds == (used == 0 ? 0 : (61 - seconds) * 1_000_000_000)
                )
                #expect(row(store, "week", key)?.used == used * 7)
                let day = try #require(row(store, "day", key))
                #expect(day.used == used && day.remaining == 250 - used)
                #expect(
                    day.fullAgainNanoseconds
                        == (used == 0 ? 0 : (86_400 - wall % 86_400) * 1_000_000_000))
                let parallel = try #require(row(store, "parallel", key))
                #expect(parallel.used == used && parallel.remaining == 8 - used)
                let explained = try bench.gates[number].explain().limits
                for limit in explained {
                    #expect(row(store, limit.limit, key)?.used == limit.used, "\(limit.limit)")
                }
            }
            #expect(store.leases.count == 6)
            for lease in store.leases {
                #expect(lease.pid == getpid() && lease.slot < 2)
                // 30 s, kept in steps of 2 ms, rounded up.
                let left = (30 - seconds) * 1_000_000_000
                #expect((left...left + 4_200_000).contains(lease.runsOutNanoseconds))
                #expect(abs(lease.ageNanoseconds - seconds * 1_000_000_000) < 4_200_000)
            }
            #expect(store.owners.map(\.leases).reduce(0, +) == 6)
            #expect(
                store.json.contains("\"limit\":\"rolling\",\"kind\":\"rolling\",\"capacity\":10"))
        }
        let few = StoreInspection(bench.segment, clock: clock, maximumKeys: 4)
        #expect(few.limits.map(\.keys.count).reduce(0, +) == 4)
        #expect(few.leases.count == 4 && few.omitted == 17 + 2)
        #expect(few.limits.map(\.keyCount) == [3, 3, 3, 3, 3, 3, 3])
    }

    @Test("a reset gives back everything but live owners' leases, and settles nothing twice")
    func reset() throws {
        let bench = try SegmentBench(keys: 2)
        let gate = bench.gates[0]
        let old = (0..<5).map { _ in gate.ask(takesPermit: true).record.permit }
        try bench.limiter.advance(nanoseconds: 3_000_000_000)
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        let report = bench.store.reset()
        #expect(report.keys == 10 && report.leasesKept == 12 && report.leasesFreed == 0)
        #expect(bench.segment.check().isSound)
        #expect(try gate.explain().limits.map(\.used) == [0, 0, 0, 0, 0, 6, 6])
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        for permit in old { #expect(bench.limiter.abandonPermit(permit) == 0) }
        #expect(try gate.explain().limits.map(\.used) == [1, 1, 1, 0, 1, 2, 2])
        // Excess of a permit of before is still booked: it is used now.
        let permit = gate.ask(takesPermit: true).record.permit
        _ = bench.store.reset()
        #expect(Usage(requests: 4).withAmounts { bench.limiter.completePermit(permit, $0) } == 0)
        #expect(try gate.explain().limits[2].used == 3)
        // Owners that are gone hold nothing.
        bench.endOwners()
        #expect(bench.store.reset().leasesFreed == 4)
        #expect(try gate.explain().limits[5].used == 0)
    }

    @Test("a store that live processes use is reset by force alone")
    func inUse() throws {
        let bench = try SegmentBench(keys: 1)
        let clock = bench.store.clock
        do throws(LimiterError) {
            _ = try StoreReset.run(bench.segment, clock: clock, name: "memory:", force: false)
            Issue.record("it was reset")
        } catch {
            #expect(error.code == .storeInUse && error.message.contains("used by 1 live process;"))
        }
        let report = try StoreReset.run(
            bench.segment, clock: clock, name: "memory:", force: true)
        #expect(report.keys == 5)
    }

    @Test("a store in a file is looked at, checked and reset by its URL alone")
    func file() throws {
        let path = "/tmp/admission-inspection-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(path) }
        let url = "file:\(path)"
        #expect(throws: LimiterError.self) { try StoreInspection.read(store: url) }
        #expect(throws: LimiterError.self) { try StoreCheck.run(store: "memory:") }
        for clock in [LimiterClock.system, .manual(startUnixNanoseconds: SegmentBench.start)] {
            unlink(path)
            let limiter = try Limiter(
                policyJSON: SegmentBench.policy(),
                options: Limiter.Options(store: url, clock: clock, keyCapacity: 1_024))
            let gate = try limiter.gate(["k": "v"])
            #expect(gate.ask(takesPermit: true).record.outcome == 1)
            let store = try StoreInspection.read(store: url)
            #expect(row(store, "rolling", "v")?.used == 1 && store.leases.count == 2)
            #expect(store.owners.map(\.pid) == [getpid()] && store.owners[0].leases == 2)
            #expect(try StoreCheck.run(store: url).isSound)
            #expect(throws: LimiterError.self) { try StoreReset.run(store: url) }
            let report = try StoreReset.run(store: url, force: true)
            #expect(report.keys == 5 && report.leasesKept == 2)
            #expect(try gate.explain().limits[2].used == 0)
        }
    }

    /// What threads count in one phase between two resets.
    private final class Phases: Sendable {
        /// Odd while a reset runs.
        let phase = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        /// Charges of each even phase that were kept, by phase.
        let kept = Gathered<Int>()
        let abandonedLate = Atomic<Int>(0)
        let rounds = Atomic<Int>(0)

        /// Waits until the threads have gone round so often.
        func wait(rounds more: Int) {
            let end = rounds.load(ordering: .relaxed) + more
            while rounds.load(ordering: .relaxed) < end { sched_yield() }
        }
    }

    /// One thread's decisions until it is over.
    private static func decide(_ limiter: Limiter, _ gate: Gate, _ phases: Phases, _ thread: Int) {
        var numbers = SeededNumbers(seed: UInt64(thread))
        var backlog: [(permit: UInt64, phase: Int)] = []
        var kept: [Int] = []
        // Asks in the phase that is seen: few while a reset runs, which takes its time behind
        // the instant at which it gives back.
        var asked = (phase: 0, count: 0)
        while !phases.isOver.load(ordering: .acquiring) {
            phases.rounds.wrappingAdd(1, ordering: .relaxed)
            let before = phases.phase.load(ordering: .sequentiallyConsistent)
            asked = (before, asked.phase == before ? asked.count + 1 : 0)
            let mayAsk = before & 1 == 0 || asked.count < 5
            let record =
                mayAsk ? gate.ask(takesPermit: true).record : DecisionRecord()
            let isCharged = record.outcome == 1
            let isWithin =
                before & 1 == 0
                && phases.phase.load(ordering: .sequentiallyConsistent) == before
            if isCharged {
                switch numbers.below(3) {
                case 0:
                    _ = limiter.dropPermit(record.permit)
                    if isWithin { kept.append(before) }
                case 1: _ = limiter.abandonPermit(record.permit)
                default: backlog.append((record.permit, before))
                }
            }
            // Given back in a later phase: that must not count there.
            if before & 1 == 0, let old = backlog.first, old.phase < before {
                backlog.removeFirst()
                _ = limiter.abandonPermit(old.permit)
                phases.abandonedLate.wrappingAdd(1, ordering: .relaxed)
            }
        }
        phases.kept.append(kept)
    }

    @Test(
        "beside deciders, each reset lets through one limit and no more",
        arguments: [
            #"{"name": "a", "count": "requests", "limit": 20, "window": "10m"}"#,
            #"{"name": "a", "count": "requests", "rate": "1/h", "burst": 20}"#,
            #"{"name": "a", "count": "requests", "limit": 20, "window": "year"}"#,
        ])
    func race(_ limit: String) throws {
        let limiter = try Limiter(
            policyJSON: #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limit)]}]}"#,
            options: Limiter.Options(store: "memory:", permitCapacity: 65_536))
        let gate = try limiter.gate([])
        let phases = Phases()
        let resets = Race.isShort ? 5 : TestLength.isSoak ? 400 : 12
        let threads = (0..<Race.threads).map { thread in
            PlainThread { Self.decide(limiter, gate, phases, thread) }
        }
        for _ in 0..<resets {
            phases.wait(rounds: 500)
            phases.phase.wrappingAdd(1, ordering: .sequentiallyConsistent)
            _ = limiter.core.store.reset()
            phases.phase.wrappingAdd(1, ordering: .sequentiallyConsistent)
        }
        phases.wait(rounds: 500)
        phases.isOver.store(true, ordering: .releasing)
        for thread in threads { thread.join() }
        var counts: [Int: Int] = [:]
        for phase in phases.kept.all { counts[phase, default: 0] += 1 }
        print(
            "race reset: \(resets) resets, \(counts.values.reduce(0, +)) kept, at most "
                + "\(counts.values.max() ?? 0) a phase, "
                + "\(phases.abandonedLate.load(ordering: .relaxed)) given back too late")
        #expect((counts.values.max() ?? 0) <= 20, "\(counts)")
        #expect(counts.count >= resets / 4, "a reset gives back")
        #expect(limiter.core.store.segment.check().isSound)
    }
}
