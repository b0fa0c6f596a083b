/// Every UTC offset that a zone ever had or will have, laid out for lookup by binary search.
///
/// A stretch has one offset. The file's transitions come first. After them the
/// footer's rule is written out for 400 years and a few more: the Gregorian calendar repeats after
/// 146,097 days, which are whole weeks, so an instant beyond is looked up by as many whole cycles
/// earlier. A transition that leaves the offset as it is (a new abbreviation, say) makes no stretch.
///
/// Lookups cost O(log stretches), allocate nothing, and hold no lock.
struct ZoneTimeline: Sendable {
    /// Offsets that RFC 9636 section 3.2 allows: more than -25 h, less than 26 h.
    static let offsetRange: ClosedRange<Int64> = -89_999...93_599
    /// Instants at or beyond ± this, a billion years off, are one window on either side.
    static let horizonSeconds: Int64 = 1 << 55
    /// 400 years: 146,097 days.
    static let cycleSeconds: Int64 = 146_097 * 86_400

    struct Stretch: Sendable, Hashable {
        /// The first Unix second with this offset.
        var startSeconds: Int64
        /// To be added to UTC.
        var offsetSeconds: Int64
        /// The latest local day number shown before this stretch: never less than in the stretch
        /// before, however far the clock was put back.
        var latestDayBefore: Int64
    }

    /// Ascending by start and by latest day; never empty; the first one starts at Int64.min.
    let stretches: [Stretch]
    /// The start of 400 years in which, and after which, only the rule decides; nil: no rule that
    /// changes the clock.
    let cycleStartSeconds: Int64?
    /// Whether the rule decides before the cycle's start too: no transition within the horizon.
    let hasRuleAlone: Bool

    /// One offset for ever.
    init(fixedOffsetSeconds: Int64) {
        stretches = [
            Stretch(
                startSeconds: .min, offsetSeconds: fixedOffsetSeconds, latestDayBefore: .min)
        ]
        cycleStartSeconds = nil
        hasRuleAlone = false
    }

    /// O(transitions), with about 810 more where the rule changes the clock.
    init(_ file: TZifFile) {
        var builder = ZoneTimelineBuilder(initialOffsetSeconds: file.initialOffsetSeconds)
        var lastTransition: Int64?
        for transition in file.transitions where transition.unixSeconds < Self.horizonSeconds {
            // What lies before the horizon is one stretch, which starts at Int64.min.
            let isInside = transition.unixSeconds > -Self.horizonSeconds
            builder.append(
                from: isInside ? transition.unixSeconds : .min, offset: transition.offsetSeconds)
            if isInside { lastTransition = transition.unixSeconds }
        }
        hasRuleAlone = lastTransition == nil
        let isRuleReached = (file.transitions.last?.unixSeconds ?? .min) < Self.horizonSeconds
        if let rule = file.rule, isRuleReached {
            cycleStartSeconds = builder.append(rule, after: lastTransition)
        } else {
            cycleStartSeconds = nil
        }
        stretches = builder.stretches()
    }

    /// The whole cycles by which to shift an instant back before looking it up, in seconds.
    func cycleShiftSeconds(at unixSeconds: Int64) -> Int64 {
        guard let cycleStartSeconds else { return 0 }
        let elapsed = unixSeconds - cycleStartSeconds
        guard elapsed >= Self.cycleSeconds || (elapsed < 0 && hasRuleAlone) else { return 0 }
        return elapsed.flooredQuotient(dividedBy: Self.cycleSeconds) * Self.cycleSeconds
    }

    /// The index of the stretch that an instant, shifted already, lies in.
    func stretchIndex(at unixSeconds: Int64) -> Int {
        // The last stretch that starts at or before the instant; stretch 0 always does.
        var low = 0
        var high = stretches.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if stretches[middle].startSeconds <= unixSeconds { low = middle } else { high = middle }
        }
        return low
    }

    /// The first instant whose local date is `dayNumber` or later, in shifted time.
    ///
    /// Where that date was skipped it is the first instant of the next date that existed; where the
    /// clock was put back over midnight it is the first of the two midnights.
    func firstSecond(ofDayFrom dayNumber: Int64) -> Int64 {
        // The first stretch by whose end that day was shown: one before the first stretch that had
        // it behind itself.
        var low = 0
        var high = stretches.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if stretches[middle].latestDayBefore < dayNumber { low = middle } else { high = middle }
        }
        let stretch = stretches[low]
        return max(stretch.startSeconds, dayNumber * 86_400 - stretch.offsetSeconds)
    }
}

/// Collects a zone's offsets in ascending order and derives the stretches.
struct ZoneTimelineBuilder {
    private var starts: [Int64]
    private var offsets: [Int64]

    init(initialOffsetSeconds: Int64) {
        starts = [.min]
        offsets = [initialOffsetSeconds]
    }

    /// The last call for one instant wins; instants ascend.
    mutating func append(from startSeconds: Int64, offset: Int64) {
        if starts[starts.count - 1] == startSeconds {
            offsets[offsets.count - 1] = offset
        } else {
            starts.append(startSeconds)
            offsets.append(offset)
        }
    }

    /// Writes a rule out from the last transition (nil: from ever) on, and returns the start of the
    /// cycle, or nil where the rule's offset never changes.
    mutating func append(_ rule: ZoneRule, after lastTransition: Int64?) -> Int64? {
        let from = lastTransition ?? .min
        guard let daylight = rule.daylight,
            daylight.offsetSeconds != rule.standardOffsetSeconds
        else {
            append(from: from, offset: rule.standardOffsetSeconds)
            return nil
        }
        let lastDay = (lastTransition ?? 0).flooredQuotient(dividedBy: 86_400)
        let lastYear = CalendarDate(dayNumber: lastDay).year
        // The clock's changes of the years around, sorted: a rule may reach 7 days into the next
        // year, so the years need not be in order.
        let years = (lastYear - 2)...(lastYear + 406)
        let changes = Self.changes(of: rule, daylight, in: years)
        var offsetAtLast = changes[0].offsetSeconds
        for change in changes where change.unixSeconds <= from {
            offsetAtLast = change.offsetSeconds
        }
        append(from: from, offset: offsetAtLast)
        for change in changes where change.unixSeconds > from {
            append(from: change.unixSeconds, offset: change.offsetSeconds)
        }
        // Three years on, a year's start and the clock's change before it are the rule's as well.
        return CalendarDate(year: lastYear + 3, month: 1, day: 1).dayNumber * 86_400
    }

    private static func changes(
        of rule: ZoneRule, _ daylight: ZoneRule.Daylight, in years: ClosedRange<Int64>
    ) -> [TZifFile.Transition] {
        let standard = rule.standardOffsetSeconds
        func start(_ year: Int64) -> Int64 {
            daylight.start.localSeconds(inYear: year) - standard
        }
        var changes: [(instant: Int64, isStart: Bool)] = []
        changes.reserveCapacity(2 * years.count)
        for year in years {
            let startSeconds = start(year)
            let endSeconds = daylight.end.localSeconds(inYear: year) - daylight.offsetSeconds
            changes.append((startSeconds, true))
            // Daylight saving all year ends where, or after, the next year's begins (RFC 9636
            // section 3.3.1): such an end never comes.
            if endSeconds < startSeconds || endSeconds < start(year + 1) {
                changes.append((endSeconds, false))
            }
        }
        // Of an end and a start at one instant the start is the later and wins.
        changes.sort {
            ($0.instant, $0.isStart ? 1 : 0) < ($1.instant, $1.isStart ? 1 : 0)
        }
        return changes.map {
            TZifFile.Transition(
                unixSeconds: $0.instant,
                offsetSeconds: $0.isStart ? daylight.offsetSeconds : standard)
        }
    }

    func stretches() -> [ZoneTimeline.Stretch] {
        var stretches: [ZoneTimeline.Stretch] = []
        stretches.reserveCapacity(starts.count)
        for (start, offset) in zip(starts, offsets) {
            guard let last = stretches.last else {
                stretches.append(
                    ZoneTimeline.Stretch(
                        startSeconds: start, offsetSeconds: offset, latestDayBefore: .min))
                continue
            }
            if last.offsetSeconds == offset { continue }
            let dayBefore = (start - 1 + last.offsetSeconds).flooredQuotient(dividedBy: 86_400)
            stretches.append(
                ZoneTimeline.Stretch(
                    startSeconds: start, offsetSeconds: offset,
                    latestDayBefore: max(last.latestDayBefore, dayBefore)))
        }
        return stretches
    }
}
