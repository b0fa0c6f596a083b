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
            let digits = String(documentHash, radix: 16)
            writer.member(
                "document_hash", String(repeating: "0", count: 16 - digits.count) + digits)
            writer.member("loads", loads)
            writer.member("retries", retries)
            writer.member("rollbacks", rollbacks)
            writer.member("turns_helped", turnsHelped)
            writer.member("reclaimed_leases", reclaimedLeases)
            writer.key("owners")
            writer.array { writer in for owner in owners { owner.write(&writer) } }
            writer.key("limits")
            writer.array { writer in for limit in limits { limit.write(&writer) } }
            writer.key("leases")
            writer.array { writer in for lease in leases { lease.write(&writer) } }
            writer.key("events")
            writer.array { writer in for event in events { event.write(&writer) } }
            writer.key("refused_reload")
            if let refusedReload { refusedReload.write(&writer) } else { writer.null() }
            writer.member("omitted", omitted)
            writer.member("damaged", isDamaged)
        }
        return writer.text
    }

    fileprivate static func write(_ attributes: [Attribute], _ writer: inout JSONWriter) {
        writer.key("key")
        writer.object { writer in
            for attribute in attributes { writer.member(attribute.name, attribute.value) }
        }
    }
}

extension StoreInspection.Owner {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("number", number)
            writer.member("pid", pid)
            writer.member("pid_namespace", pidNamespace)
            writer.member("state", state)
            writer.key("alive")
            if let isAlive { writer.value(isAlive) } else { writer.null() }
            writer.member("heartbeat_age_ns", heartbeatAgeNanoseconds)
            writer.member("policy_broken", isPolicyBroken)
            writer.member("leases", leases)
        }
    }
}

extension StoreInspection.LimitRow {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("kind", kind)
            writer.member("capacity", capacity)
            writer.member("key_count", keyCount)
            writer.key("keys")
            writer.array { writer in
                for key in keys {
                    writer.object { writer in
                        StoreInspection.write(key.attributes, &writer)
                        writer.member("used", key.used)
                        writer.member("remaining", key.remaining)
                        writer.member("full_again_ns", orNull: key.fullAgainNanoseconds)
                    }
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
            StoreInspection.write(attributes, &writer)
            writer.member("slot", slot)
            writer.member("owner", owner)
            writer.member("pid", orNull: pid)
            writer.member("reclaimable", isReclaimable)
            writer.member("age_ns", ageNanoseconds)
            writer.member("runs_out_ns", runsOutNanoseconds)
        }
    }
}
