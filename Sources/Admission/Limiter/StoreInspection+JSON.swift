extension StoreInspection {
    /// The inspection as JSON.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("path", orNull: path)
            writer.member("layout_version", layoutVersion)
            writer.member("created_unix_ns", createdAt.unixNanoseconds)
            writer.member("replaced", isReplaced)
            writer.member("size_bytes", sizeBytes)
            writer.member("reserved_bytes", reservedBytes)
            writer.member("used_bytes", usedBytes)
            writer.member("keys", keys)
            writer.member("key_capacity", keyCapacity)
            writer.member("clock", isManualClock ? "manual" : "system")
            writer.member("steady_ns", steady.nanoseconds)
            writer.member("wall_unix_ns", wall.unixNanoseconds)
            writer.member("document_hash", documentHash.hexadecimal)
            writer.member("loads", loads)
            writer.member("retries", retries)
            writer.member("rollbacks", rollbacks)
            writer.member("turns_helped", turnsHelped)
            writer.member("reclaimed_leases", reclaimedLeases)
            writer.member("owners", each: owners) { $1.write(&$0) }
            writer.member("limits", each: limits) { $1.write(&$0) }
            writer.member("leases", each: leases) { $1.write(&$0) }
            writer.member("events", each: events) { $1.write(&$0) }
            writer.key("refused_reload")
            if let refusedReload { refusedReload.write(&writer) } else { writer.null() }
            writer.member("omitted", omitted)
            writer.member("damaged", isDamaged)
        }
        return writer.text
    }
}

extension StoreInspection.Owner {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("number", number)
            writer.member("pid", pid)
            writer.member("pid_namespace", pidNamespace)
            writer.member("state", state)
            writer.member("alive", orNull: isAlive)
            writer.member("heartbeat_age_ns", heartbeatAgeNanoseconds)
            writer.member("policy_broken", isPolicyBroken)
            writer.member("leases", leases)
        }
    }
}

extension StoreInspection.LimitRow {
    /// The row as JSON, whatever store it is of.
    package func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("kind", kind)
            writer.member("capacity", capacity)
            writer.member("key_count", keyCount)
            writer.member("keys", each: keys) { writer, key in
                writer.object { writer in
                    writer.member("key", key.attributes)
                    writer.member("used", key.used)
                    writer.member("remaining", key.remaining)
                    writer.member("full_again_ns", orNull: key.fullAgainNanoseconds)
                }
            }
        }
    }
}

extension StoreInspection.Lease {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("key", attributes)
            writer.member("slot", slot)
            writer.member("owner", owner)
            writer.member("pid", orNull: pid)
            writer.member("reclaimable", isReclaimable)
            writer.member("age_ns", ageNanoseconds)
            writer.member("runs_out_ns", runsOutNanoseconds)
        }
    }
}
