import Testing

@testable import Admission

/// Faults that the laws found, each made small.
@Suite struct SettlementTests {
    private static func limiter(_ limits: String, per: String = "") throws -> Limiter {
        try Limiter(
            policyJSON: document(limits, per: per),
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: 1_700_000_000_000_000_000),
                heartbeat: .manual))
    }

    private static func document(_ limits: String, per: String = "") -> String {
        #"{"admission": 1, "policies": [{"name": "p", \#(per)"limits": [\#(limits)]}]}"#
    }

    @Test("a permit that is open over two reloads gives back units of the size now in force")
    func twoReloads() throws {
        func bucket(_ rate: String) -> String {
            #"{"name": "a", "count": "requests", "rate": "\#(rate)", "burst": 1000}"#
        }
        let limiter = try Self.limiter(bucket("1/h"))
        let gate = try limiter.gate([])
        let permit = gate.ask(takesPermit: true).record.permit
        try limiter.reload(policyJSON: Self.document(bucket("2/h")))
        try limiter.reload(policyJSON: Self.document(bucket("1000/s")))
        #expect(gate.ask(requests: 999).record.outcome == 1)
        #expect(limiter.abandonPermit(permit) == 0)
        #expect(try gate.explain().limits[0].remaining == 1)
    }

    @Test("a permit whose lease ran out never frees another key's lease")
    func reusedSlots() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "concurrency", "limit": 1, "lease": "1s"}"#,
            per: #""per": ["k"], "#)
        var gate: Gate? = try limiter.gate(["k": "old"])
        let old = try #require(gate).ask(takesPermit: true).record.permit
        gate = nil
        try limiter.advance(nanoseconds: 2_000_000_000)
        #expect(limiter.reclaim() == 1)
        let other = try limiter.gate(["k": "new"])
        #expect(other.ask(takesPermit: true).record.outcome == 1)
        #expect(limiter.dropPermit(old) == 402)
        #expect(other.ask(takesPermit: true).record.outcome == 2)
    }

    @Test("the guard behind a boundary holds up no cost of 0")
    func guardAndNothing() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "requests", "limit": 1, "window": "minute", "guard": "10s"}"#)
        let gate = try limiter.gate([])
        // 1,700,000,000 s is 20 s behind a minute.
        try limiter.advance(nanoseconds: 40_000_000_000)
        #expect(gate.ask().record.reason == 5)
        #expect(gate.ask(requests: 0).record.outcome == 1)
    }

    @Test("a step of the wall clock back over a boundary moves no rolling window")
    func stepBack() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "requests", "limit": 100, "window": "day"}, "#
                + #"{"name": "b", "count": "requests", "limit": 2, "window": "1m"}"#)
        let gate = try limiter.gate([])
        try limiter.advance(nanoseconds: 86_400_000_000_000)
        #expect(gate.ask().record.outcome == 1)
        let wall = limiter.snapshot().wall.unixNanoseconds
        try limiter.setTime(unixNanoseconds: wall - 86_400_000_000_000)
        let record = gate.ask().record
        #expect(record.outcome == 1)
        #expect(record.decidedAtNanoseconds == 86_400_000_000_000)
        #expect(record.decidedAtUnixNanoseconds / 86_400_000_000_000 == wall / 86_400_000_000_000)
        #expect(gate.ask().record.retryAfterNanoseconds <= 61_000_000_000)
        try limiter.advance(nanoseconds: 61_000_000_000)
        #expect(gate.ask().record.outcome == 1)
    }

    @Test("a damaged calendar word holds a refused gate up to the window's end, no longer")
    func damage() throws {
        let limiter = try Self.limiter(
            #"{"name": "a", "count": "requests", "limit": 1, "window": "day"}"#)
        let gate = try limiter.gate([])
        try limiter.advance(nanoseconds: 10 * 86_400_000_000_000)
        #expect(gate.ask().record.outcome == 1)
        #expect(gate.ask().record.outcome == 2)
        let wall = limiter.snapshot().wall.unixNanoseconds
        try limiter.setTime(unixNanoseconds: wall - 5 * 86_400_000_000_000)
        let refused = gate.ask().record
        #expect(refused.outcome == 2)
        try limiter.advance(nanoseconds: refused.retryAfterNanoseconds - 1)
        #expect(gate.ask().record.outcome == 2)
        try limiter.advance(nanoseconds: 1)
        #expect(gate.ask().record.outcome == 1)
    }

    @Test("slots that a reload adds are free at once, and those it takes away are not given")
    func slots() throws {
        func document(_ limit: Int) -> String {
            Self.document(#"{"name": "a", "count": "concurrency", "limit": \#(limit)}"#)
        }
        let limiter = try Self.limiter(#"{"name": "a", "count": "concurrency", "limit": 2}"#)
        let gate = try limiter.gate([])
        var permits = (0..<2).map { _ in gate.ask(takesPermit: true).record.permit }
        #expect(gate.ask(takesPermit: true).record.outcome == 2)
        try limiter.reload(policyJSON: document(40))
        for _ in 0..<38 {
            let record = gate.ask(takesPermit: true).record
            #expect(record.outcome == 1)
            permits.append(record.permit)
        }
        #expect(gate.ask(takesPermit: true).record.outcome == 2)
        try limiter.reload(policyJSON: document(3))
        for permit in permits.prefix(37) {
            #expect(limiter.dropPermit(permit) == 0)
            #expect(gate.ask(takesPermit: true).record.outcome == 2)
        }
        #expect(limiter.dropPermit(permits[37]) == 0)
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        #expect(gate.ask(takesPermit: true).record.outcome == 2)
    }
}
