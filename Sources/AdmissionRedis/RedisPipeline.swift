import Admission

/// One connection to one server, on which the commands of all callers travel together.
///
/// There is no thread of its own: callers do the work in turns. A caller puts its command in line
/// and, where nobody is at it, connects, writes what has gathered, and reads replies for everybody
/// until its own is there; the others sleep, each until its own deadline, and one of them takes over
/// when the reader leaves. `PipelineState` decides, and this does it.
///
/// What is promised: a call ends at its deadline (a host's name is looked up by a thread of its
/// own, since the system's resolver cannot be hurried); replies reach the callers that they belong
/// to; a command that has no reply is told apart as not sent or unknown; nothing is ever sent twice;
/// while a server is known to be dead, a call costs no time. After fork() the child connects anew,
/// and the parent's connection goes on undisturbed.
///
/// What it does not do: ask for the time, follow redirections, retry.
///
/// Threads: any. Progress: blocking, by one lock that is held for list work only; no lock is held
/// during a system call on the socket. It may not be used inside a lock of rank `redis` or above.
package final class RedisPipeline: Sendable {
    typealias State = PipelineState<RedisConnection, RedisDialer>

    package struct Options: Sendable {
        /// As `CLIENT LIST` shows the connection; letters and digits.
        package var name = "admission"
        /// Commands that may wait for their replies; one above is refused.
        package var capacity = 16_384
        /// How long an attempt to connect may take, whoever carries it on.
        package var connectNanoseconds: Int64 = 5_000_000_000
        /// How long the server may be silent while something is under way.
        package var stallNanoseconds: Int64 = 5_000_000_000
        /// Idle for longer than this, a connection is looked at before it is used.
        package var idleNanoseconds: Int64 = 100_000_000
        /// Batches under way at a time; while there are as many, further commands gather.
        package var batches = 2
        /// How long a command gathers at most.
        package var gatherNanoseconds: Int64 = 100_000
        /// Bytes after which a batch ends.
        package var batchBytes = 1 << 18
        /// A shorter wait in vain says nothing about the server.
        package var patienceNanoseconds: Int64 = 5_000_000
        /// How failures are answered: the state it begins with.
        package var circuit = Circuit(
            threshold: 3,
            backoff: Backoff(baseNanoseconds: 50_000_000, ceilingNanoseconds: 5_000_000_000),
            probeNanoseconds: 1_000_000_000)
        package var replies = RedisReplyBounds()
        /// 64 random bits, for the backoff's jitter.
        package var random: @Sendable () -> UInt64 = { UInt64.random(in: 0 ... .max) }

        package init() {}
    }

    package let endpoint: RedisEndpoint
    package let options: Options
    private let lock: ForkableLock<State>

    /// Connects with the first command, not here.
    package init(_ endpoint: RedisEndpoint, options: Options = Options()) {
        self.endpoint = endpoint
        self.options = options
        let sentinels = SentinelLookup(endpoint, options: options)
        lock = ForkableLock(
            State(options: options, identity: ProcessIdentity.current()) {
                RedisDialer(
                    endpoint, sentinels: sentinels, limitNanoseconds: options.connectNanoseconds)
            }, rank: .redis)
    }

    /// Sends a command and waits for its reply, which may be an error of the server's.
    ///
    /// - Throws: why there is no reply, and whether the command may have run.
    /// - Complexity: alone, one round trip and three system calls.
    package func call(
        _ command: RedisCommand, until deadline: CallDeadline
    ) throws(RedisError) -> RedisReply {
        try wait(for: submit(command), until: deadline)
    }

    /// Puts a command in line; it is sent when somebody waits for a reply on this connection.
    ///
    /// - Throws: `notSent`.
    package func submit(_ command: RedisCommand) throws(RedisError) -> PendingReply {
        guard !endpoint.isEncrypted else {
            throw .notSent(.tlsUnavailable(hiredis: ReplyParser.version))
        }
        let now = CallDeadline.now()
        let identity = ProcessIdentity.current()
        let (submitted, actions) = lock.withLock { state in
            if let inherited = state.adopt(identity: identity) {
                inherited.connection?.leaveToParent()
                inherited.dialer?.leaveToParent()
            }
            let submitted = Result { () throws(RedisError) in try state.submit(command, now: now) }
            return (submitted, state.takeActions())
        }
        perform(actions)
        return try submitted.get()
    }

    /// Waits for the reply to a command, and meanwhile does what has to be done for all. Once a
    /// command, by one thread.
    package func wait(
        for pending: PendingReply, until deadline: CallDeadline
    ) throws(RedisError) -> RedisReply {
        var report: Report?
        var replies: [RedisReply] = []
        while true {
            let now = CallDeadline.now()
            let (turn, actions) = lock.withLock { state in
                if let report { report.give(to: &state, replies, now: now) }
                let turn = state.turn(of: pending, now: now, deadline: deadline.nanoseconds)
                return (turn, state.takeActions())
            }
            perform(actions)
            report = nil
            replies.removeAll(keepingCapacity: true)
            switch turn {
            case .over(let result): return try result.get()
            case .park(let until):
                if pending.park(until: until), let result = pending.result {
                    return try result.get()
                }
            case .dial(let dialer, let until): report = dial(dialer, until: until)
            case .check(let connection): report = .checked(connection, isStale: connection.isStale)
            case .write(let connection, let commands): report = write(commands, to: connection)
            case .awaitRoom(let connection, let until):
                if connection.wait(reading: false, writing: true, until: until).isWritable {
                    report = .foundRoom(connection)
                }
            case .read(let connection, let isWriting, let until):
                report = read(connection, isWriting: isWriting, until: until, into: &replies)
            }
        }
    }

    /// Refuses all further commands; whoever waits for a reply is told at once, and who connects when
    /// that has an end.
    package func close() {
        let actions = lock.withLock { state in
            state.close()
            return state.takeActions()
        }
        perform(actions)
    }

    /// Commands under way or in line, those whose callers have left included.
    package var commandCount: Int { lock.withLock { $0.unsent.count + $0.sent.count } }

    package var circuitState: Circuit.State { lock.withLock { $0.circuit.state } }

    // MARK: What a turn asks for

    private func perform(_ actions: State.Actions) {
        for connection in actions.shutDowns { connection.shutDown() }
        for (pending, isOver) in actions.wakes { pending.wake(isOver: isOver) }
    }

    private func dial(_ dialer: RedisDialer, until deadline: Int64) -> Report? {
        do {
            guard let descriptor = try dialer.advance(until: deadline) else { return nil }
            let greeting = RedisGreeting(endpoint, name: options.name)
            let connection = try RedisConnection(
                descriptor, greeting: RedisGreeting.commands(endpoint, name: options.name),
                bounds: options.replies)
            return .connected(dialer, connection, greeting)
        } catch {
            return .failedToConnect(dialer, error)
        }
    }

    private func write(_ commands: [[UInt8]], to connection: RedisConnection) -> Report {
        for bytes in commands { connection.append(bytes) }
        do {
            try connection.flush()
            return .wrote(connection, unwrittenBytes: connection.unwrittenBytes, fault: nil)
        } catch {
            return .wrote(connection, unwrittenBytes: connection.unwrittenBytes, fault: error)
        }
    }

    private func read(
        _ connection: RedisConnection, isWriting: Bool, until deadline: Int64,
        into replies: inout [RedisReply]
    ) -> Report {
        let readiness = connection.wait(reading: true, writing: isWriting, until: deadline)
        guard !readiness.isOver else { return .lookedInVain(connection) }
        do {
            let count = readiness.isReadable ? try connection.receive(into: &replies) : 0
            return .received(
                connection, byteCount: count, fault: nil, hasRoom: readiness.isWritable)
        } catch {
            return .received(connection, byteCount: 0, fault: error, hasRoom: false)
        }
    }
}

/// What a caller did outside of the lock.
private enum Report {
    case connected(RedisDialer, RedisConnection, RedisGreeting)
    case failedToConnect(RedisDialer, RedisFault)
    case checked(RedisConnection, isStale: Bool)
    case wrote(RedisConnection, unwrittenBytes: Int, fault: RedisFault?)
    case foundRoom(RedisConnection)
    case lookedInVain(RedisConnection)
    case received(RedisConnection, byteCount: Int, fault: RedisFault?, hasRoom: Bool)

    func give(to state: inout RedisPipeline.State, _ replies: [RedisReply], now: Int64) {
        switch self {
        case .connected(let dialer, let connection, let greeting):
            state.connected(dialer, connection, greeting: greeting, now: now)
        case .failedToConnect(let dialer, let fault):
            state.failedToConnect(dialer, fault, now: now)
        case .checked(let connection, let isStale):
            state.checked(connection, isStale: isStale, now: now)
        case .wrote(let connection, let unwrittenBytes, let fault):
            state.wrote(
                connection, unwrittenBytes: unwrittenBytes, fault: fault, now: now)
        case .foundRoom(let connection): state.foundRoom(connection)
        case .lookedInVain(let connection): state.lookedInVain(connection, now: now)
        case .received(let connection, let byteCount, let fault, let hasRoom):
            if hasRoom { state.foundRoom(connection) }
            state.received(connection, replies, byteCount: byteCount, fault: fault, now: now)
        }
    }
}
