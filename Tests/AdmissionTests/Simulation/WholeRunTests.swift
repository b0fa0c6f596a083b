import Testing

@testable import Admission

/// Whole runs E10 and E11 of the shared scenarios, as far as they need no waiting.
@Suite("A whole run")
struct WholeRunTests {
    private static let second: Int64 = 1_000_000_000

    private func run(
        _ limits: String, _ arrivals: [Workload.Arrival],
        options: Simulator.Options = Simulator.Options()
    ) throws -> SimulationReport {
        let json = #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limits)]}]}"#
        let workload = try Workload(
            title: "test", startUnixNanoseconds: 0, callers: [[]], arrivals: arrivals)
        return try Simulator(policy: PolicyDocument(json: json), options: options).run(workload)
    }

    private func call(_ offset: Int64, input: Int64 = 0) -> Workload.Arrival {
        Workload.Arrival(offsetNanoseconds: offset, inputTokens: input, outputTokens: 0)
    }

    private func admittedCalls(_ report: SimulationReport) -> [Int] {
        report.log.entries.filter { $0.event == .admitted }.map(\.call)
    }

    @Test("E10: a call above the limit is told never, at once, and drains nothing")
    func oversized() throws {
        let limits = """
            {"name": "tpm", "count": "input_tokens", "rate": "40000/1m", "burst": 40000},
            {"name": "rpm", "count": "requests", "limit": 2, "window": "1m"}
            """
        let report = try run(
            limits, [call(0, input: 50_000), call(1, input: 39_999), call(2, input: 1)])
        #expect(admittedCalls(report) == [1, 2])
        #expect(report.neverCount == 1)
        #expect(report.rejections.first?.limitName == "tpm")
        #expect(report.limits.map(\.peak) == [40_000, 2])
    }

    @Test("E11: a thousand refusals for concurrency leave the requests of the minute untouched")
    func refusedByOneLevel() throws {
        let limits = """
            {"name": "rpm", "count": "requests", "limit": 10, "window": "1m"},
            {"name": "slots", "count": "concurrency", "limit": 1}
            """
        var options = Simulator.Options()
        options.firstTokenNanoseconds = Self.second
        // One call holds the slot; a thousand find it taken; then nine more, one after the other,
        // have the rest of the minute, and the eleventh finds it used up.
        let refused = (1...1000).map { call(Int64($0)) }
        let later = (1...10).map { call(Int64($0) * 2 * Self.second) }
        let report = try run(limits, [call(0)] + refused + later, options: options)
        #expect(admittedCalls(report) == [0] + Array(1001...1009))
        #expect(report.rejections.map(\.limitName) == ["rpm", "slots"])
        #expect(report.rejections.map(\.count) == [1, 1000])
        #expect(report.limits.map(\.peak) == [10, 1])
    }
}
