@testable import Admission

/// Random policy documents: several policies, every kind of limit, small numbers, so that the
/// limits bind and their edges are met.
struct LawDocuments {
    /// Whether wall time is stepped back: then one calendar limit alone, since two that disagree
    /// about what lies ahead have no order in which they are asked.
    let hasSteps: Bool
    let hasConcurrency: Bool
    /// Whether a reload may change a bucket: one store converts levels by less than 4 us otherwise.
    let changesBuckets: Bool

    private static let names = ["a", "b", "c", "d", "e"]
    private static let counts: [Count] = [
        .requests, .requests, .inputTokens, .outputTokens, .tokens, Count("images"),
    ]
    private static let second: Int64 = 1_000_000_000

    func document(_ numbers: inout SeededNumbers) throws -> PolicyDocument {
        var policies: [Policy] = []
        var calendars = 0
        let shapes: [(match: [AttributeMatch], per: [String], isDefault: Bool)] = [
            ([], ["project"], false),
            ([AttributeMatch("model", .value("x"))], ["project", "model"], false),
            ([AttributeMatch("model", .oneOf(["y", "z"]))], [], false),
            ([AttributeMatch("tenant", .present)], ["tenant"], false),
            ([], ["project"], true),
        ]
        for (index, shape) in shapes.enumerated() where index == 0 || numbers.isOne(of: 2) {
            var limits: [Limit] = []
            for name in Self.names.prefix(1 + numbers.below(3)) {
                limits.append(limit(name, &numbers, &calendars))
            }
            policies.append(
                Policy(
                    name: "p\(index)", match: shape.match, isDefault: shape.isDefault,
                    per: shape.per, limits: limits))
        }
        return try PolicyDocument(policies: policies)
    }

    private func limit(
        _ name: String, _ numbers: inout SeededNumbers, _ calendars: inout Int
    ) -> Limit {
        switch numbers.below(hasConcurrency ? 8 : 7) {
        case 0, 1, 2:
            return Limit(name: name, count: numbers.pick(Self.counts), kind: bucket(&numbers))
        case 3, 4:
            return Limit(name: name, count: numbers.pick(Self.counts), kind: rolling(&numbers))
        case 5, 6:
            calendars += 1
            if hasSteps && calendars > 1 {
                return Limit(name: name, count: numbers.pick(Self.counts), kind: rolling(&numbers))
            }
            return Limit(name: name, count: numbers.pick(Self.counts), kind: calendar(&numbers))
        default:
            return Limit(name: name, count: .concurrency, kind: concurrency(&numbers))
        }
    }

    private func bucket(_ numbers: inout SeededNumbers) -> LimitKind {
        let periods: [Int64] = [
            1_000_000, 90_000_000, Self.second, 60 * Self.second, 3_600 * Self.second,
        ]
        let period = numbers.pick(periods)
        // An interval of at least 1 µs: finer ones have a law of their own.
        let most = min(period / 1_000, 5_000)
        return .tokenBucket(
            units: numbers.number(1...most), periodNanoseconds: period,
            burst: numbers.isOne(of: 4) ? 1 : numbers.number(1...200))
    }

    private func rolling(_ numbers: inout SeededNumbers) -> LimitKind {
        let windows: [Int64] = [
            1_000_000, 7_000_000, Self.second, 60 * Self.second, 3_600 * Self.second,
            7_200 * Self.second,
        ]
        let window = numbers.pick(windows)
        let guarding = numbers.isOne(of: 3) ? window / 1_000_000 / 3 * 1_000_000 : 0
        return .rollingWindow(
            limit: numbers.number(1...60), windowNanoseconds: window, guardNanoseconds: guarding)
    }

    private func calendar(_ numbers: inout SeededNumbers) -> LimitKind {
        let zones = ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe"]
        return .calendarWindow(
            limit: numbers.number(1...200), unit: numbers.pick(CalendarUnit.allCases),
            zone: numbers.pick(zones),
            guardNanoseconds: numbers.isOne(of: 3) ? numbers.number(1...30) * Self.second : 0)
    }

    private func concurrency(_ numbers: inout SeededNumbers) -> LimitKind {
        let lease = numbers.number(1...300) * 100_000_000
        return .concurrency(
            limit: numbers.number(1...12), leaseNanoseconds: lease,
            maxHoldNanoseconds: lease * numbers.number(1...5))
    }

    /// The same limits with other numbers; a limit may go, and windows may change, which makes
    /// counters of their own.
    func changed(
        _ document: PolicyDocument, _ numbers: inout SeededNumbers
    ) throws -> PolicyDocument {
        var policies = document.policies
        for index in policies.indices {
            for place in policies[index].limits.indices where numbers.isOne(of: 2) {
                let kind = policies[index].limits[place].kind
                policies[index].limits[place].kind = changed(kind, &numbers)
            }
            if policies[index].limits.count > 1, numbers.isOne(of: 10) {
                policies[index].limits.removeLast()
            }
        }
        return try PolicyDocument(policies: policies)
    }

    private func changed(_ kind: LimitKind, _ numbers: inout SeededNumbers) -> LimitKind {
        switch kind {
        case .tokenBucket: return changesBuckets ? bucket(&numbers) : kind
        case .rollingWindow(_, let window, let guarding):
            if numbers.isOne(of: 5) { return rolling(&numbers) }
            return .rollingWindow(
                limit: numbers.number(1...60), windowNanoseconds: window,
                guardNanoseconds: guarding)
        case .calendarWindow(_, let unit, let zone, _):
            return .calendarWindow(
                limit: numbers.number(1...200), unit: unit, zone: zone,
                guardNanoseconds: numbers.isOne(of: 3) ? numbers.number(1...30) * Self.second : 0)
        case .concurrency: return concurrency(&numbers)
        }
    }
}
