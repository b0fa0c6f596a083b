extension PolicyValidator {
    /// Kind, count and numbers of one limit.
    static func check(
        _ limit: Limit, store: StoreSettings, at path: JSONPath
    ) throws(PolicyFault) {
        try checkCount(of: limit, at: path)
        switch limit.kind {
        case .tokenBucket(let units, let period, let burst):
            try checkBucket(units: units, periodNanoseconds: period, burst: burst, at: path)
        case .rollingWindow(let units, let window, let guardTime):
            try checkNumber(units, at: path.key("limit"), in: PolicyBounds.units)
            try checkDuration(window, at: path.key("window"), in: PolicyBounds.windowNanoseconds)
            try checkGuard(
                guardTime, below: window, "the window of \(DurationText.text(of: window))", at: path
            )
            if store.usesSlices {
                try checkSlices(
                    windowNanoseconds: window, guardNanoseconds: guardTime, store: store, at: path)
            }
        case .calendarWindow(let units, let unit, _, let guardTime):
            try checkNumber(units, at: path.key("limit"), in: PolicyBounds.units)
            try checkGuard(
                guardTime, below: LimitBounds.nominalNanoseconds(of: unit), "a \(unit.name)",
                at: path)
        case .concurrency(let slots, let lease, let maxHold):
            try checkNumber(slots, at: path.key("limit"), in: PolicyBounds.slots)
            try checkDuration(lease, at: path.key("lease"), in: PolicyBounds.leaseNanoseconds)
            try checkDuration(
                maxHold, at: path.key("max_hold"), in: PolicyBounds.maxHoldNanoseconds)
            guard maxHold >= lease else {
                throw PolicyFault(
                    .conflict, at: path.key("max_hold"), value: quotedDuration(maxHold),
                    "is shorter than the lease of \(DurationText.text(of: lease)); accepted: "
                        + "the lease or longer")
            }
        }
    }

    /// Concurrency is counted by slots and by nothing else, and slots count nothing else.
    private static func checkCount(of limit: Limit, at path: JSONPath) throws(PolicyFault) {
        var isConcurrency = false
        if case .concurrency = limit.kind { isConcurrency = true }
        guard isConcurrency != (limit.count == .concurrency) else { return }
        throw PolicyFault(
            .conflict, at: path.key("count"), value: limit.count.name.quoted,
            isConcurrency
                ? "does not go with a concurrency limit; accepted: \"concurrency\""
                : "does not go with a \(limit.kind.name) limit; accepted: any other count")
    }

    private static func checkBucket(
        units: Int64, periodNanoseconds: Int64, burst: Int64, at path: JSONPath
    ) throws(PolicyFault) {
        guard PolicyBounds.units.contains(units) else {
            throw PolicyFault(
                .outOfRange, at: path.key("rate"),
                value: "\"\(RateText.text(units: units, periodNanoseconds: periodNanoseconds))\"",
                "is out of range; accepted: 1 to \(PolicyBounds.units.upperBound) units a time")
        }
        guard isDuration(periodNanoseconds, in: PolicyBounds.periodNanoseconds) else {
            throw PolicyFault(
                .outOfRange, at: path.key("rate"),
                value: "\"\(RateText.text(units: units, periodNanoseconds: periodNanoseconds))\"",
                "is out of range; accepted: a time of "
                    + accepted(duration: PolicyBounds.periodNanoseconds))
        }
        try checkNumber(burst, at: path.key("burst"), in: PolicyBounds.units)
        let fits = LimitBounds.hasFittingSpan(
            units: units, periodNanoseconds: periodNanoseconds, burst: burst)
        guard fits else {
            let span = UInt128(burst + 1) * UInt128(periodNanoseconds)
            throw PolicyFault(
                .outOfRange, at: path.key("burst"), value: "\(burst)",
                "is out of range at this rate: (burst + 1) x interval is \(burst + 1) x "
                    + "\(periodNanoseconds / units) ns = \(span / UInt128(units)) ns; accepted: "
                    + "at most 2^62 = \(PolicyBounds.bucketSpanNanoseconds) ns")
        }
    }

    private static func checkGuard(
        _ guardTime: Int64, below bound: Int64, _ boundText: String, at path: JSONPath
    ) throws(PolicyFault) {
        guard guardTime != 0 else { return }
        let path = path.key("guard")
        guard isDuration(guardTime, in: 0...Int64.max) else {
            throw PolicyFault(
                .outOfRange, at: path, value: quotedDuration(guardTime),
                "is out of range; accepted: whole milliseconds, 0ms or more")
        }
        guard guardTime < bound else {
            throw PolicyFault(
                .outOfRange, at: path, value: quotedDuration(guardTime),
                "is not shorter than \(boundText); accepted: less than that")
        }
    }

    /// Slices lengthen a rolling window by their lifetime. Beyond 3 % the limit would yield
    /// noticeably less than it says, so the document must choose.
    private static func checkSlices(
        windowNanoseconds window: Int64, guardNanoseconds guardTime: Int64, store: StoreSettings,
        at path: JSONPath
    ) throws(PolicyFault) {
        let cells: Int64 = window > PolicyBounds.hour ? 96 : 60
        let cell = (window + guardTime + cells - 1) / cells
        let loss = guardTime + store.sliceTTLNanoseconds + cell
        // Both are integers, so the floor decides as the fraction would.
        let accepted = window * 3 / 100
        guard loss > accepted else { return }
        throw PolicyFault(
            .conflict, at: path.key("window"), value: quotedDuration(window),
            "is too short for slices: guard \(DurationText.text(of: guardTime)) + slice_ttl "
                + "\(DurationText.text(of: store.sliceTTLNanoseconds)) + one cell of \(cell) ns is "
                + "\(loss) ns; accepted: at most 3 % of the window, \(accepted) ns")
    }

    // MARK: What all rules share

    static func accepted(_ range: ClosedRange<Int64>) -> String {
        "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }

    static func accepted(duration range: ClosedRange<Int64>) -> String {
        "\(DurationText.text(of: range.lowerBound)) to \(DurationText.text(of: range.upperBound))"
    }

    static func checkNumber(
        _ number: Int64, at path: JSONPath, in range: ClosedRange<Int64>
    ) throws(PolicyFault) {
        guard range.contains(number) else {
            throw PolicyFault(
                .outOfRange, at: path, value: "\(number)",
                "is out of range; accepted: \(accepted(range))")
        }
    }

    static func checkDuration(
        _ nanoseconds: Int64, at path: JSONPath, in range: ClosedRange<Int64>
    ) throws(PolicyFault) {
        guard isDuration(nanoseconds, in: range) else {
            throw PolicyFault(
                .outOfRange, at: path, value: quotedDuration(nanoseconds),
                "is out of range; accepted: \(accepted(duration: range)), in whole milliseconds")
        }
    }

    /// In range, and whole milliseconds: a document can say no less, and a document made in Swift
    /// must be one that can be written down.
    private static func isDuration(_ nanoseconds: Int64, in range: ClosedRange<Int64>) -> Bool {
        range.contains(nanoseconds) && nanoseconds % PolicyBounds.millisecond == 0
    }

    private static func quotedDuration(_ nanoseconds: Int64) -> String {
        "\"\(DurationText.text(of: nanoseconds))\""
    }

    static func checkCount(
        _ count: Int, at path: JSONPath, _ range: ClosedRange<Int>, _ elements: String
    ) throws(PolicyFault) {
        if count == 0, range.lowerBound > 0 { throw empty(path) }
        guard range.contains(count) else {
            throw PolicyFault(
                .outOfRange, at: path,
                "\(count) \(elements) are too many; accepted: at most \(range.upperBound)")
        }
    }

    static func empty(_ path: JSONPath) -> PolicyFault {
        PolicyFault(.missing, at: path, "the list is empty; accepted: one entry or more")
    }

    static func defaultWithMatch(at path: JSONPath) -> PolicyFault {
        PolicyFault(
            .conflict, at: path.key("default"), value: "true",
            "does not go with match: a default applies where no policy with a match did; "
                + "accepted: one of the two")
    }

    /// Names are handed to C and become files' and metrics' words: not empty, bounded, no NUL.
    static func checkName(_ name: String, at path: JSONPath) throws(PolicyFault) {
        guard !name.isEmpty else {
            throw PolicyFault(.missing, at: path, value: "\"\"", "is empty; accepted: a name")
        }
        guard name.utf8.count <= PolicyBounds.nameBytes else {
            throw PolicyFault(
                .outOfRange, at: path, value: name.quoted,
                "has \(name.utf8.count) bytes; accepted: at most \(PolicyBounds.nameBytes)")
        }
        try checkNoNUL(name, at: path)
    }

    static func checkNoNUL(_ text: String, at path: JSONPath) throws(PolicyFault) {
        if text.utf8.contains(0) {
            throw PolicyFault(
                .unreadableValue, at: path, value: text.quoted,
                "has a NUL character; accepted: any text without one")
        }
    }
}
