extension PolicyDocument {
    /// The canonical text of a document's parts: keys in a fixed order, no spaces, each value in
    /// its shortest form, nothing that equals a default. Leaving defaults out keeps the hashes of
    /// old documents when a later version knows more keys.
    static func canonicalJSON(of parts: PolicyDecoder.Parts) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("admission", 1)
            if let shard = parts.shard { json.member("shard", shard) }
            json.key("policies")
            json.array { json in
                for policy in parts.policies { write(policy, to: &json) }
            }
            if let queue = parts.queue { write(queue, to: &json) }
            if parts.store != StoreSettings() { write(parts.store, to: &json) }
        }
        return json.text
    }

    private static func write(_ policy: Policy, to json: inout JSONWriter) {
        json.object { json in
            json.member("name", policy.name)
            if !policy.match.isEmpty {
                json.key("match")
                json.object { json in
                    for match in policy.match { write(match, to: &json) }
                }
            }
            if policy.isDefault { json.member("default", true) }
            if !policy.per.isEmpty {
                json.key("per")
                json.array { json in
                    for name in policy.per { json.value(name) }
                }
            }
            json.key("limits")
            json.array { json in
                for limit in policy.limits { write(limit, to: &json) }
            }
        }
    }

    private static func write(_ match: AttributeMatch, to json: inout JSONWriter) {
        json.key(match.name)
        switch match.condition {
        case .present: json.value("*")
        case .value(let value): json.value(value)
        case .oneOf(let values):
            json.array { json in
                for value in values { json.value(value) }
            }
        }
    }

    private static func write(_ limit: Limit, to json: inout JSONWriter) {
        json.object { json in
            json.member("name", limit.name)
            json.member("count", limit.count.name)
            switch limit.kind {
            case .tokenBucket(let units, let period, let burst):
                json.member("rate", RateText.text(units: units, periodNanoseconds: period))
                json.member("burst", burst)
            case .rollingWindow(let units, let window, let guardTime):
                json.member("limit", units)
                json.duration("window", window)
                json.duration("guard", guardTime, unless: 0)
            case .calendarWindow(let units, let unit, let zone, let guardTime):
                json.member("limit", units)
                json.member("window", unit.name)
                if zone != "UTC" { json.member("zone", zone) }
                json.duration("guard", guardTime, unless: 0)
            case .concurrency(let slots, let lease, let maxHold):
                json.member("limit", slots)
                json.duration("lease", lease, unless: PolicyBounds.defaultLeaseNanoseconds)
                json.duration(
                    "max_hold", maxHold,
                    unless: max(PolicyBounds.defaultMaxHoldNanoseconds, lease))
            }
        }
    }

    private static func write(_ queue: QueueSettings, to json: inout JSONWriter) {
        json.key("queue")
        json.object { json in
            if let flow = queue.flow { json.member("flow", flow) }
            if queue.maxWaiting != QueueSettings().maxWaiting {
                json.member("max_waiting", queue.maxWaiting)
            }
            guard !queue.priorities.isEmpty else { return }
            json.key("priorities")
            json.array { json in
                for priority in queue.priorities {
                    json.object { json in
                        json.member("name", priority.name)
                        json.member("share", priority.share)
                    }
                }
            }
        }
    }

    private static func write(_ store: StoreSettings, to json: inout JSONWriter) {
        let defaults = StoreSettings()
        json.key("store")
        json.object { json in
            if store.onOutage != defaults.onOutage {
                json.member("on_outage", store.onOutage.rawValue)
            }
            if store.onLoss != defaults.onLoss { json.member("on_loss", store.onLoss.rawValue) }
            json.duration(
                "deadline", store.deadlineNanoseconds, unless: defaults.deadlineNanoseconds)
            if store.usesSlices { json.member("slices", true) }
            json.duration(
                "slice_ttl", store.sliceTTLNanoseconds, unless: defaults.sliceTTLNanoseconds)
            if let processes = store.processes { json.member("processes", processes) }
            if let share = store.outageShare {
                json.member("outage_share", "\(share.numerator)/\(share.denominator)")
            }
        }
    }
}

extension JSONWriter {
    /// A duration, left out where it is the default.
    fileprivate mutating func duration(
        _ name: String, _ nanoseconds: Int64, unless standard: Int64? = nil
    ) {
        if nanoseconds != standard { member(name, DurationText.text(of: nanoseconds)) }
    }
}
