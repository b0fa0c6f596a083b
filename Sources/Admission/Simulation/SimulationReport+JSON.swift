extension SimulationReport {
    /// The report as one JSON object, without the log; times are Unix nanoseconds.
    ///
    /// ```json
    /// {"workload": {"title": "…", "digest": "16 hex digits", "start_unix_ns": 0, "duration_ns": 0},
    ///  "policy_hash": "16 hex digits", "offered": {"calls": 0, …}, "admitted": {…},
    ///  "rejected": 0, "never": 0, "unlimited": 0, "leases_expired": 0,
    ///  "rejections": [{"policy": "p", "limit": "rpm", "reason": "exhausted", "count": 1, …}],
    ///  "limits": [{"policy": "p", "limit": "rpm", "kind": "rolling", "capacity": 10, "peak": 9, …}],
    ///  "checked": 0, "violations": 0, "first_violations": []}
    /// ```
    public var json: String {
        var json = JSONWriter()
        json.object { json in
            json.key("workload")
            json.object { json in
                json.member("title", title)
                json.member("digest", workloadDigest.hexadecimal)
                json.member("start_unix_ns", startUnixNanoseconds)
                json.member("duration_ns", durationNanoseconds)
            }
            json.member("policy_hash", policyHash.hexadecimal)
            json.key("offered")
            write(offered, into: &json)
            json.key("admitted")
            write(admitted, into: &json)
            json.member("rejected", rejectedCount)
            json.member("never", neverCount)
            json.member("unlimited", unlimitedCount)
            json.member("leases_expired", leasesExpiredCount)
            json.member("rejections", each: rejections) { write($1, into: &$0) }
            json.member("limits", each: limits) { write($1, into: &$0) }
            json.member("checked", admitted.calls)
            json.member("violations", violationCount)
            json.member("first_violations", each: violations) { $0.value($1.description) }
        }
        return json.text
    }

    private func write(_ traffic: TrafficSummary, into json: inout JSONWriter) {
        json.object { json in
            json.member("calls", traffic.calls)
            json.member("input_tokens", traffic.inputTokens)
            json.member("output_tokens", traffic.outputTokens)
            json.key("busiest_minute")
            json.object { json in
                json.member("calls", traffic.busiestMinuteCalls)
                json.member(
                    "calls_from_unix_ns", unix(traffic.busiestMinuteCallsAtNanoseconds))
                json.member("input_tokens", traffic.busiestMinuteInputTokens)
                json.member(
                    "input_tokens_from_unix_ns",
                    unix(traffic.busiestMinuteInputTokensAtNanoseconds))
            }
        }
    }

    private func write(_ row: RejectionSummary, into json: inout JSONWriter) {
        json.object { json in
            json.member("policy", orNull: row.policyName)
            json.member("limit", orNull: row.limitName)
            json.member("reason", row.reason.name)
            json.member("count", row.count)
            json.member("first_unix_ns", unix(row.firstAtNanoseconds))
            json.member("last_unix_ns", unix(row.lastAtNanoseconds))
        }
    }

    private func write(_ row: LimitSummary, into json: inout JSONWriter) {
        json.object { json in
            json.member("policy", row.policyName)
            json.member("limit", row.limit.name)
            json.member("kind", row.limit.kind.name)
            json.member("count", row.limit.count.name)
            json.member("capacity", row.limit.kind.capacity)
            json.member("keys", row.keyCount)
            json.member("units", row.units)
            json.member("peak", row.peak)
            json.member("peak_unix_ns", orNull: row.peak > 0 ? unix(row.peakAtNanoseconds) : nil)
            json.member("peak_attributes", row.peakAttributes)
            json.member("rejected", row.rejectedCount)
            json.member("used_permille", row.usedPermille)
        }
    }

    private func unix(_ atNanoseconds: Int64) -> Int64 {
        startUnixNanoseconds + atNanoseconds
    }
}
