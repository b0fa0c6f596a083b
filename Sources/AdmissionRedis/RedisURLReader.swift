import Admission

/// Takes a `redis` URL apart. Its errors quote nothing that could be of a user or a password.
struct RedisURLReader {
    /// What is wrong, and what is accepted.
    struct Fault: Error {
        let reason: String
    }

    private let scheme: RedisURL.Scheme
    private let login: Substring?
    private let authority: Substring
    /// Without the slash in front; nil without one.
    private let path: Substring?
    private let options: [Substring]

    init(_ url: String) throws(Fault) {
        guard let marker = url.firstRange(of: "://"),
            let scheme = RedisURL.Scheme(rawValue: String(url[..<marker.lowerBound]))
        else {
            throw Fault(
                reason: "accepted: redis://, rediss://, redis+unix://, redis+sentinel://, "
                    + "redis+cluster://")
        }
        self.scheme = scheme
        let rest = url[marker.upperBound...]
        guard !rest.contains("#") else {
            throw Fault(reason: "a # is not accepted: in a user or a password write %23")
        }
        let halves = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let place = halves[0]
        let slash = place.firstIndex(of: "/")
        let front = place[..<(slash ?? place.endIndex)]
        let path = slash.map { place[place.index(after: $0)...] }
        // A path of the file system may hold an @, a database and a master's name have none.
        let isPathFree = scheme == .unixSocket && (front.isEmpty || front.last == "@")
        let isBehind = halves.dropFirst().contains { $0.contains("@") }
        guard !isBehind, isPathFree || path?.contains("@") != true else {
            throw Fault(
                reason: "an @ stands behind a / or a ?: in a user or a password write %2F and %3F")
        }
        let at = front.lastIndex(of: "@")
        login = at.map { front[..<$0] }
        authority = at.map { front[front.index(after: $0)...] } ?? front
        self.path = path
        options = halves.count > 1 ? halves[1].split(separator: "&") : []
    }

    func url() throws(Fault) -> RedisURL {
        let login = try readLogin()
        let options = try RedisURLOptions(options, scheme)
        var database = options.database ?? 0
        let place: RedisURL.Place
        switch scheme {
        case .server, .encryptedServer:
            let hosts = try readHosts(port: 6_379)
            guard hosts.count == 1 else {
                throw Fault(
                    reason: "\(hosts.count) hosts: several are accepted by redis+sentinel:// and "
                        + "redis+cluster://")
            }
            database = try readDatabase(path ?? "")
            place = .server(hosts[0])
        case .unixSocket: place = .unixSocket(path: try readSocketPath())
        case .sentinels:
            let parts = (path ?? "").split(separator: "/", omittingEmptySubsequences: false)
            guard let name = parts.first, !name.isEmpty, parts.count <= 2 else {
                throw Fault(
                    reason: "accepted: redis+sentinel://host:port,host:port/master-name/database")
            }
            place = .sentinels(
                try readHosts(port: 26_379), master: try decoded(name, "master's name"))
            database = try readDatabase(parts.count > 1 ? parts[1] : "")
        case .cluster:
            guard path == nil || path == "" || path == "0" else {
                throw Fault(reason: "a cluster has database 0 alone: nothing may follow the hosts")
            }
            place = .cluster(try readHosts(port: 6_379))
        }
        return RedisURL(
            place: place, login: login, database: database,
            isEncrypted: options.isEncrypted ?? (scheme == .encryptedServer), options: options)
    }

    /// `user:password`, `:password` or `user`.
    private func readLogin() throws(Fault) -> (user: String?, password: RedisPassword?) {
        guard let login else { return (nil, nil) }
        let parts = login.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try decoded(parts[0], "user")
        guard parts.count > 1 else {
            throw Fault(reason: "a user without a password; accepted: user:password@ or :password@")
        }
        let password = try decoded(parts[1], "password")
        guard !password.isEmpty else {
            throw Fault(reason: "the password is empty; accepted: user:password@ or :password@")
        }
        return (user.isEmpty ? nil : user, RedisPassword(password))
    }

    private func readHosts(port: UInt16) throws(Fault) -> [RedisHost] {
        var hosts: [RedisHost] = []
        for text in authority.split(separator: ",", omittingEmptySubsequences: false) {
            hosts.append(try readHost(text, defaultPort: port))
        }
        guard hosts.count <= 64 else {
            throw Fault(reason: "\(hosts.count) hosts; accepted: at most 64")
        }
        return hosts
    }

    private func readHost(_ text: Substring, defaultPort: UInt16) throws(Fault) -> RedisHost {
        let name: String
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw Fault(reason: "a [ without a ]; accepted: [::1]:6379")
            }
            name = try decoded(text[text.index(after: text.startIndex)..<end], "host")
            let address = name.prefix { $0 != "%" }
            guard address.filter({ $0 == ":" }).count >= 2,
                address.allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == ":" || $0 == ".") })
            else { throw Fault(reason: "no IPv6 address in the brackets; accepted: [::1]:6379") }
            rest = text[text.index(after: end)...]
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            name = try decoded(text[..<end], "host")
            let isName = name.utf8.allSatisfy {
                $0 > 0x7f || UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || "-._".utf8.contains($0)
            }
            guard !name.isEmpty, isName, name.utf8.count <= 253 else {
                throw Fault(
                    reason: "a host has no name; accepted: name:port, 10.0.0.1:port, [::1]:port")
            }
            rest = text[end...]
        }
        guard !rest.isEmpty else { return RedisHost(name: name, port: defaultPort) }
        guard rest.first == ":", let port = Self.number(rest.dropFirst()), 1...65_535 ~= port else {
            throw Fault(reason: "a host's port is no number; accepted: 1 to 65535")
        }
        return RedisHost(name: name, port: UInt16(port))
    }

    private func readSocketPath() throws(Fault) -> String {
        guard authority.isEmpty, let path, !path.isEmpty else {
            throw Fault(reason: "accepted: redis+unix:///path/of/the/socket?db=0")
        }
        let decoded = "/" + (try decoded(path, "path"))
        guard !decoded.utf8.contains(0) else { throw Fault(reason: "the path holds a zero byte") }
        return decoded
    }

    private func readDatabase(_ text: Substring) throws(Fault) -> Int {
        guard !text.isEmpty else { return 0 }
        guard let number = Self.number(text) else {
            throw Fault(reason: "the database is no number; accepted: 0 to 99999")
        }
        return number
    }

    /// One to five digits.
    fileprivate static func number(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), text.count <= 5
        else { return nil }
        return Int(text)
    }

    private func decoded(_ text: Substring, _ part: String) throws(Fault) -> String {
        try Self.decoded(text, part)
    }

    fileprivate static func decoded(_ text: Substring, _ part: String) throws(Fault) -> String {
        guard let decoded = StoreURL.percentDecoded(String(text)) else {
            throw Fault(
                reason: "in the \(part) a % is not followed by two hexadecimal digits of UTF-8")
        }
        return decoded
    }
}

/// What stands behind the question mark; each option at most once.
struct RedisURLOptions {
    private(set) var isClockManual = false
    /// Of a socket's URL; nil: not said.
    private(set) var database: Int?
    private(set) var isEncrypted: Bool?
    private(set) var sentinelUser: String?
    private(set) var sentinelPassword: RedisPassword?

    init(_ options: [Substring], _ scheme: RedisURL.Scheme) throws(RedisURLReader.Fault) {
        var names: Set<Substring> = []
        for option in options {
            let sides = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = sides.count > 1 ? sides[1] : ""
            let isNew = names.insert(sides[0]).inserted
            guard isNew, try take(sides[0], value, scheme) else {
                throw RedisURLReader.Fault(
                    reason:
                        "an option is not known, not for this scheme or stands twice; accepted: "
                        + Self.accepted(scheme))
            }
        }
        guard sentinelUser == nil || sentinelPassword != nil else {
            throw RedisURLReader.Fault(reason: "sentinel_user without sentinel_password")
        }
    }

    /// - Returns: whether there is such an option and the scheme has it.
    private mutating func take(
        _ name: Substring, _ value: Substring, _ scheme: RedisURL.Scheme
    ) throws(RedisURLReader.Fault) -> Bool {
        switch (name, scheme) {
        case ("clock", .cluster):
            throw RedisURLReader.Fault(
                reason: "a cluster has no manual clock: it would lie in one node alone; accepted: "
                    + "redis://, redis+unix:// and redis+sentinel:// with clock=manual")
        case ("clock", _) where value == "manual": isClockManual = true
        case ("db", .unixSocket): database = RedisURLReader.number(value)
        case ("tls", .unixSocket): return false
        case ("tls", .encryptedServer) where value != "true": return false
        case ("tls", _) where value == "true" || value == "false": isEncrypted = value == "true"
        case ("sentinel_user", .sentinels) where !value.isEmpty:
            sentinelUser = try RedisURLReader.decoded(value, "sentinels' user")
        case ("sentinel_password", .sentinels) where !value.isEmpty:
            sentinelPassword = RedisPassword(
                try RedisURLReader.decoded(value, "sentinels' password"))
        default: return false
        }
        return name != "db" || database != nil
    }

    private static func accepted(_ scheme: RedisURL.Scheme) -> String {
        switch scheme {
        case .server, .encryptedServer: "clock=manual, tls=true"
        case .unixSocket: "clock=manual, db=0 to db=99999"
        case .sentinels: "clock=manual, tls=true, sentinel_user=, sentinel_password="
        case .cluster: "tls=true"
        }
    }
}
