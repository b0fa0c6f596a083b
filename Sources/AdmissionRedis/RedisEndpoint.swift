/// One server, and how to log in there.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable, CustomStringConvertible {
        case host(RedisHost)
        case unixSocket(path: String)

        package var description: String {
            switch self {
            case .host(let host): "\(host)"
            case .unixSocket(let path): path
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
}

extension RedisURL {
    /// A server that the URL itself names or leads to, with the URL's login.
    package func endpoint(_ address: RedisEndpoint.Address) -> RedisEndpoint {
        RedisEndpoint(
            address, user: user, password: password, database: database, isEncrypted: isEncrypted)
    }

    /// The one server of a URL that names one; nil where sentinels or a cluster have to be asked.
    package var endpoint: RedisEndpoint? {
        switch place {
        case .server(let host): endpoint(.host(host))
        case .unixSocket(let path): endpoint(.unixSocket(path: path))
        case .sentinels, .cluster: nil
        }
    }
}
