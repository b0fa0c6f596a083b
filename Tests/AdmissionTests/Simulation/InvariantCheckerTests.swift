import Testing

@testable import Admission

@Suite("The invariant checker")
struct InvariantCheckerTests {
    private static let second: Int64 = 1_000_000_000

    /// A checker of one policy with one limit, for one caller who is in project acme.
    private func checker(
        _ count: Count, _ kind: LimitKind, startUnixNanoseconds: Int64 = 0
    ) throws -> InvariantChecker {
        let policy = Policy(
            name: "p", per: ["project"], limits: [Limit(name: "l", count: count, kind: kind)])
        return try InvariantChecker(
            policy: PolicyDocument(policies: [policy]), callers: [[Attribute("project", "acme")]],
            startUnixNanoseconds: startUnixNanoseconds)
    }

    private func rolling(_ limit: Int64) -> LimitKind {
        .rollingWindow(
            limit: limit, windowNanoseconds: 60 * Self.second, guardNanoseconds: Self.second)
    }

    private func admitted(_ call: Int, at: Int64, tokens: Int64 = 0) -> DecisionLog.Entry {
        DecisionLog.Entry(.admitted, call: call, atNanoseconds: at, inputTokens: tokens)
    }

    private func settled(_ call: Int, at: Int64, tokens: Int64 = 0) -> DecisionLog.Entry {
        DecisionLog.Entry(.settled, call: call, atNanoseconds: at, inputTokens: tokens)
    }

    @Test("finds the call that a rolling window had no room for, and says which")
    func plantedRolling() throws {
        var checker = try checker(.requests, rolling(2))
        checker.check(admitted(0, at: 0))
        checker.check(admitted(1, at: 30 * Self.second))
        #expect(checker.violationCount == 0)
        checker.check(admitted(2, at: 61 * Self.second - 1))
        #expect(checker.violationCount == 1)
        let violation = try #require(checker.violations.first)
        #expect(violation.policyName == "p")
        #expect(violation.limitName == "l")
        #expect(violation.call == 2)
        #expect(violation.used == 3)
        #expect(violation.capacity == 2)
    }

    @Test("has no complaint when a call comes a window and its guard after the one before")
    func rollingEdge() throws {
        var checker = try checker(.requests, rolling(1))
        checker.check(admitted(0, at: 0))
        checker.check(admitted(1, at: 61 * Self.second))
        #expect(checker.violationCount == 0)
        #expect(checker.accounts[0].peak == 1)
        #expect(checker.accounts[0].units == 2)
    }

    @Test("takes back what a call used less, and only while it still counts")
    func refund() throws {
        var checker = try checker(.inputTokens, rolling(10))
        checker.check(admitted(0, at: 0, tokens: 10))
        checker.check(settled(0, at: Self.second, tokens: 4))
        checker.check(admitted(1, at: 2 * Self.second, tokens: 6))
        #expect(checker.violationCount == 0)
        checker.check(admitted(2, at: 61 * Self.second, tokens: 4))
        checker.check(settled(1, at: 90 * Self.second, tokens: 0))
        #expect(checker.violationCount == 0)
        checker.check(admitted(3, at: 91 * Self.second, tokens: 7))
        #expect(checker.violationCount == 1)
    }

    @Test("lets usage above the cost exceed a limit, and no call on top of it")
    func debt() throws {
        var checker = try checker(.inputTokens, rolling(10))
        checker.check(admitted(0, at: 0, tokens: 1))
        checker.check(settled(0, at: 5, tokens: 50))
        #expect(checker.violationCount == 0)
        #expect(checker.accounts[0].peak == 50)
        checker.check(admitted(1, at: 6, tokens: 0))
        #expect(checker.violationCount == 1)
        checker.check(admitted(2, at: 61 * Self.second + 5, tokens: 10))
        #expect(checker.violationCount == 1)
    }

    @Test("finds a bucket that runs above its rate by one nanosecond")
    func plantedBucket() throws {
        let kind = LimitKind.tokenBucket(units: 3, periodNanoseconds: 10_000_000, burst: 2)
        var checker = try checker(.requests, kind)
        checker.check(admitted(0, at: 0))
        checker.check(admitted(1, at: 0))
        // A unit comes back in ten thirds of a millisecond.
        checker.check(admitted(2, at: 3_333_334))
        #expect(checker.violationCount == 0)
        checker.check(admitted(3, at: 6_666_666))
        #expect(checker.violationCount == 1)
    }

    @Test("counts a bucket without overflow at its largest")
    func largestBucket() throws {
        let most: Int64 = 1_000_000_000_000
        let kind = LimitKind.tokenBucket(
            units: most, periodNanoseconds: 31_536_000_000_000_000, burst: most)
        var checker = try checker(.inputTokens, kind)
        checker.check(admitted(0, at: 0, tokens: most))
        #expect(checker.violationCount == 0)
        checker.check(admitted(1, at: 1, tokens: 1))
        #expect(checker.violations.first?.used == most + 1)
    }

    @Test("finds a call above a day's limit, and starts anew at local midnight")
    func plantedCalendar() throws {
        let kind = LimitKind.calendarWindow(
            limit: 1, unit: .day, zone: "America/Los_Angeles", guardNanoseconds: Self.second)
        // 2023-11-16 23:00 in California.
        var checker = try checker(
            .requests, kind, startUnixNanoseconds: 1_700_204_400 * Self.second)
        checker.check(admitted(0, at: 0))
        checker.check(admitted(1, at: 3601 * Self.second))
        #expect(checker.violationCount == 0)
        checker.check(admitted(2, at: 3602 * Self.second))
        #expect(checker.violations.first?.isWithinGuard == false)
        checker.check(admitted(3, at: 90_000 * Self.second))
        #expect(checker.violations.last?.isWithinGuard == true)
        #expect(checker.violationCount == 2)
    }

    @Test("finds one lease too many, frees a slot at the settlement and at the longest hold")
    func plantedConcurrency() throws {
        let kind = LimitKind.concurrency(
            limit: 1, leaseNanoseconds: Self.second, maxHoldNanoseconds: 10 * Self.second)
        var checker = try checker(.concurrency, kind)
        checker.check(admitted(0, at: 0))
        checker.check(settled(0, at: 5))
        checker.check(admitted(1, at: 5))
        checker.check(admitted(2, at: 10 * Self.second + 5))
        #expect(checker.violationCount == 0)
        checker.check(admitted(3, at: 10 * Self.second + 6))
        #expect(checker.violationCount == 1)
    }

    @Test("keeps the keys of a policy apart, and counts those of nobody")
    func keys() throws {
        let limit = Limit(name: "l", count: .requests, kind: rolling(1))
        let policies = [
            Policy(
                name: "mine", match: [AttributeMatch("tenant", .present)], per: ["tenant"],
                limits: [limit]),
            Policy(name: "rest", isDefault: true, limits: [limit]),
            Policy(name: "other", match: [AttributeMatch("tenant", .value("c"))], limits: [limit]),
        ]
        var checker = try InvariantChecker(
            policy: PolicyDocument(policies: policies),
            callers: [[Attribute("tenant", "a")], [Attribute("tenant", "b")], []],
            startUnixNanoseconds: 0)
        for caller in 0..<3 {
            checker.check(
                DecisionLog.Entry(.admitted, call: caller, caller: caller, atNanoseconds: 0))
        }
        #expect(checker.violationCount == 0)
        #expect(checker.accounts.map(\.keyCount) == [2, 1, 0])
        checker.check(DecisionLog.Entry(.admitted, call: 9, caller: 1, atNanoseconds: 0))
        #expect(checker.violations.map(\.policyName) == ["mine"])
    }

    @Test("keeps the first hundred violations and counts the others")
    func bound() throws {
        var checker = try checker(.requests, rolling(1))
        for call in 0..<150 { checker.check(admitted(call, at: 0)) }
        #expect(checker.violationCount == 149)
        #expect(checker.violations.count == InvariantChecker.maximumViolations)
    }

    @Test("looks neither at rejections nor at settlements of calls that are not open")
    func ignored() throws {
        var checker = try checker(.requests, rolling(1))
        checker.check(DecisionLog.Entry(.rejected, call: 0, atNanoseconds: 0))
        checker.check(settled(1, at: 0))
        checker.check(admitted(2, at: 0))
        #expect(checker.violationCount == 0)
        #expect(checker.admissionCount == 1)
    }

    @Test("needs the attributes that a policy counts by")
    func missingAttribute() throws {
        let policy = Policy(
            name: "p", per: ["project"],
            limits: [Limit(name: "l", count: .requests, kind: rolling(1))])
        let error = #expect(throws: LimiterError.self) {
            try InvariantChecker(
                policy: PolicyDocument(policies: [policy]), callers: [[]], startUnixNanoseconds: 0)
        }
        #expect(error?.code == .missingAttribute)
    }
}
