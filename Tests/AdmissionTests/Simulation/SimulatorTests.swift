import Testing

@testable import Admission

@Suite("The simulator")
struct SimulatorTests {
    private static let second: Int64 = 1_000_000_000

    private static let gemini = """
        {"admission": 1, "policies": [{"name": "gemini", "per": ["project"], "limits": [
          {"name": "rpm", "count": "requests", "limit": 500, "window": "1m"},
          {"name": "tpm", "count": "input_tokens", "limit": 1000000, "window": "1m"},
          {"name": "rpd", "count": "requests", "limit": 8000, "window": "day",
           "zone": "America/Los_Angeles"}]}]}
        """

    private func traffic(seed: UInt64) -> SyntheticTraffic {
        var traffic = SyntheticTraffic(seed: seed)
        traffic.callers = [[Attribute("project", "acme")]]
        return traffic
    }

    private func quarterOfAnHour(seed: UInt64) throws -> Workload {
        var traffic = traffic(seed: seed)
        traffic.durationNanoseconds = 900_000_000_000
        return try Workload(traffic)
    }

    private func workload(
        _ offsets: [Int64], input: Int64 = 0, output: Int64 = 0
    ) throws -> Workload {
        try Workload(
            title: "test", startUnixNanoseconds: 0, callers: [[]],
            arrivals: offsets.map {
                Workload.Arrival(offsetNanoseconds: $0, inputTokens: input, outputTokens: output)
            })
    }

    private func run(
        _ limit: String, _ workload: Workload, options: Simulator.Options = Simulator.Options()
    ) throws -> SimulationReport {
        let json = #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limit)]}]}"#
        return try Simulator(policy: PolicyDocument(json: json), options: options).run(workload)
    }

    @Test("admits no more than each limit in an hour, by an independent account", arguments: 1...2)
    func hour(seed: UInt64) throws {
        let workload = try Workload(traffic(seed: seed))
        let report = try Simulator(policy: PolicyDocument(json: Self.gemini)).run(workload)
        #expect(report.violations.isEmpty, "seed \(seed)")
        #expect(report.admitted.calls + report.rejectedCount == workload.arrivals.count)
        for summary in report.limits {
            #expect(summary.peak <= summary.limit.kind.capacity, "seed \(seed)")
            #expect(summary.rejectedCount > 0, "seed \(seed), \(summary.limit.name)")
        }
        let rpm = report.limits[0]
        #expect(rpm.peak >= 492, "a rolling window of 60 cells yields 60/61, seed \(seed)")
        #expect(report.limits[2].peak == 8000, "a day's limit is used to the last call")
    }

    @Test("gives the same report for the same workload, to the last digit")
    func determinism() throws {
        let policy = try PolicyDocument(json: Self.gemini)
        let reports = try (0..<2).map { _ in
            try Simulator(policy: policy).run(quarterOfAnHour(seed: 9))
        }
        #expect(reports[0].log.digest == reports[1].log.digest)
        #expect(reports[0].json == reports[1].json)
        let other = try Simulator(policy: policy).run(quarterOfAnHour(seed: 10))
        #expect(other.log.digest != reports[0].log.digest)
    }

    @Test("gives a slot back when the call ends, and not before")
    func concurrency() throws {
        var options = Simulator.Options()
        options.firstTokenNanoseconds = Self.second
        options.outputTokenNanoseconds = Self.second
        let limit = #"{"name": "slots", "count": "concurrency", "limit": 1}"#
        // Two seconds a call: the first ends with the fourth's arrival.
        let offsets = [0, 1, 2 * Self.second - 1, 2 * Self.second, 60 * Self.second]
        let report = try run(limit, workload(offsets, output: 1), options: options)
        let admitted = report.log.entries.filter { $0.event == .admitted }.map(\.call)
        #expect(admitted == [0, 3, 4])
        #expect(report.rejections.map(\.reason) == [.concurrency])
        #expect(report.limits[0].peak == 1)
        #expect(report.violationCount == 0)
        #expect(report.leasesExpiredCount == 0)
    }

    @Test("renews the lease of a call that runs for longer, and ends it at the longest hold")
    func longCalls() throws {
        var options = Simulator.Options()
        options.firstTokenNanoseconds = 50 * Self.second
        let limit = """
            {"name": "slots", "count": "concurrency", "limit": 1, "lease": "1s", "max_hold": "40s"}
            """
        let offsets = [0, 30 * Self.second, 45 * Self.second]
        let report = try run(limit, workload(offsets), options: options)
        let admitted = report.log.entries.filter { $0.event == .admitted }.map(\.call)
        #expect(admitted == [0, 2])
        #expect(report.leasesExpiredCount == 2)
        #expect(report.violationCount == 0)
    }

    @Test("gives back what a caller expected and did not use")
    func expectation() throws {
        var options = Simulator.Options()
        options.expectedOutputTokens = 100
        options.firstTokenNanoseconds = 0
        options.outputTokenNanoseconds = 0
        let limit = #"{"name": "otpm", "count": "output_tokens", "limit": 100, "window": "1m"}"#
        let offsets: [Int64] = [0, 1, 2]
        let report = try run(limit, workload(offsets, output: 0), options: options)
        #expect(report.admitted.calls == 3)
        #expect(report.limits[0].peak == 100)
        #expect(report.limits[0].units == 0)
        options.firstTokenNanoseconds = Self.second
        #expect(try run(limit, workload(offsets, output: 0), options: options).admitted.calls == 1)
    }

    @Test("tells calls that never fit from those that came too often")
    func never() throws {
        let limit = #"{"name": "tpm", "count": "input_tokens", "limit": 10, "window": "1m"}"#
        let report = try run(limit, workload([0, 1, 2], input: 11))
        #expect(report.neverCount == 3)
        #expect(report.rejections.map(\.reason) == [.exceedsLimit])
        #expect(report.rejections.first?.lastAtNanoseconds == 2)
        #expect(report.limits[0].peak == 0)
        #expect(report.admitted.calls == 0)
    }

    @Test("counts the calls that no limit applies to, and runs without any call")
    func edges() throws {
        let json = """
            {"admission": 1, "policies": [{"name": "p", "match": {"tenant": "a"}, "limits": [
              {"name": "l", "count": "requests", "limit": 1, "window": "1m"}]}]}
            """
        let simulator = try Simulator(policy: PolicyDocument(json: json))
        let report = try simulator.run(workload([0, 0, 0]))
        #expect(report.unlimitedCount == 3)
        #expect(report.limits[0].keyCount == 0)
        #expect(report.limits[0].usedPermille == 0)
        let empty = try simulator.run(workload([]))
        #expect(empty.offered.calls == 0)
        #expect(empty.limits[0].peak == 0)
    }

    @Test("reports the busiest sixty seconds, whatever the clock's minutes are")
    func busiestMinute() throws {
        let offsets = [0, 50, 59, 109, 110].map { $0 * Self.second }
        let limit = #"{"name": "l", "count": "requests", "limit": 9, "window": "1m"}"#
        let report = try run(limit, workload(offsets, input: 7))
        #expect(report.offered.busiestMinuteCalls == 3)
        #expect(report.offered.busiestMinuteCallsAtNanoseconds == 0)
        #expect(report.offered.busiestMinuteInputTokens == 21)
        #expect(report.offered.inputTokens == 35)
    }

    @Test("passes on that a policy counts by an attribute that nobody gave")
    func missingAttribute() throws {
        let simulator = try Simulator(policy: PolicyDocument(json: Self.gemini))
        let error = #expect(throws: LimiterError.self) { try simulator.run(workload([0])) }
        #expect(error?.code == .missingAttribute)
    }
}
