@testable import Admission

/// Every unit of a token bucket, twice: in exact fractions, which nothing may exceed, and with the
/// interval as finely as the store keeps it, by which every refusal must be right: rounded up where a
/// segment may, exact where time comes in whole microseconds.
final class BucketLog: KeyLog {
    private(set) var capacity: Int64
    private var units: Int128
    private var period: Int128
    /// Interval in quanta, of which `scale` are a nanosecond, rounded up.
    private var interval: Int128
    private var scale: Int128
    private let grain: Int64
    /// Quanta ahead of `at`.
    private var lead: Int128 = 0
    /// Units in use, times the period: exact.
    private var exact: Int128 = 0
    private var at: Int64 = 0

    init(units: Int64, period: Int64, burst: Int64, at now: Int64, grain: Int64 = 1) {
        capacity = burst
        self.units = Int128(units)
        self.period = Int128(period)
        self.grain = grain
        (interval, scale) = Self.interval(
            units: Int128(units), period: Int128(period), grain: grain)
        at = now
    }

    /// The coarsest quanta with which rounding up costs at most 1/20,000 of the rate.
    private static func interval(
        units: Int128, period: Int128, grain: Int64
    ) -> (quanta: Int128, scale: Int128) {
        if grain > 1 { return (period, units) }
        for shift in 0...20 {
            let span = period << Int128(shift)
            let quanta = (span + units - 1) / units
            let excess = quanta * units - span
            if excess * 20_000 <= span || shift == 20 { return (quanta, 1 << Int128(shift)) }
        }
        return (1, 1)
    }

    private func settle(_ now: Int64) {
        let passed = Int128(now - at)
        guard passed > 0 else { return }
        lead = max(0, lead - passed * scale)
        exact = max(0, exact - passed * units)
        at = now
    }

    private var tolerance: Int128 { Int128(capacity) * interval }

    func answer(_ amount: Int64, at moment: LogMoment) -> LogAnswer {
        settle(moment.now)
        let left = lead <= tolerance ? Int64((tolerance - lead) / interval) : 0
        let used = Int64((lead + interval - 1) / interval)
        var answer = LogAnswer(remaining: left, used: used)
        let beyond = lead + Int128(amount) * interval - tolerance
        if amount > capacity {
            answer.reason = .exceedsLimit
        } else if beyond > 0 {
            answer.reason = amount == 0 ? .debt : .exhausted
            let step = scale * Int128(grain)
            answer.retryAfterNanoseconds = Int64((beyond + step - 1) / step) * grain
        }
        return answer
    }

    func charge(_ amount: Int64, at moment: LogMoment, broken: (String) -> Void) -> LogPlace {
        settle(moment.now)
        lead += Int128(amount) * interval
        exact += Int128(amount) * period
        if amount > 0, exact > Int128(capacity) * period {
            broken("\(exact)/\(period) units above a burst of \(capacity)")
        }
        return LogPlace(group: 0, id: 0)
    }

    func exceed(_ amount: Int64, at moment: LogMoment) -> LogPlace {
        settle(moment.now)
        lead += Int128(amount) * interval
        exact += Int128(amount) * period
        return LogPlace(group: 0, id: 0)
    }

    func refund(_ amount: Int64, from place: LogPlace, at moment: LogMoment) {
        settle(moment.now)
        lead = max(0, lead - Int128(amount) * interval)
        exact = max(0, exact - Int128(amount) * period)
    }

    /// The level stays, cut to the new burst; parts of a unit go to the caller's disadvantage.
    func reload(_ kind: LimitKind, at moment: LogMoment) {
        guard case .tokenBucket(let units, let period, let burst) = kind else { return }
        guard Int128(units) != self.units || Int128(period) != self.period || burst != capacity
        else { return }
        settle(moment.now)
        let (newInterval, newScale) = Self.interval(
            units: Int128(units), period: Int128(period), grain: grain)
        let newTolerance = Int128(burst) * newInterval
        if lead > tolerance {
            let debt = (lead + interval - 1) / interval - Int128(capacity)
            lead = newTolerance + debt * newInterval
        } else {
            lead = max(0, newTolerance - (tolerance - lead) * newInterval / interval)
        }
        let level = Int128(capacity) * self.period - exact
        let product = level * Int128(period)
        let scaled = product > 0 ? (product + self.period - 1) / self.period : product / self.period
        exact = max(0, Int128(burst) * Int128(period) - scaled)
        capacity = burst
        self.units = Int128(units)
        self.period = Int128(period)
        (interval, scale) = (newInterval, newScale)
    }

    /// A bucket that nobody has touched.
    func fill() {
        lead = 0
        exact = 0
    }

    func reclaim(at moment: LogMoment) -> Bool {
        settle(moment.now)
        return lead == 0
    }
}
