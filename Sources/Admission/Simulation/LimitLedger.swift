/// A plain account of one limit key: what was charged when, kept one by one.
///
/// It is written from the promises alone and shares nothing with the algorithms that it checks:
/// no cells, no emission intervals, no slots. It is exact where they may be cautious, so what it
/// counts is never more than what they do.
struct LimitLedger: Sendable {
    /// What counts until when.
    private enum Rule: Sendable {
        /// A charge counts for that long: a rolling window, or a lease held to its end.
        case span(nanoseconds: Int64)
        /// A charge counts until the local boundary after it.
        case calendar(CalendarUnit, Zone, guardNanoseconds: Int64)
        /// `units` run out in every period.
        case bucket(units: Int64, periodNanoseconds: Int64)
    }

    /// A charge that still counts.
    private struct Part: Sendable {
        let atNanoseconds: Int64
        var amount: Int64
    }

    /// The most that the limit may hold.
    let capacity: Int64
    private let rule: Rule
    /// Wall time of the log's instant 0.
    private let startUnixNanoseconds: Int64

    /// Span: the charges in order; those before `first` count no more.
    private var parts: [Part] = []
    private var first = 0
    /// Span and calendar: the sum of what counts.
    private var sum: Int64 = 0
    /// Calendar: the window of the last event.
    private var window = CalendarSpan(startSeconds: 0, endSeconds: 0)
    /// Bucket: units not yet run out, times the period, at `levelAtNanoseconds`.
    private var level: Int128 = 0
    private var levelAtNanoseconds: Int64 = 0

    init(_ limit: Limit, startUnixNanoseconds: Int64) throws(ZoneError) {
        capacity = limit.kind.capacity
        self.startUnixNanoseconds = startUnixNanoseconds
        switch limit.kind {
        case .tokenBucket(let units, let periodNanoseconds, _):
            rule = .bucket(units: units, periodNanoseconds: periodNanoseconds)
        case .rollingWindow(_, let windowNanoseconds, let guardNanoseconds):
            rule = .span(nanoseconds: windowNanoseconds + guardNanoseconds)
        case .calendarWindow(_, let unit, let zone, let guardNanoseconds):
            rule = .calendar(
                unit, try Zone(named: zone), guardNanoseconds: guardNanoseconds)
        case .concurrency(_, _, let maxHoldNanoseconds):
            rule = .span(nanoseconds: maxHoldNanoseconds)
        }
    }

    /// What counts at the last event's instant; a bucket's is rounded up.
    var used: Int64 {
        guard case .bucket(_, let periodNanoseconds) = rule else { return sum }
        let period = Int128(periodNanoseconds)
        return Int64(clamping: (level + period - 1) / period)
    }

    /// Books a charge; returns what `settle` needs to find it again.
    mutating func charge(_ amount: Int64, atNanoseconds: Int64) -> Int64 {
        move(toNanoseconds: atNanoseconds)
        switch rule {
        case .span:
            parts.append(Part(atNanoseconds: atNanoseconds, amount: amount))
            sum += amount
            return Int64(parts.count - 1)
        case .calendar:
            sum += amount
            return window.startSeconds
        case .bucket(_, let periodNanoseconds):
            level += Int128(amount) * Int128(periodNanoseconds)
            return 0
        }
    }

    /// Books what a call used above its charge, or takes back what it used less.
    mutating func settle(charge: Int64, difference: Int64, atNanoseconds: Int64) {
        move(toNanoseconds: atNanoseconds)
        if difference > 0 {
            _ = self.charge(difference, atNanoseconds: atNanoseconds)
            return
        }
        switch rule {
        case .span:
            let index = Int(charge)
            guard index >= first else { return }
            parts[index].amount += difference
            sum += difference
        case .calendar:
            if charge == window.startSeconds { sum += difference }
        case .bucket(_, let periodNanoseconds):
            level = max(0, level + Int128(difference) * Int128(periodNanoseconds))
        }
    }

    /// Whether a decision at that instant comes too soon after a calendar boundary.
    mutating func isGuarded(atNanoseconds: Int64) -> Bool {
        guard case .calendar(_, _, let guardNanoseconds) = rule else { return false }
        move(toNanoseconds: atNanoseconds)
        let boundary = window.startSeconds * 1_000_000_000 - startUnixNanoseconds
        return atNanoseconds - boundary < guardNanoseconds
    }

    /// Drops what no longer counts at that instant.
    private mutating func move(toNanoseconds now: Int64) {
        switch rule {
        case .span(let nanoseconds):
            while first < parts.count, now - parts[first].atNanoseconds >= nanoseconds {
                sum -= parts[first].amount
                first += 1
            }
        case .calendar(let unit, let zone, _):
            let unixSeconds = (startUnixNanoseconds + now).flooredQuotient(
                dividedBy: 1_000_000_000)
            guard !(window.startSeconds..<window.endSeconds).contains(unixSeconds) else { return }
            window = zone.span(of: unit, containing: unixSeconds)
            sum = 0
        case .bucket(let units, _):
            level = max(0, level - Int128(units) * Int128(now - levelAtNanoseconds))
            levelAtNanoseconds = now
        }
    }
}
