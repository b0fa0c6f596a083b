import Testing

@testable import Admission

@Suite struct LimiterTests {
    static let policy = """
        {"admission": 1, "policies": [{"name": "p", "per": ["project"], "limits": [
          {"name": "rpm", "count": "requests", "limit": 10, "window": "1m"},
          {"name": "tpm", "count": "input_tokens", "limit": 1000, "window": "1m"},
          {"name": "rpd", "count": "requests", "limit": 250, "window": "day",
           "zone": "America/Los_Angeles"},
          {"name": "parallel", "count": "concurrency", "limit": 8}]}]}
        """

    func manual(_ json: String) throws -> Limiter {
        var options = Limiter.Options()
        options.clock = .manual(startUnixNanoseconds: 1_700_000_000_000_000_000)
        return try Limiter(policyJSON: json, options: options)
    }

    @Test("four limits admit ten requests, refuse the eleventh and admit again after 61 cells")
    func fourLimits() throws {
        let limiter = try manual(Self.policy)
        let gate = try limiter.gate(["project": "acme"])
        for _ in 0..<10 {
            switch try gate.tryAcquire(Cost(inputTokens: 50)) {
            case .admitted(let permit): try permit.complete(Usage(inputTokens: 40))
            case .rejected(let rejection): Issue.record("rejected: \(rejection)")
            }
        }
        switch try gate.tryAcquire(Cost(inputTokens: 50)) {
        case .admitted: Issue.record("admitted above the limit")
        case .rejected(let rejection):
            #expect(rejection.reason == .exhausted)
            #expect(rejection.binding.limitName == "rpm")
            #expect(rejection.retryAfterNanoseconds == 61_000_000_000)
        }
        try limiter.advance(nanoseconds: 60_999_999_999)
        if case .admitted = try gate.tryAcquire() { Issue.record("too early") }
        try limiter.advance(nanoseconds: 1)
        if case .rejected(let rejection) = try gate.tryAcquire() { Issue.record("\(rejection)") }
        print(try gate.explain().json)
        print(limiter.snapshot().json)
        print(limiter.metrics())
    }
}
