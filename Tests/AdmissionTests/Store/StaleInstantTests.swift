import Testing

@testable import Admission

/// A thread that is held up between its reading of the clock and its swap.
@Suite struct StaleInstantTests {
    private static func gate(_ limit: String) throws -> (Limiter, Gate) {
        let limiter = try Limiter(
            policyJSON: #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limit)]}]}"#,
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: 1_700_000_040_000_000_000)))
        try limiter.advance(nanoseconds: 1_000_000_000_000)
        return (limiter, try limiter.gate([]))
    }

    /// Takes a step as a caller would whose instant is `behind` ns old.
    private static func take(_ gate: Gate, behind: Int64) -> (StepOutcome, ChargeMoment) {
        let plan = gate.storage.first
        let clock = plan.hot.pointee.clock
        var moment = ChargeMoment(
            now: clock.now() - behind, wallOffset: clock.wallOffset(), owner: 1)
        var charge = StepCharge()
        let outcome = withUnsafeMutablePointer(to: &charge) { charge in
            plan.step(0).take(1, &moment, charge)
        }
        return (outcome, moment)
    }

    @Test("an empty bucket is not taken for an idle one by a caller whose instant is old")
    func bucket() throws {
        for behind: Int64 in [0, 1, 40_000, 1_000_000, 1_000_000_000, 500_000_000_000] {
            let (limiter, gate) = try Self.gate(
                #"{"name": "a", "count": "requests", "rate": "300007/s", "burst": 10}"#)
            for _ in 0..<10 { #expect(gate.ask().record.outcome == 1) }
            let (outcome, moment) = Self.take(gate, behind: behind)
            #expect(outcome != .taken, "\(behind) ns behind")
            if outcome == .raised { #expect(moment.now == limiter.snapshot().steady.nanoseconds) }
            #expect(gate.ask().record.outcome == 2, "\(behind) ns behind")
            limiter.close()
        }
    }

    @Test("a spent calendar window is not reopened by a caller whose instant is windows old")
    func calendar() throws {
        for behind: Int64 in [0, 60_000_000_000, 120_000_000_000, 600_000_000_000] {
            let (limiter, gate) = try Self.gate(
                #"{"name": "a", "count": "requests", "limit": 5, "window": "minute"}"#)
            for _ in 0..<5 { #expect(gate.ask().record.outcome == 1) }
            let (outcome, _) = Self.take(gate, behind: behind)
            #expect(outcome != .taken, "\(behind) ns behind")
            #expect(gate.ask().record.outcome == 2, "\(behind) ns behind")
            limiter.close()
        }
    }

    @Test("a rolling window gives nothing to a caller whose instant is old")
    func rolling() throws {
        for behind: Int64 in [0, 20_000_000, 1_000_000_000, 600_000_000_000] {
            let (limiter, gate) = try Self.gate(
                #"{"name": "a", "count": "requests", "limit": 5, "window": "1s"}"#)
            for _ in 0..<5 { #expect(gate.ask().record.outcome == 1) }
            let (outcome, _) = Self.take(gate, behind: behind)
            #expect(outcome != .taken, "\(behind) ns behind")
            #expect(gate.ask().record.outcome == 2, "\(behind) ns behind")
            limiter.close()
        }
    }
}
