import Testing

@testable import Admission

/// Rates are exact: never above, and at most one part in ten thousand below.
@Suite struct RateLawTests {
    private static let hour: Int64 = 3_600_000_000_000
    private static let minute: Int64 = 60_000_000_000
    private static let second: Int64 = 1_000_000_000

    /// A caller that always asks: at each instant at which the bucket says that it may.
    ///
    /// - Returns: units admitted behind the first burst, and the nanoseconds that it took.
    private static func greedy(
        _ bucket: TokenBucket, cost: Int64, decisions: Int
    ) throws -> (units: Int128, nanoseconds: Int128) {
        var now: Int64 = 0
        var word = bucket.fresh(now: 0, parity: 0)
        // Empties the bucket at 0.
        word = bucket.exceeded(word, now: 0, amount: bucket.burst, parity: 0)
        var units: Int128 = 0
        for _ in 0..<decisions {
            let refused = bucket.verdict(word, now: now, amount: cost)
            #expect(refused.refusal == .exhausted)
            let (instant, overflow) = now.addingReportingOverflow(refused.retryAfterNanoseconds)
            guard !overflow, instant < 1 << 61 else { break }
            #expect(bucket.verdict(word, now: instant - 1, amount: cost).refusal == .exhausted)
            #expect(bucket.verdict(word, now: instant, amount: cost).refusal == .none)
            now = instant
            let lead = bucket.lead(of: word, now: now)
            word = bucket.word(lead: bucket.lead(lead, charged: cost), now: now, parity: 0)
            units += Int128(cost)
        }
        return (units, Int128(now))
    }

    private static func check(_ units: Int64, _ period: Int64, burst: Int64) throws {
        let bucket = TokenBucket(units: units, periodNanoseconds: period, burst: burst)
        let cost = max(1, burst - 1)
        let (charged, time) = try greedy(bucket, cost: cost, decisions: 400)
        guard charged > 0 else { return }
        // charged <= rate x time: the bucket was empty at 0.
        #expect(charged * Int128(period) <= time * Int128(units), "\(units)/\(period) ns")
        // And not later than by 1/10,000 and the nanosecond that each instant is rounded up by.
        let least = (time - 400) * Int128(units) * 9_999 / 10_000
        #expect(charged * Int128(period) >= least, "\(units)/\(period) ns, burst \(burst)")
    }

    @Test(
        "a greedy caller gets at most the rate and at least 99.99 % of it",
        arguments: [
            (1, 8_760 * hour), (1, hour), (7, hour), (1_000_000_000, minute),
            (999_999_999, minute), (1_000_000_001, second), (1_000_000_000, second),
            (60_000, second), (70_000_000, minute), (1, 90_000_000), (3, 1_000_000),
            (1_000_000_000_000, hour), (12_345_678_901, hour),
        ] as [(Int64, Int64)])
    func rate(_ units: Int64, _ period: Int64) throws {
        for burst: Int64 in [1, 2, 1_000, 1_000_000] {
            let interval = Int128(period) / Int128(units) + 1
            guard (Int128(burst) + 1) * interval < 1 << 60 else { continue }
            try Self.check(units, period, burst: burst)
        }
    }

    @Test("so does one of random rates")
    func randomRates() throws {
        var numbers = SeededNumbers(seed: TestLength.seed)
        for _ in 0..<(TestLength.isSoak ? 20_000 : 200) {
            let period = numbers.pick([
                1_000_000, 90_000_000, Self.second, Self.minute, Self.hour, 8_760 * Self.hour,
            ])
            let most = Int64(1) << numbers.number(0...40)
            // At most a unit a nanosecond and one in a second more.
            let units = min(numbers.number(1...min(most, 1_000_000_000_000)), period + 1)
            let burst = numbers.number(1...1_000)
            guard Int128(period) / Int128(units) * Int128(burst) < 1 << 59 else { continue }
            try Self.check(units, period, burst: burst)
        }
    }

    @Test("a limiter on the manual clock gives a billion a minute, and no more")
    func wholeLimiter() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "a", "count": "requests", "rate": "1000000000/m", "burst": 1000000}]}]}
                """,
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: 0)))
        let gate = try limiter.gate([])
        var total: Int64 = 0
        var charges: [LoggedCharge] = []
        while limiter.snapshot().steady.nanoseconds < Self.minute {
            let record = gate.ask(requests: 999_983).record
            if record.outcome == 1 {
                total += 999_983
                charges.append(record.charge(999_983))
            } else {
                try limiter.advance(nanoseconds: record.retryAfterNanoseconds)
            }
        }
        let above = RaceBounds.mostAboveRate(charges, units: 1_000_000_000, period: Self.minute)
        #expect(above <= 1_000_000 * Int128(Self.minute))
        #expect(total <= 1_001_000_000 && total >= 999_900_000, "\(total)")
    }
}
