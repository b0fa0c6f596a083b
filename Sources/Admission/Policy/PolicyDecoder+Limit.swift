extension PolicyDecoder {
    /// The keys of each kind of limit beside `name` and `count`; a limit is one kind.
    private enum Shape: String {
        case bucket = "a limit with rate and burst"
        case rolling = "a limit with a rolling window"
        case calendar = "a limit with a calendar window"
        case concurrency = "a limit with count: concurrency"

        var keys: [String] {
            switch self {
            case .bucket: ["rate", "burst"]
            case .rolling: ["limit", "window", "guard"]
            case .calendar: ["limit", "window", "zone", "guard"]
            case .concurrency: ["limit", "lease", "max_hold"]
            }
        }
    }

    private static let kinds =
        "rate and burst, limit and window, or count: concurrency and limit"

    static func decodeLimit(_ value: JSONValue, at path: JSONPath) throws(PolicyFault) -> Limit {
        let limit = try ObjectReader(
            value, at: path,
            keys: [
                "name", "count", "rate", "burst", "limit", "window", "zone", "guard", "lease",
                "max_hold",
            ], meaning: "a limit")
        let name = try limit.requiredText("name", "the limit's name")
        let count = try limit.requiredText(
            "count",
            "requests, input_tokens, output_tokens, tokens, concurrency or any name in a cost")
        // Before the name is interned, which is for good.
        try PolicyValidator.checkName(count, at: path.key("count"))
        let kind: LimitKind
        if count == Count.concurrency.name {
            kind = try decodeConcurrency(limit)
        } else if limit.has("rate") || limit.has("burst") {
            kind = try decodeBucket(limit)
        } else if limit.has("limit") || limit.has("window") {
            kind = try decodeWindow(limit)
        } else {
            throw PolicyFault(
                .missing, at: path, "what bounds the count is missing; accepted: \(kinds)")
        }
        return Limit(name: name, count: Count(count), kind: kind)
    }

    private static func decodeConcurrency(
        _ limit: ObjectReader
    ) throws(PolicyFault) -> LimitKind {
        try checkKeys(of: limit, are: .concurrency)
        let slots = try limit.requiredInteger("limit", in: PolicyBounds.slots)
        let lease = try limit.duration("lease") ?? PolicyBounds.defaultLeaseNanoseconds
        let maxHold =
            try limit.duration("max_hold") ?? max(PolicyBounds.defaultMaxHoldNanoseconds, lease)
        return .concurrency(limit: slots, leaseNanoseconds: lease, maxHoldNanoseconds: maxHold)
    }

    private static func decodeBucket(_ limit: ObjectReader) throws(PolicyFault) -> LimitKind {
        try checkKeys(of: limit, are: .bucket)
        guard let rate = try limit.parsed("rate", RateText.accepted, RateText.parse) else {
            throw limit.missing("rate", RateText.accepted)
        }
        let burst = try limit.requiredInteger("burst", in: PolicyBounds.units)
        return .tokenBucket(
            units: rate.units, periodNanoseconds: rate.periodNanoseconds, burst: burst)
    }

    private static func decodeWindow(_ limit: ObjectReader) throws(PolicyFault) -> LimitKind {
        let accepted =
            "\(DurationText.accepted), or minute, hour, day, week, month or year of the calendar"
        let window = try limit.requiredText("window", accepted)
        let unit = CalendarUnit(name: window)
        try checkKeys(of: limit, are: unit == nil ? .rolling : .calendar)
        let units = try limit.requiredInteger("limit", in: PolicyBounds.units)
        let guardTime = try limit.duration("guard") ?? 0
        if let unit {
            return .calendarWindow(
                limit: units, unit: unit, zone: try limit.text("zone", "a zone's name") ?? "UTC",
                guardNanoseconds: guardTime)
        }
        do {
            return .rollingWindow(
                limit: units, windowNanoseconds: try DurationText.parse(window),
                guardNanoseconds: guardTime)
        } catch {
            let reason =
                error.kind == .unreadableValue && !window.hasSuffix("d")
                ? "is not a window; accepted: \(accepted)" : error.reason
            throw PolicyFault(
                error.kind, at: limit.path.key("window"), value: window.quoted, reason)
        }
    }

    private static func checkKeys(
        of limit: ObjectReader, are shape: Shape
    ) throws(PolicyFault) {
        for member in limit.members
        where member.name != "name" && member.name != "count"
            && !shape.keys.contains(member.name)
        {
            throw PolicyFault(
                .conflict, at: limit.path.key(member.name),
                "\(member.name) does not go with \(shape.rawValue); accepted: "
                    + shape.keys.joined(separator: ", "),
                offset: member.offset)
        }
    }
}
