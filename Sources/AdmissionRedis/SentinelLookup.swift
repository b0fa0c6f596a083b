import Admission
import Synchronization

/// Sentinels, and which of their masters is meant.
package struct RedisSentinels: Sendable, Hashable {
    /// In the order in which they are asked; at least one.
    package var hosts: [RedisHost]
    package var master: String
    /// How to log in at the sentinels themselves.
    package var user: String?
    package var password: RedisPassword?

    package init(
        hosts: [RedisHost], master: String, user: String? = nil, password: RedisPassword? = nil
    ) {
        self.hosts = hosts
        self.master = master
        self.user = user
        self.password = password
    }
}

/// Asks sentinels where a master is, as Redis' guide for clients of Sentinel says: one after the
/// other, and first the one that knew it last. What it does not do: ask that server for its role,
/// which is part of the greeting.
///
/// Threads: any.
final class SentinelLookup: Sendable {
    private let name: String
    private let command: RedisCommand
    private let sentinels: [RedisPipeline]
    /// The one that answered last. Relaxed: any of them will do.
    private let first = Atomic<Int>(0)

    /// Nil for an endpoint with an address of its own.
    init?(_ endpoint: RedisEndpoint, options: RedisPipeline.Options) {
        guard case .master(let known) = endpoint.address else { return nil }
        name = known.master
        command = RedisCommand("SENTINEL", "get-master-addr-by-name", known.master)
        sentinels = known.hosts.map { host in
            RedisPipeline(
                RedisEndpoint(
                    .host(host), user: known.user, password: known.password,
                    isEncrypted: endpoint.isEncrypted), options: options)
        }
    }

    deinit { for sentinel in sentinels { sentinel.close() } }

    /// The master's address as the first sentinel knows it that answers, one round trip.
    ///
    /// - Returns: nil when the deadline has passed already. Each sentinel but the last has half of
    ///   what is left of the time: the first one, which knew it, the most.
    /// - Throws: `masterUnknown` where none names it.
    func master(until deadline: Int64) throws(RedisFault) -> RedisHost? {
        var last: RedisFault?
        let first = self.first.load(ordering: .relaxed)
        for step in sentinels.indices {
            let now = CallDeadline.now()
            guard now < deadline else { return nil }
            let left = deadline.subtractingSaturating(now)
            let share = step == sentinels.count - 1 ? left : left / 2
            let index = (first + step) % sentinels.count
            do {
                let reply = try sentinels[index].call(
                    command, until: CallDeadline(nanoseconds: now.addingSaturated(share)))
                if let host = Self.host(reply) {
                    self.first.store(index, ordering: .relaxed)
                    return host
                }
                if case .error(let error) = reply { last = .turnedAway(error) }
            } catch {
                last = error.fault
            }
        }
        throw .masterUnknown(name: name, last: last)
    }

    private static func host(_ reply: RedisReply) -> RedisHost? {
        guard case .array(let parts) = reply, parts.count == 2, let name = parts[0].text,
            !name.isEmpty, let port = parts[1].text.flatMap({ UInt16($0) }), port > 0
        else { return nil }
        return RedisHost(name: name, port: port)
    }
}
