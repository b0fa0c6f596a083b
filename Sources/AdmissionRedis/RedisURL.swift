import Admission

/// Which servers hold a store, as a URL says it.
///
/// ```
/// redis://user:password@host:6379/0          one server; the user alone, or all of it, may be absent
/// rediss://host                              the same through TLS
/// redis+unix://:password@/run/redis.sock?db=1
/// redis+sentinel://h1:26379,h2/master-name/0 the master that the sentinels name
/// redis+cluster://h1:6379,h2                 a cluster, from any of its nodes
/// ```
/// Parts are percent-decoded; hosts are names, IPv4 addresses or IPv6 addresses in brackets. Options:
/// `clock=manual`, but for clusters; `tls=true` or `tls=false`, but for sockets; with sentinels
/// `sentinel_user` and `sentinel_password`, which are for the sentinels alone. A password stands in
/// `password` or `sentinelPassword` and is printed by nothing: a description shows `***` for it, and
/// an error shows no part of a user or a password.
package struct RedisURL: Sendable, Hashable, CustomStringConvertible {
    package enum Place: Sendable, Hashable {
        case server(RedisHost)
        case unixSocket(path: String)
        case sentinels([RedisHost], master: String)
        case cluster([RedisHost])
    }

    package let place: Place
    package let user: String?
    package let password: RedisPassword?
    /// How to log in at the sentinels; the servers have `user` and `password`.
    package let sentinelUser: String?
    package let sentinelPassword: RedisPassword?
    /// From 0; a cluster has no other.
    package let database: Int
    package let isEncrypted: Bool
    /// `clock=manual`: the scripts read a key for the time.
    package let isClockManual: Bool

    /// Whether a store's URL is one for this type to read.
    package static func isRedis(_ url: String) -> Bool {
        Scheme.allCases.contains { url.hasPrefix($0.rawValue + ":") }
    }

    package static var schemes: [String] { Scheme.allCases.map(\.rawValue) }

    /// - Throws: `StoreError.invalidURL` with the redacted URL and what would be accepted.
    package init(_ url: String) throws(StoreError) {
        do {
            self = try RedisURLReader(url).url()
        } catch {
            throw .invalidURL(url: Self.redacted(url), reason: error.reason)
        }
    }

    init(
        place: Place, login: (user: String?, password: RedisPassword?), database: Int,
        isEncrypted: Bool, options: RedisURLOptions
    ) {
        self.place = place
        (user, password) = login
        (sentinelUser, sentinelPassword) = (options.sentinelUser, options.sentinelPassword)
        self.database = database
        self.isEncrypted = isEncrypted
        isClockManual = options.isClockManual
    }

    /// The URL with `***` for the passwords.
    package var description: String {
        let login = password == nil ? user.map { $0 + "@" } ?? "" : (user ?? "") + ":***@"
        var options: [String] = []
        let front: String
        switch place {
        case .server(let host):
            front = (isEncrypted ? "rediss://" : "redis://") + login + "\(host)/\(database)"
        case .unixSocket(let path):
            front = "redis+unix://\(login)\(path)"
            options.append("db=\(database)")
        case .sentinels(let hosts, let master):
            front = "redis+sentinel://\(login)\(Self.list(hosts))/\(master)/\(database)"
        case .cluster(let hosts):
            front = "redis+cluster://\(login)\(Self.list(hosts))"
        }
        if isClockManual { options.append("clock=manual") }
        if isEncrypted, !front.hasPrefix("rediss:") { options.append("tls=true") }
        if let sentinelUser { options.append("sentinel_user=\(sentinelUser)") }
        if sentinelPassword != nil { options.append("sentinel_password=***") }
        return front + (options.isEmpty ? "" : "?" + options.joined(separator: "&"))
    }

    private static func list(_ hosts: [RedisHost]) -> String {
        hosts.map(\.description).joined(separator: ",")
    }

    /// A URL that may be broken, without anything in it that may be of a password.
    ///
    /// Where a user stands is not known in a broken URL: all up to the last `@` goes, what follows a
    /// colon and is no port, and the values of options that are not known here.
    package static func redacted(_ url: String) -> String {
        guard let marker = url.firstRange(of: "://") else {
            return (Scheme.allCases.first { url.hasPrefix($0.rawValue + ":") }?.rawValue ?? "")
                + ":***"
        }
        var rest = url[marker.upperBound...]
        var shown = String(url[..<marker.upperBound])
        if let end = rest.lastIndex(of: "@") {
            shown += "***@"
            rest = rest[rest.index(after: end)...]
        }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        shown += parts[0].split(separator: "/", omittingEmptySubsequences: false).map { segment in
            segment.split(separator: ",", omittingEmptySubsequences: false).map(withoutBadPort)
                .joined(separator: ",")
        }.joined(separator: "/")
        guard parts.count > 1 else { return shown }
        return shown + "?"
            + parts[1].split(separator: "&").map { pair in
                let isKnown = ["clock=", "db=", "tls="].contains { pair.hasPrefix($0) }
                return isKnown ? String(pair) : pair.prefix { $0 != "=" } + "=***"
            }.joined(separator: "&")
    }

    private static func withoutBadPort(_ host: Substring) -> String {
        guard !host.hasPrefix("["), let colon = host.firstIndex(of: ":") else {
            return String(host)
        }
        let port = host[host.index(after: colon)...]
        return port.allSatisfy { $0.isASCII && $0.isNumber } && port.count <= 5
            ? String(host) : host[..<colon] + ":***"
    }

    enum Scheme: String, CaseIterable {
        case server = "redis"
        case encryptedServer = "rediss"
        case unixSocket = "redis+unix"
        case sentinels = "redis+sentinel"
        case cluster = "redis+cluster"
    }
}

/// A host's name or address, and a port.
package struct RedisHost: Sendable, Hashable, CustomStringConvertible {
    /// Without brackets.
    package let name: String
    /// 1 … 65535.
    package let port: UInt16

    package init(name: String, port: UInt16) {
        self.name = name
        self.port = port
    }

    package var description: String { name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)" }
}

/// A password, which no printing shows, a mirror's neither.
package struct RedisPassword: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    let text: String

    package init(_ text: String) { self.text = text }

    package var description: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension RedisPassword: CustomDebugStringConvertible {
    package var debugDescription: String { "***" }
}
