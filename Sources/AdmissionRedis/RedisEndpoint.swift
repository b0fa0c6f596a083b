/// One server, and how to log in there.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable, CustomStringConvertible {
        case host(RedisHost)
        case unixSocket(path: String)
        /// Whichever server the sentinels call the master, asked anew for each connection.
        case master(RedisSentinels)

        package var description: String {
            switch self {
            case .host(let host): "\(host)"
            case .unixSocket(let path): path
            case .master(let sentinels): "the master \(sentinels.master)"
            }
        }
    }

    package var address: Address
    package var user: String?
    package var password: RedisPassword?
    package var database: Int
    package var isEncrypted: Bool

    package init(
        _ address: Address, user: String? = nil, password: RedisPassword? = nil, database: Int = 0,
        isEncrypted: Bool = false
    ) {
        self.address = address
        self.user = user
        self.password = password
        self.database = database
        self.isEncrypted = isEncrypted
    }

    /// Whether the server has to be a master, by its own words, to be used.
    var isMaster: Bool {
        if case .master = address { true } else { false }
    }
}

extension RedisURL {
    /// A server that the URL itself names or leads to, with the URL's login.
    package func endpoint(_ address: RedisEndpoint.Address) -> RedisEndpoint {
        RedisEndpoint(
            address, user: user, password: password, database: database, isEncrypted: isEncrypted)
    }

    /// The one server at a time that a URL leads to; nil for a cluster.
    package var endpoint: RedisEndpoint? {
        switch place {
        case .server(let host): endpoint(.host(host))
        case .unixSocket(let path): endpoint(.unixSocket(path: path))
        case .sentinels(let hosts, let master):
            endpoint(
                .master(
                    RedisSentinels(
                        hosts: hosts, master: master, user: sentinelUser,
                        password: sentinelPassword)))
        case .cluster: nil
        }
    }
}
