import Admission

/// A limit as the scripts see it: its kind, its parameters in whole microseconds, and what its
/// fields in a reply say.
struct RedisLimit: Sendable {
    /// In the order of the wire: a scope's limits are sorted by it.
    enum Kind: Int64, Sendable, Comparable {
        case rolling = 1
        case calendar = 2
        case concurrency = 3
        case bucket = 4

        static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }
    }

    let kind: Kind
    /// 53 bits of a digest of the limit's identity: tells the limits of one scope apart.
    let id: Int64
    /// As the server keeps it, which with slices is less than the document says.
    let limit: Limit
    /// Whether processes may take parts of it.
    let isSliceable: Bool
    /// When its parameters were loaded.
    let stamp: Int64
    /// Five words, as a descriptor holds them.
    let parameters: [Int64]
    /// Microseconds a unit of a bucket.
    let interval: BucketInterval?
    /// Of a calendar limit.
    let zone: Zone?

    /// - Parameter identity: of the limit without attributes, as the loads know it.
    init(
        _ limit: Limit, identity: [UInt8], stamp: Int64, zone: Zone?, isSliceable: Bool = false
    ) {
        self.limit = limit
        self.isSliceable = isSliceable
        self.stamp = stamp
        self.zone = zone
        id = RedisDigest.word(of: identity)
        parameters = Self.parameters(limit.kind)
        switch limit.kind {
        case .rollingWindow: kind = .rolling
        case .calendarWindow: kind = .calendar
        case .concurrency: kind = .concurrency
        case .tokenBucket: kind = .bucket
        }
        interval = BucketInterval(limit.kind)
    }

    static func parameters(_ kind: LimitKind) -> [Int64] {
        switch kind {
        case .rollingWindow(let limit, let window, let guarding):
            let cells = RollingWindow(
                limit: limit, windowNanoseconds: window, guardNanoseconds: guarding
            ).cells
            let span = window.addingSaturated(guarding)
            let cell = max(1, RedisWords.microsecondsUp((span - 1) / Int64(cells) + 1))
            return [limit, cell, Int64(cells), 0, 0]
        case .calendarWindow(let limit, _, _, let guarding):
            return [limit, RedisWords.microsecondsUp(guarding), 0, 0, 0]
        case .concurrency(let limit, let lease, _):
            return [limit, RedisWords.microsecondsUp(lease), 0, 0, 0]
        case .tokenBucket(_, _, let burst):
            guard let interval = BucketInterval(kind) else { return [0, 0, 1, 0, 0] }
            let (full, unit) = (interval.times(burst), interval.times(1))
            return [full.us, full.rest, interval.parts, unit.us, unit.rest]
        }
    }

    /// The kind that stored parameters mean, where they are of one of this shape; nil where they are
    /// damaged. What a document says beside the numbers is taken from it.
    static func kind(_ words: [Int64], like own: LimitKind) -> LimitKind? {
        guard words.count == 5 else { return nil }
        if parameters(own) == words { return own }
        switch own {
        case .rollingWindow(_, let window, let guarding):
            let kind = LimitKind.rollingWindow(
                limit: words[0], windowNanoseconds: window, guardNanoseconds: guarding)
            return parameters(kind) == words ? kind : nil
        case .calendarWindow(_, let unit, let zone, _):
            return .calendarWindow(
                limit: words[0], unit: unit, zone: zone,
                guardNanoseconds: RedisWords.nanoseconds(words[1]))
        case .concurrency(_, _, let longest):
            return .concurrency(
                limit: words[0], leaseNanoseconds: RedisWords.nanoseconds(words[1]),
                maxHoldNanoseconds: longest)
        case .tokenBucket: return BucketInterval.kind(words)
        }
    }

    var descriptor: [UInt8] { RedisWords.pack([id, kind.rawValue, stamp] + parameters) }

    /// The parameters that a decision reads.
    var planWords: ArraySlice<Int64> { parameters.prefix(kind == .bucket ? 3 : 2) }

    /// Words of its state.
    var fieldCount: Int { kind == .bucket ? 2 : 3 }

    /// How long its state means something, in microseconds.
    var lifetime: Int64 {
        switch limit.kind {
        case .rollingWindow: (parameters[2] + 1).multipliedSaturated(parameters[1])
        case .calendarWindow(_, let unit, _, _):
            RedisWords.microsecondsUp(unit.longestNanoseconds).addingSaturated(parameters[1])
        case .concurrency: parameters[1]
        case .tokenBucket: parameters[0].addingSaturated(1)
        }
    }

    /// What a call asks of it.
    func ask(_ amount: Int64) -> [Int64] {
        guard let interval else { return [amount] }
        let cost = interval.times(amount)
        return [cost.us, cost.rest]
    }

    /// What a settlement asks of it.
    func change(back: Int64, more: Int64, place: Int64, frees: Bool) -> [Int64] {
        switch kind {
        case .rolling, .calendar: return [back, more, place]
        case .concurrency: return [frees ? 1 : 0]
        case .bucket:
            guard let interval else { return [0, 0, 0, 0] }
            let (back, more) = (interval.times(back), interval.times(more))
            return [back.us, back.rest, more.us, more.rest]
        }
    }

    /// The current and the next window at an instant of wall time, as a call sends them.
    func windows(wall: Int64) -> [Int64] {
        guard let zone, case .calendarWindow(_, let unit, _, _) = limit.kind else { return [] }
        let seconds = wall.dividedDown(by: 1_000_000)
        let current = zone.span(of: unit, containing: seconds)
        let next = zone.span(of: unit, containing: current.endSeconds)
        return [current.startSeconds, current.endSeconds, next.endSeconds].map { seconds in
            max(0, seconds.multipliedSaturated(1_000_000))
        }
    }
}

extension CalendarUnit {
    /// The longest window of the unit in any zone, in nanoseconds: a day that a zone repeats or a
    /// year with a week's change of calendar are shorter.
    var longestNanoseconds: Int64 {
        let days: Int64 =
            switch self {
            case .minute, .hour: 1
            case .day: 2
            case .week: 9
            case .month: 33
            case .year: 368
            }
        return days * 86_400_000_000_000
    }
}

/// The interval between two units of a bucket as an exact fraction of microseconds: rates are never
/// rounded.
struct BucketInterval: Sendable, Hashable {
    /// Microseconds = numerator / parts, in lowest terms.
    let numerator: Int64
    let parts: Int64

    /// Nil for what is no bucket.
    init?(_ kind: LimitKind) {
        guard case .tokenBucket(let units, let period, _) = kind else { return nil }
        // Units are at most 10^12, so the product is below 2^53 in lowest terms or not.
        let (numerator, denominator) = (period, units.multipliedSaturated(1_000))
        let divisor = Self.commonDivisor(numerator, denominator)
        self.numerator = numerator / divisor
        parts = denominator / divisor
    }

    /// Whole microseconds, and the rest in parts.
    struct Span: Sendable, Hashable {
        var us: Int64
        var rest: Int64
    }

    func times(_ amount: Int64) -> Span {
        let product = UInt128(UInt64(max(0, amount))) * UInt128(UInt64(max(0, numerator)))
        let (us, rest) = product.quotientAndRemainder(dividingBy: UInt128(UInt64(parts)))
        guard us < UInt128(UInt64(RedisWords.most)) else {
            return Span(us: RedisWords.most, rest: 0)
        }
        return Span(us: Int64(us), rest: Int64(rest))
    }

    /// Whole units in a span; the rest of one is not counted.
    func units(in span: Span) -> Int64 {
        guard span.us >= 0, span.rest >= 0, numerator > 0 else { return 0 }
        let all =
            UInt128(UInt64(span.us)) * UInt128(UInt64(parts)) + UInt128(UInt64(span.rest))
        return Int64(clamping: all / UInt128(UInt64(numerator)))
    }

    /// `left - right`, where that is not below 0; else 0.
    func difference(_ left: Span, _ right: Span) -> Span {
        var (us, rest) = (left.us - right.us, left.rest - right.rest)
        if rest < 0 { (us, rest) = (us - 1, rest + parts) }
        return us < 0 ? Span(us: 0, rest: 0) : Span(us: us, rest: rest)
    }

    func sum(_ left: Span, _ right: Span) -> Span {
        var (us, rest) = (left.us.addingSaturated(right.us), left.rest + right.rest)
        if rest >= parts { (us, rest) = (us.addingSaturated(1), rest - parts) }
        return Span(us: us, rest: rest)
    }

    static func isLess(_ left: Span, _ right: Span) -> Bool {
        left.us < right.us || left.us == right.us && left.rest < right.rest
    }

    /// The bucket that five stored words mean; nil where they mean none.
    static func kind(_ words: [Int64]) -> LimitKind? {
        let (parts, unitUs, unitRest) = (words[2], words[3], words[4])
        guard parts > 0, unitRest < parts, unitUs > 0 || unitRest > 0 else { return nil }
        let numerator = UInt128(UInt64(unitUs)) * UInt128(UInt64(parts)) + UInt128(UInt64(unitRest))
        // parts units each numerator us; as nanoseconds in lowest terms.
        let (units, period) = (UInt128(UInt64(parts)), numerator * 1_000)
        let divisor = commonDivisor(units, period)
        guard let units = Int64(exactly: units / divisor),
            let period = Int64(exactly: period / divisor)
        else { return nil }
        let one = LimitKind.tokenBucket(units: units, periodNanoseconds: period, burst: 1)
        guard let interval = BucketInterval(one) else { return nil }
        let burst = interval.units(in: Span(us: words[0], rest: words[1]))
        let kind = LimitKind.tokenBucket(units: units, periodNanoseconds: period, burst: burst)
        return burst > 0 && RedisLimit.parameters(kind) == words ? kind : nil
    }

    private static func commonDivisor<Number: BinaryInteger>(_ left: Number, _ right: Number)
        -> Number
    {
        var (left, right) = (left, right)
        while right != 0 { (left, right) = (right, left % right) }
        return Swift.max(1, left)
    }
}

extension Int64 {
    func dividedDown(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
