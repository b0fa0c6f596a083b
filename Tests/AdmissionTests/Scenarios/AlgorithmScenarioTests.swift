import Testing

@testable import Admission

/// The shared scenario tagged (algorithm), on the pure functions alone.
@Suite("S31: asking changes nothing, neither early nor often")
struct AlgorithmScenarioTests {
    /// Rates whose interval is a whole number of nanoseconds, and some whose is not.
    private static let rates: [(units: Int64, periodNanoseconds: Int64)] = [
        (100, 1_000), (7, 1_000), (300, 1_000), (999, 1_000), (1, 3), (60, 60_000_000_000),
    ]

    private static func bucket(_ rate: (units: Int64, periodNanoseconds: Int64)) -> TokenBucket {
        TokenBucket(units: rate.units, periodNanoseconds: rate.periodNanoseconds, burst: 1_000)
    }

    /// The word after charging `amount` units at `now`, whether they fit or not.
    private static func charged(
        _ bucket: TokenBucket, _ word: UInt64, now: Int64, _ amount: Int64
    ) -> UInt64 {
        let lead = bucket.lead(bucket.lead(of: word, now: now), charged: amount)
        return bucket.word(lead: lead, now: now, parity: 0)
    }

    /// The word of a bucket that was drained at `now`.
    private static func drained(_ bucket: TokenBucket, now: Int64) -> UInt64 {
        charged(bucket, bucket.fresh(now: now, parity: 0), now: now, bucket.burst)
    }

    @Test("100 units a microsecond, asked every 3 ns, reach the level of one question")
    func losesNoFraction() {
        let bucket = TokenBucket(units: 100, periodNanoseconds: 1_000, burst: 100)
        var word = Self.drained(bucket, now: 0)
        var taken: Int64 = 0
        for now in stride(from: Int64(0), to: 1_000, by: 3) + [1_000]
        where bucket.verdict(word, now: now, amount: 1).refusal == .none {
            word = Self.charged(bucket, word, now: now, 1)
            taken += 1
        }
        let once = bucket.verdict(Self.drained(bucket, now: 0), now: 1_000, amount: 1)
        #expect(once.remaining == 100)
        #expect(taken == 100)
        #expect(bucket.verdict(word, now: 1_000, amount: 1).remaining == 0)
    }

    @Test("However often it is asked, a bucket yields what it yields at once", arguments: rates)
    func yieldsTheSame(_ rate: (units: Int64, periodNanoseconds: Int64)) {
        let bucket = Self.bucket(rate)
        let step = max(1, rate.periodNanoseconds / rate.units / 3)
        let end = rate.periodNanoseconds * 900 / rate.units  // below the burst
        var word = Self.drained(bucket, now: 0)
        var taken: Int64 = 0
        for now in stride(from: Int64(0), to: end, by: Int64.Stride(step)) + [end] {
            while bucket.verdict(word, now: now, amount: 1).refusal == .none {
                word = Self.charged(bucket, word, now: now, 1)
                taken += 1
            }
        }
        let once = bucket.verdict(Self.drained(bucket, now: 0), now: end, amount: 1).remaining
        #expect(once > 0)
        #expect(taken == once)
    }

    @Test("A time earlier than the last never raises the level", arguments: rates)
    func neverRaisesTheLevel(_ rate: (units: Int64, periodNanoseconds: Int64)) {
        let bucket = Self.bucket(rate)
        let last = rate.periodNanoseconds * 100
        for word in [
            bucket.fresh(now: last, parity: 0), Self.drained(bucket, now: last),
            Self.charged(bucket, bucket.fresh(now: last, parity: 0), now: last, 400),
        ] {
            let level = bucket.verdict(word, now: last, amount: 1).remaining
            for earlier in [last - 1, last - rate.periodNanoseconds, last / 2, 0] {
                #expect(bucket.verdict(word, now: earlier, amount: 1).remaining <= level)
            }
        }
    }

    @Test(
        "A charge at an earlier time leaves the level that it leaves at the last", arguments: rates)
    func countsFromTheLast(_ rate: (units: Int64, periodNanoseconds: Int64)) {
        let bucket = Self.bucket(rate)
        let last = rate.periodNanoseconds * 100
        let later = last + rate.periodNanoseconds
        let word = Self.charged(bucket, bucket.fresh(now: last, parity: 0), now: last, 400)
        let level = { bucket.verdict($0, now: later, amount: 1).remaining }
        let atLast = level(Self.charged(bucket, word, now: last, 100))
        for earlier in [last - 1, last - rate.periodNanoseconds, last / 2] {
            #expect(level(Self.charged(bucket, word, now: earlier, 100)) == atLast)
        }
    }
}
