/// Why a command has no answer, and whether it may have been carried out.
///
/// The difference decides what may follow: a charge that was not sent may be sent elsewhere, one
/// whose reply is lost is never sent again.
package enum RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The server has not got the whole command: nothing ran.
    case notSent(RedisFault)
    /// The command was on its way: whether it ran is unknown.
    case replyLost(RedisFault)

    package var fault: RedisFault {
        switch self {
        case .notSent(let fault), .replyLost(let fault): fault
        }
    }

    package var description: String {
        switch self {
        case .notSent(let fault): "not sent: \(fault)"
        case .replyLost(let fault): "reply lost: \(fault)"
        }
    }
}

/// What went wrong with a connection. No text in it comes from a password.
package enum RedisFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody listens there: address and `errno`.
    case refused(address: String, errno: Int32)
    /// The host's name has no address: the resolver's words.
    case unresolvable(host: String, reason: String)
    /// The caller's deadline passed while this was going on.
    case timedOut(RedisStage)
    /// The server said nothing for longer than the connection waits: nanoseconds.
    case stalled(nanoseconds: Int64)
    /// The server failed, as last said here, and its next chance comes at this instant of the
    /// monotonic clock: nobody asked it.
    indirect case circuitOpen(untilNanoseconds: Int64, last: RedisFault?)
    /// The other side ended the connection.
    case closedByServer
    /// A system call failed on the connection: its name and `errno`.
    case broken(operation: String, errno: Int32)
    /// Something that is not the protocol: what the parser said.
    case protocolError(String)
    /// A reply larger than the bounds.
    case replyTooLarge
    /// The server does not accept user and password.
    case wrongPassword
    /// The server asks for a password, and the URL has none.
    case passwordNeeded
    /// The server refuses the database: its number and the server's words.
    case wrongDatabase(Int, String)
    /// The server refuses the connection, in its words.
    case turnedAway(RedisServerError)
    /// The server that the sentinels named is none that may be written to: its role.
    case notMaster(role: String)
    /// No sentinel names the master: its name, and why the last of them did not.
    indirect case masterUnknown(name: String, last: RedisFault?)
    /// No node of the cluster has the slot, or none says so: why the last of them did not.
    indirect case slotUnserved(Int, last: RedisFault?)
    /// As many commands wait for their replies as a connection takes.
    case tooManyCommands(Int)
    /// The path of the socket is longer than the system takes: its bytes and the most.
    case pathTooLong(bytes: Int, accepted: Int)
    /// No descriptor or no memory for a connection: the operation and `errno`.
    case noResources(operation: String, errno: Int32)
    /// `rediss:` and no TLS in this build.
    case tlsUnavailable(hiredis: String)
    /// Built without the package trait `Redis`.
    case notBuilt
    /// The process was forked while the command was on its way, and this is the child.
    case forked
    /// The connection was closed by its owner.
    case closed

    package var description: String {
        switch self {
        case .refused(let address, let errno): "\(address) refused the connection (errno \(errno))"
        case .unresolvable(let host, let reason): "\(host) has no address: \(reason)"
        case .timedOut(let stage): "the deadline passed while \(stage)"
        case .stalled(let nanoseconds):
            "the server has said nothing for \(nanoseconds / 1_000_000) ms"
        case .circuitOpen(_, let last):
            "the server failed lately" + (last.map { " (\($0))" } ?? "")
                + " and is asked again later"
        case .closedByServer: "the server closed the connection"
        case .broken(let operation, let errno): "\(operation) failed (errno \(errno))"
        case .protocolError(let text): "what came is not the protocol of Redis: \(text)"
        case .replyTooLarge: "the server sent a reply above the bounds"
        case .wrongPassword: "the server does not accept user and password"
        case .passwordNeeded: "the server asks for a password and the URL has none"
        case .wrongDatabase(let number, let text): "database \(number) was refused: \(text)"
        case .turnedAway(let error): "the server turned the connection away: \(error)"
        case .notMaster(let role): "the server is no master any more but a \(role)"
        case .masterUnknown(let name, let last):
            "no sentinel names the master \(name)" + (last.map { " (\($0))" } ?? "")
        case .slotUnserved(let slot, let last):
            "no node of the cluster is known for slot \(slot)" + (last.map { " (\($0))" } ?? "")
        case .tooManyCommands(let count): "\(count) commands wait for their replies already"
        case .pathTooLong(let bytes, let accepted):
            "the socket's path has \(bytes) bytes; accepted: \(accepted)"
        case .noResources(let operation, let errno): "\(operation) failed (errno \(errno))"
        case .tlsUnavailable(let hiredis):
            "rediss: needs hiredis 1.0 or later built with TLS, and this is \(hiredis): "
                + "run stunnel beside the program and give its address with redis:"
        case .notBuilt: "this library was built without the package trait Redis"
        case .forked: "the process was forked meanwhile"
        case .closed: "the connection was closed"
        }
    }
}

extension RedisFault {
    /// What lies behind not having found a server.
    var cause: RedisFault {
        switch self {
        case .masterUnknown(_, let last?), .slotUnserved(_, let last?): last.cause
        default: self
        }
    }
}

/// How far a connection was when a deadline passed.
package enum RedisStage: Sendable, Hashable, CustomStringConvertible {
    case resolving, connecting, greeting, sending, awaitingReply

    package var description: String {
        switch self {
        case .resolving: "looking up the host"
        case .connecting: "connecting"
        case .greeting: "logging in"
        case .sending: "the command waited to be sent"
        case .awaitingReply: "waiting for the reply"
        }
    }
}
