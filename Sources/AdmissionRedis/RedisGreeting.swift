/// What is said first on a new connection: log in, choose the database, say who this is.
///
/// All of it goes out at once, and nothing else before the last answer: a charge that followed a
/// refused SELECT would be booked in another database. A pure value: it reads no socket.
struct RedisGreeting: Sendable {
    private enum Step: Sendable {
        case login
        case database(Int)
        /// Of a server that sentinels named: it may have become a replica meanwhile.
        case role
        case name
    }

    private var steps: [Step]
    private var answered = 0
    /// Bytes of the commands of all steps. The commands themselves hold the password and are not
    /// kept.
    let byteCount: Int

    /// - Parameter name: as `CLIENT LIST` shows it; without blanks.
    init(_ endpoint: RedisEndpoint, name: String) {
        steps =
            (endpoint.password == nil ? [] : [.login])
            + (endpoint.database == 0 ? [] : [.database(endpoint.database)])
            + (endpoint.isMaster ? [.role] : []) + [.name]
        byteCount = Self.commands(endpoint, name: name).count
    }

    /// What is to be sent.
    static func commands(_ endpoint: RedisEndpoint, name: String) -> [UInt8] {
        var commands: [RedisCommand] = []
        if let password = endpoint.password {
            let login = ["AUTH"] + (endpoint.user.map { [$0] } ?? []) + [password.text]
            commands.append(RedisCommand(login.map { Array($0.utf8) }))
        }
        if endpoint.database != 0 {
            commands.append(RedisCommand("SELECT", "\(endpoint.database)"))
        }
        if endpoint.isMaster { commands.append(RedisCommand("ROLE")) }
        commands.append(RedisCommand("CLIENT", "SETNAME", name))
        return commands.flatMap(\.bytes)
    }

    var isOver: Bool { answered == steps.count }

    /// Takes the next answer.
    ///
    /// - Throws: why the connection cannot be used.
    mutating func receive(_ reply: RedisReply) throws(RedisFault) {
        guard !isOver else { return }
        let step = steps[answered]
        answered += 1
        guard case .error(let error) = reply else {
            guard case .role = step else { return }
            guard case .array(let parts) = reply, let role = parts.first?.text else {
                throw .protocolError("a role that is none")
            }
            guard role == "master" else { throw .notMaster(role: role) }
            return
        }
        switch (step, error.code) {
        // A server's words about a login may repeat it.
        case (.login, .wrongPassword), (.login, .other): throw .wrongPassword
        case (_, .passwordNeeded): throw .passwordNeeded
        case (_, .denied), (_, .loading), (_, .masterDown), (_, .clusterDown):
            throw .turnedAway(error)
        case (.login, _): throw .wrongPassword
        case (_, .other) where error.message.hasPrefix("ERR max number of clients"):
            throw .turnedAway(error)
        case (.database(let number), _): throw .wrongDatabase(number, error.message)
        case (.role, _): throw .turnedAway(error)
        // The name serves people only; users and proxies may lack the right to set it.
        case (.name, _): break
        }
    }
}
