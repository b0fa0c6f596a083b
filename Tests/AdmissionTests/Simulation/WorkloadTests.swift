import Testing

@testable import Admission

@Suite("A workload")
struct WorkloadTests {
    private func call(_ offset: Int64, _ tokens: Int64 = 1, caller: Int = 0) -> Workload.Arrival {
        Workload.Arrival(
            offsetNanoseconds: offset, inputTokens: tokens, outputTokens: 0, caller: caller)
    }

    private func workload(_ arrivals: [Workload.Arrival]) throws(WorkloadError) -> Workload {
        try Workload(
            title: "test", startUnixNanoseconds: 0, callers: [[], [Attribute("tenant", "a")]],
            arrivals: arrivals)
    }

    @Test("may be empty, and keeps calls at the same instant in their order")
    func edges() throws {
        #expect(try workload([]).durationNanoseconds == 0)
        #expect(try workload([call(5, 1), call(5, 2)]).arrivals.map(\.inputTokens) == [1, 2])
    }

    @Test("refuses calls out of order, unknown callers, and too many or too few tokens")
    func refusals() {
        for (arrivals, message) in [
            ([call(-1)], "arrival 1 at -1 ns comes before the one ahead of it at 0 ns"),
            ([call(9), call(8)], "arrival 2 at 8 ns comes before the one ahead of it at 9 ns"),
            ([call(0, caller: 2)], "arrival 1 names caller 2 of 2"),
            ([call(0, caller: -1)], "arrival 1 names caller -1 of 2"),
            ([call(0, -1)], "arrival 1 has -1 tokens; 0 to 1000000000 fit"),
            ([call(0, 1_000_000_001)], "arrival 1 has 1000000001 tokens; 0 to 1000000000 fit"),
        ] {
            let error = #expect(throws: WorkloadError.self) { try workload(arrivals) }
            #expect(error?.description == message)
        }
    }

    @Test(
        "has another digest where a call, a caller or the start differs, not where the title does")
    func digest() throws {
        let digest = try workload([call(5)]).digest
        #expect(try workload([call(6)]).digest != digest)
        #expect(try workload([call(5, 2)]).digest != digest)
        #expect(try workload([call(5, caller: 1)]).digest != digest)
        #expect(try workload([]).digest != digest)
        let renamed = try Workload(
            title: "other", startUnixNanoseconds: 0,
            callers: [[], [Attribute("tenant", "a")]], arrivals: [call(5)])
        #expect(renamed.digest == digest)
    }
}

@Suite("Synthetic traffic")
struct SyntheticTrafficTests {
    private func quarterOfAnHour(seed: UInt64) throws -> Workload {
        var traffic = SyntheticTraffic(seed: seed)
        traffic.durationNanoseconds = 900_000_000_000
        return try Workload(traffic)
    }

    @Test("is the same for the same seed, and different for another")
    func seeds() throws {
        let digest = try quarterOfAnHour(seed: 7).digest
        #expect(try quarterOfAnHour(seed: 7).digest == digest)
        #expect(try quarterOfAnHour(seed: 8).digest != digest)
        // The very numbers: they stay the same from machine to machine and version to version.
        #expect(try quarterOfAnHour(seed: 1).digest == 0x1e00_2941_fc28_0b20)
    }

    @Test("has the rate that was asked for, within four percent, and its bursts")
    func rate() throws {
        var traffic = SyntheticTraffic(seed: 3)
        traffic.durationNanoseconds = 7_200_000_000_000
        let workload = try Workload(traffic)
        // 110 a minute, six times as many in one minute of ten: 165 a minute.
        #expect((19_000...20_600).contains(workload.arrivals.count))
        var builder = TrafficSummary.Builder()
        for arrival in workload.arrivals { builder.add(arrival, Cost()) }
        #expect((600...800).contains(builder.summary.busiestMinuteCalls))
    }

    @Test("stays inside its ranges and reaches their ends")
    func ranges() throws {
        var traffic = SyntheticTraffic(seed: 11)
        traffic.inputTokens = 3...9
        traffic.outputTokens = 0...1
        traffic.durationNanoseconds = 900_000_000_000
        traffic.callers = [[], [Attribute("tenant", "a")]]
        let arrivals = try Workload(traffic).arrivals
        #expect(Set(arrivals.map(\.inputTokens)) == Set(3...9))
        #expect(Set(arrivals.map(\.outputTokens)) == [0, 1])
        #expect(Set(arrivals.map(\.caller)) == [0, 1])
        #expect(
            zip(arrivals, arrivals.dropFirst()).allSatisfy {
                $0.offsetNanoseconds <= $1.offsetNanoseconds
            })
    }

    @Test("refuses settings out of their ranges")
    func refusals() {
        let changes: [(inout SyntheticTraffic) -> Void] = [
            { $0.durationNanoseconds = -1 }, { $0.requestsPerMinute = 0 }, { $0.burstFactor = 0 },
            { $0.burstEveryNanoseconds = 0 },
            { $0.burstNanoseconds = $0.burstEveryNanoseconds + 1 },
            { $0.inputTokens = -1...5 }, { $0.outputTokens = 0...2_000_000_000 },
            { $0.callers = [] },
        ]
        for change in changes {
            var traffic = SyntheticTraffic(seed: 1)
            change(&traffic)
            #expect(throws: WorkloadError.self) { try Workload(traffic) }
        }
    }

    @Test("draws the numbers of the published SplitMix64")
    func generator() {
        var random = SplitMix64(seed: 1_234_567)
        // From the reference implementation, https://prng.di.unimi.it/splitmix64.c.
        #expect(
            (0..<3).map { _ in random.next() } == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            ])
    }
}
