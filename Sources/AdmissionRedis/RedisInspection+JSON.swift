import Admission

extension RedisInspection {
    /// The inspection as JSON; where it says the same as a file's, in the same words.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("url", url)
            writer.member("clock", isManualClock ? "manual" : "system")
            writer.member("wall_unix_ns", wall.unixNanoseconds)
            writer.member("server_keys", serverKeys)
            writer.member("document_hash", documentHash.hexadecimal)
            writer.member("limits", each: limits) { $1.write(&$0) }
            writer.member("leases", each: leases) { $1.write(&$0) }
            writer.member("shards", each: shards) { writer, shard in
                writer.object { writer in
                    writer.member("shard", shard.name)
                    writer.member("lost_unix_ns", orNull: shard.lostAt?.unixNanoseconds)
                    writer.member("reset_unix_ns", orNull: shard.resetAt?.unixNanoseconds)
                }
            }
            writer.member("omitted", omitted)
            writer.key("faults")
            writer.array { writer in
                for fault in faults { writer.value(fault) }
            }
        }
        return writer.text
    }
}

extension RedisInspection.Lease {
    fileprivate func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("policy", policy)
            writer.member("limit", limit)
            writer.member("key", attributes)
            writer.member("owner", owner)
            writer.member("renewed_ns", renewedNanoseconds)
            writer.member("runs_out_ns", runsOutNanoseconds)
        }
    }
}
