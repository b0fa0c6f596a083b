/// A bucket that holds up to `burst` units and is refilled at a steady rate.
///
/// Promise: over any span t, units charged less units given back in it are at most
/// burst + rate·t, and a caller that always asks gets at least 99.99 % of the rate. It puts up to
/// burst + rate·60 s into one minute: for pacing, not for a provider's minute.
///
/// The algorithm is GCRA (ITU-T I.371, 1993, the virtual scheduling form): the state is one
/// instant, the theoretical arrival time (TAT), at which the bucket would be full. A bucket with
/// TAT = now is full; a unit moves it ahead by one emission interval; a charge fits while the TAT
/// stays within burst intervals of now. We differ in four points:
/// - Time is kept in quanta of 2^-shift ns. The interval, a whole number of quanta, is rounded up,
///   never down; shift is the least with which that costs at most 1/20,000 of the rate: 0 for
///   whole nanoseconds and for most others above a microsecond.
/// - The word is `TAT << 1 | parity`, all arithmetic doubled. The parity tells under which of two
///   successive parameter sets the TAT was computed, so that a reload converts a bucket by one
///   swap (`converted(_:from:now:)`) and a decision with old parameters cannot change it.
/// - With shift > 0 the TAT is known modulo a cycle of 2^(63 - shift) ns (a year and more for
///   intervals of 60 ns, days for those of 1 ns). What it means is certain while the bucket was
///   touched within half a cycle, so its record keeps a stamp that is never much older: see
///   `needsStamp`, and `BucketStamp` in the segment.
/// - Usage above the charge moves the TAT beyond the burst: a debt, paid at the rate.
///
/// Does not read a clock, wait or hold state: words and instants come in, words go out.
package struct TokenBucket: Sendable, Hashable {
    /// Doubled quanta per unit.
    package let interval: UInt64
    /// Doubled quanta of a whole burst: the farthest that a charge may put the TAT ahead of now.
    package let tolerance: UInt64
    /// Doubled quanta; no debt puts the TAT farther ahead: a quarter of the cycle with shift > 0.
    package let farthest: UInt64
    /// The burst in units.
    package let burst: Int64
    /// floor((2^64 - 1) / interval), for division by multiplication.
    package let reciprocal: UInt64
    /// Left shift from nanoseconds to doubled quanta: shift + 1.
    package let nanosecondShift: UInt64

    /// A word that no bucket ever has: the key was retired.
    package static let retired = UInt64.max

    /// - Parameters:
    ///   - units: units that come back in each period, 1 … 10^12.
    ///   - periodNanoseconds: length of the period, 1 or more.
    ///   - burst: capacity in units, 1 … 10^12; (burst + 1) x interval is at most 2^62 ns, which a
    ///     policy document checks.
    package init(units: Int64, periodNanoseconds: Int64, burst: Int64) {
        let units = UInt64(max(1, units))
        let period = UInt64(max(1, periodNanoseconds))
        var shift: UInt64 = 0
        var quanta = Self.quotientUp(period, shift: 0, by: units)
        while shift < 20, Self.losesTooMuch(period, shift: shift, by: units) {
            shift += 1
            quanta = Self.quotientUp(period, shift: shift, by: units)
        }
        interval = quanta &* 2
        self.burst = max(1, burst)
        tolerance = interval.multipliedSaturated(UInt64(self.burst), atMost: UInt64(Int64.max) - 1)
        farthest =
            shift == 0
            ? UInt64(Int64.max) - 1
            : 1 << 62
        reciprocal = UInt64.max / interval
        nanosecondShift = shift + 1
    }

    private static func quotientUp(_ period: UInt64, shift: UInt64, by units: UInt64) -> UInt64 {
        let dividend = period.multipliedFullWidth(by: 1 << shift)
        guard dividend.high < units else { return UInt64(Int64.max) / 2 }
        let (quotient, remainder) = units.dividingFullWidth(dividend)
        return max(1, quotient + (remainder > 0 ? 1 : 0))
    }

    /// Whether rounding the interval up to whole quanta costs more than 1/20,000 of the rate.
    private static func losesTooMuch(_ period: UInt64, shift: UInt64, by units: UInt64) -> Bool {
        let span = period.multipliedFullWidth(by: 1 << shift)
        // So long a period has intervals of more than 20,000 quanta.
        guard span.high == 0 else { return false }
        let rest = span.low % units
        return rest > 0 && (units - rest).multipliedSaturated(20_000, atMost: .max) > span.low
    }

    /// The word of a bucket that nobody has touched.
    @inline(__always)
    package func fresh(now: Int64, parity: UInt64) -> UInt64 {
        avoidingRetired(scaled(now) | parity)
    }

    /// How far the TAT lies ahead of now, in doubled quanta; 0 for a full bucket.
    @inline(__always)
    package func lead(of word: UInt64, now: Int64) -> UInt64 {
        let lead = (word & ~1) &- scaled(now)
        return lead > UInt64(Int64.max) ? 0 : lead
    }

    /// Whether a key must keep a stamp: its words mean something within half a cycle alone.
    @inline(__always)
    package var needsStamp: Bool { nanosecondShift > 1 }

    /// Nanoseconds of a cycle's eighth: a stamp is renewed when it is older.
    package var stampNanoseconds: Int64 { Int64(bitPattern: (1 << 61) >> nanosecondShift) }

    /// The lead after `amount` more units; `amount` is at most the burst.
    @inline(__always)
    package func lead(_ lead: UInt64, charged amount: Int64) -> UInt64 {
        lead &+ UInt64(bitPattern: amount) &* interval
    }

    /// The word for a lead.
    @inline(__always)
    package func word(lead: UInt64, now: Int64, parity: UInt64) -> UInt64 {
        avoidingRetired((scaled(now) &+ lead) | parity)
    }

    /// Whole units left at a lead: 0 in debt.
    @inline(__always)
    package func remaining(lead: UInt64) -> Int64 {
        guard lead <= tolerance else { return 0 }
        let span = tolerance &- lead
        var quotient = span.multipliedFullWidth(by: reciprocal).high
        // The reciprocal is rounded down: the quotient is exact or one too small.
        if span &- quotient &* interval >= interval { quotient &+= 1 }
        return Int64(bitPattern: quotient)
    }

    /// Units used at a lead, parts of a unit counted as whole; above the burst in debt.
    package func used(lead: UInt64) -> Int64 {
        let (quotient, remainder) = lead.quotientAndRemainder(dividingBy: interval)
        return Int64(quotient) + (remainder > 0 ? 1 : 0)
    }

    /// Nanoseconds, rounded up, in which a lead of `quanta` passes.
    @inline(__always)
    package func nanoseconds(_ quanta: UInt64) -> Int64 {
        let shifted = quanta >> nanosecondShift
        let rest = quanta & ((1 << nanosecondShift) &- 1)
        return Int64(bitPattern: shifted) &+ (rest > 0 ? 1 : 0)
    }

    /// What the bucket says to a charge, without changing anything.
    ///
    /// - Parameter amount: units, 0 or more; 0 is refused only in debt.
    package func verdict(_ word: UInt64, now: Int64, amount: Int64) -> Verdict {
        let lead = lead(of: word, now: now)
        let remaining = remaining(lead: lead)
        guard amount <= burst else { return Verdict(.exceedsLimit, remaining: remaining) }
        let after = self.lead(lead, charged: amount)
        guard after > tolerance else { return Verdict(.none, remaining: remaining) }
        return Verdict(
            amount == 0 ? .debt : .exhausted,
            retryAfterNanoseconds: nanoseconds(after &- tolerance), remaining: remaining)
    }

    /// The word after giving back `amount` units, never above the burst.
    package func refunded(_ word: UInt64, now: Int64, amount: Int64, parity: UInt64) -> UInt64 {
        let lead = lead(of: word, now: now)
        let back = interval.multipliedSaturated(UInt64(max(0, amount)), atMost: .max)
        return self.word(lead: lead > back ? lead - back : 0, now: now, parity: parity)
    }

    /// The word after `amount` units were used beyond what was charged; debt saturates.
    package func exceeded(_ word: UInt64, now: Int64, amount: Int64, parity: UInt64) -> UInt64 {
        let more = interval.multipliedSaturated(UInt64(max(0, amount)), atMost: farthest)
        let lead = lead(of: word, now: now).addingSaturated(more, atMost: farthest)
        return self.word(lead: lead & ~1, now: now, parity: parity)
    }

    /// The word under these parameters of a bucket that was kept under `old` ones until `now`.
    ///
    /// The level in units stays, cut to the new burst; a debt stays a debt. Parts of a unit are
    /// rounded to the caller's disadvantage.
    package func converted(
        _ word: UInt64, from old: TokenBucket, now: Int64, parity: UInt64
    ) -> UInt64 {
        let lead = old.lead(of: word, now: now)
        if lead > old.tolerance {
            let debt = interval.multipliedSaturated(
                UInt64(old.used(lead: lead) - old.burst), atMost: farthest)
            let total = tolerance.addingSaturated(debt, atMost: farthest)
            return self.word(lead: total & ~1, now: now, parity: parity)
        }
        // level = (old.tolerance - lead) / old.interval units, a fraction; times the new interval.
        let level = (old.tolerance - lead).multipliedFullWidth(by: interval)
        let span =
            level.high >= old.interval
            ? UInt64.max : old.interval.dividingFullWidth(level).quotient
        return self.word(
            lead: span >= tolerance ? 0 : (tolerance - span + 1) & ~1, now: now, parity: parity)
    }

    @inline(__always)
    private func scaled(_ now: Int64) -> UInt64 {
        UInt64(bitPattern: now) &<< nanosecondShift
    }

    /// The one word that means "retired" is stepped over, by one quantum against the caller.
    @inline(__always)
    private func avoidingRetired(_ word: UInt64) -> UInt64 {
        word == Self.retired ? word &+ 2 : word
    }
}
