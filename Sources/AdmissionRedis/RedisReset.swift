import Admission

/// Giving back everything that was charged to a store in Redis or Valkey.
///
/// Limiters go on: their next decisions find every counter new, and what was charged before is not
/// given back a second time. Leases stay, and run out where their owners are gone.
///
/// ```swift
/// let report = try RedisReset.run(store: "redis://localhost:6379/0")
/// print("\(report.scopes) states of \(report.shards) shards")
/// ```
public struct RedisReset: Sendable, Hashable {
    /// Shards that were met.
    public let shards: Int
    /// States, each of one policy and one combination of its `per` values, that are new now.
    public let scopes: Int

    /// Keys that one call removes: so long the server serves nobody else.
    private static let batch = 128

    /// Resets a store.
    ///
    /// - Parameter store: its URL, `redis:` or `redis+unix:`.
    /// - Throws: as `RedisInspection.read`.
    /// - Complexity: O(keys of the database, of any program), by SCAN.
    public static func run(store: String) throws(LimiterError) -> RedisReset {
        do throws(StoreError) {
            let visit = try RedisVisit(store)
            defer { visit.close() }
            var shards: [[UInt8]: [[UInt8]]] = [:]
            for key in try visit.keys() {
                guard let name = RedisKeyName(key) else { continue }
                switch name.role {
                case .state, .cells: shards[name.shard, default: []].append(key)
                case .shard, .leases, .loads, .clock: break
                }
            }
            var scopes = 0
            for (shard, keys) in shards {
                for start in stride(from: 0, to: keys.count, by: batch) {
                    let part = Array(keys[start..<min(keys.count, start + batch)])
                    try reset(part, of: shard + Array("shard".utf8), visit)
                    scopes += part.count { $0.last == UInt8(ascii: "s") }
                }
            }
            return RedisReset(shards: shards.count, scopes: scopes)
        } catch {
            throw LimiterError(error)
        }
    }

    private static func reset(
        _ keys: [[UInt8]], of shard: [UInt8], _ visit: RedisVisit
    ) throws(StoreError) {
        var (lifetime, seen): (Int64, Int64) = (1_000_000, 0)
        // What is no string goes too: a reset ends damage.
        for reply in try visit.answers(keys.map { RedisCommand([Array("GET".utf8), $0]) }) {
            guard case .bytes(let value) = reply, let state = RedisStoredState(value) else {
                continue
            }
            lifetime = max(lifetime, state.kept - state.steady)
            seen = max(seen, state.steady)
        }
        let words = RedisWords.pack([Int64.random(in: 1...RedisWords.most), lifetime, seen])
        let script = RedisScripts.visiting(isClockManual: visit.isClockManual).reset
        let command = script.prepared(keys: [shard] + keys, variableCount: 1).command([words])
        _ = try visit.call(script, command)
    }

    /// The report as JSON.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("shards", shards)
            writer.member("scopes", scopes)
        }
        return writer.text
    }
}
