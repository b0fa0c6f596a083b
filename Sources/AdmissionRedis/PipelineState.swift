import Admission

/// What the callers of one connection share: who waits for which reply, who reads, who writes.
///
/// Pure: it reads no clock and no socket. Under the pipeline's lock a caller reports what it did and
/// asks what to do next (`turn`); outside of it the caller does that. Two roles go from caller to
/// caller: the *driver* connects and reads, for everybody; a *writer* writes what has gathered. A
/// caller whose reply is there leaves, and the driver's role is handed to one who still waits.
///
/// Invariants: replies come in the order of `sent`, in which nothing is ever removed but from the
/// front; a command stands in `unsent` or in `sent` until it has its result, abandoned ones included.
///
/// `Connection` and `Dialer` are names only here: compared and handed out.
struct PipelineState<Connection: AnyObject, Dialer: AnyObject> {
    let options: RedisPipeline.Options
    let makeDialer: () -> Dialer
    private(set) var unsent: [PendingReply] = []
    private(set) var sent = PendingQueue()
    var link: Link?
    var dialer: Dialer?
    private var dialedAt: Int64 = 0
    /// Who connects and reads.
    private(set) var driver: PendingReply?
    /// Who was woken to become the driver.
    private var appointed: PendingReply?
    private(set) var circuit: Circuit
    private var lastFault: RedisFault?
    private var isClosed = false
    private var identity: UInt64
    private(set) var actions = Actions()

    init(options: RedisPipeline.Options, identity: UInt64, makeDialer: @escaping () -> Dialer) {
        self.options = options
        self.identity = identity
        self.makeDialer = makeDialer
        circuit = options.circuit
    }

    mutating func takeActions() -> Actions {
        guard !actions.wakes.isEmpty || !actions.shutDowns.isEmpty else { return actions }
        defer { actions = Actions() }
        return actions
    }

    // MARK: Coming and going

    /// Takes a command, unless it is known that it would not be answered.
    mutating func submit(
        _ command: RedisCommand, now: Int64
    ) throws(RedisError) -> PendingReply {
        guard !isClosed else { throw .notSent(.closed) }
        checkStall(now: now)
        guard unsent.count + sent.count < options.capacity else {
            throw .notSent(.tooManyCommands(options.capacity))
        }
        let passage = circuit.pass(now: now)
        if case .refused(let until) = passage {
            throw .notSent(.circuitOpen(untilNanoseconds: until, last: lastFault))
        }
        let pending = PendingReply(
            command, isProbe: passage == .probe, submittedAt: now,
            gatheredAt: now.addingSaturated(options.gatherNanoseconds))
        unsent.append(pending)
        return pending
    }

    /// What the caller of a command shall do now.
    mutating func turn(of pending: PendingReply, now: Int64, deadline: Int64) -> Turn {
        if appointed === pending { appointed = nil }
        pending.isAsleep = false
        if pending.result == nil { checkStall(now: now) }
        if pending.result == nil && now >= deadline { giveUp(pending, now: now) }
        if let result = pending.result {
            if driver === pending { driver = nil }
            handOver()
            return .over(result)
        }
        if let turn = writingTurn(of: pending, now: now, deadline: deadline) { return turn }
        if driver == nil || driver === pending {
            driver = pending
            return drivingTurn(of: pending, now: now, deadline: deadline)
        }
        pending.arm()
        return .park(until: wakeInstant(of: pending, now: now, deadline: deadline))
    }

    /// Until when there is nothing to do for a caller. The first in line is there in time to write
    /// what has gathered, for all.
    private func wakeInstant(of pending: PendingReply, now: Int64, deadline: Int64) -> Int64 {
        guard unsent.first === pending, link?.greeting.isOver ?? false else { return deadline }
        // Past that instant another one is writing, who will take it along, or leave it behind.
        let next =
            now < pending.gatheredAt
            ? pending.gatheredAt : now.addingSaturated(options.gatherNanoseconds)
        return min(deadline, next)
    }

    private mutating func giveUp(_ pending: PendingReply, now: Int64) {
        switch pending.place {
        case .unsent:
            unsent.removeAll { $0 === pending }
            if let first = unsent.first { wake(first) }
            let stage: RedisStage =
                link.map { $0.greeting.isOver ? .sending : .greeting } ?? .connecting
            pending.place = .over
            pending.result = .failure(.notSent(.timedOut(stage)))
        case .sent:
            pending.place = .abandoned
            pending.result = .failure(.replyLost(.timedOut(.awaitingReply)))
        case .over, .abandoned: return
        }
        // Silence counts against the server where it had a fair time to say something.
        let isSilent = (link?.answeredAt ?? .min) < pending.submittedAt
        let waited = now.subtractingSaturating(pending.submittedAt)
        if pending.isProbe || (isSilent && waited >= options.patienceNanoseconds) {
            lastFault = pending.result?.fault
            circuit.fail(now: now, random: options.random())
        }
    }

    /// Wakes one who waits, where nobody would read for those who do, or write what is blocked.
    private mutating func handOver() {
        guard (driver == nil && appointed == nil) || link?.isBlocked ?? false else { return }
        // The one whose reply comes last reads for the most others.
        guard let next = sent.last(where: \.isAsleep) ?? unsent.last(where: \.isAsleep) else {
            return
        }
        if driver == nil { appointed = next }
        wake(next)
    }

    private mutating func wake(_ pending: PendingReply) {
        guard pending.isAsleep else { return }
        pending.isAsleep = false
        actions.wakes.append((pending, pending.result != nil))
    }

    private mutating func finish(_ pending: PendingReply, _ result: Result<RedisReply, RedisError>)
    {
        guard pending.result == nil else { return }
        pending.place = .over
        pending.bytes = []
        pending.result = result
        if appointed === pending { appointed = nil }
        wake(pending)
    }

    // MARK: Writing

    private mutating func writingTurn(
        of pending: PendingReply, now: Int64, deadline: Int64
    ) -> Turn? {
        guard let link, !link.isWriting else { return nil }
        if link.isBlocked {
            // The driver waits for room and for replies at once.
            guard let driver, driver !== pending else { return nil }
            return .awaitRoom(link.connection, until: deadline)
        }
        var bytes: [[UInt8]] = []
        if !link.hasOutgoing {
            guard link.greeting.isOver, !unsent.isEmpty, isDue(pending, now: now) else {
                return nil
            }
            if link.isLeft { return leave(link) }
            if sent.isEmpty && now - link.progressAt > options.idleNanoseconds {
                self.link?.isWriting = true
                return .check(link.connection)
            }
            bytes = takeBatch(now: now)
        }
        self.link?.isWriting = true
        return .write(link.connection, bytes)
    }

    /// Nothing more is written to a server that is none to write to. Once the last reply has come, the
    /// next command finds the server anew: a name may be another host's then, or a sentinel knows.
    private mutating func leave(_ link: Link) -> Turn? {
        guard sent.isEmpty else { return nil }
        actions.shutDowns.append(link.connection)
        self.link = nil
        return nil
    }

    /// Few batches are under way at a time, so that the commands of many callers gather; none waits
    /// for others longer than a moment.
    private func isDue(_ pending: PendingReply, now: Int64) -> Bool {
        if link.map({ $0.batchesUnderWay < options.batches }) ?? false { return true }
        guard case .unsent = pending.place else { return false }
        return now >= pending.gatheredAt
    }

    private mutating func takeBatch(now: Int64) -> [[UInt8]] {
        guard var link else { return [] }
        if sent.isEmpty { link.progressAt = now }
        var bytes: [[UInt8]] = []
        var size = 0
        var taken = 0
        while taken < unsent.count, size < options.batchBytes {
            let pending = unsent[taken]
            taken += 1
            size += pending.byteCount
            link.givenBytes += Int64(pending.byteCount)
            bytes.append(pending.bytes)
            pending.bytes = []
            pending.place = .sent(end: link.givenBytes)
            pending.endsFlush = taken == unsent.count || size >= options.batchBytes
            sent.append(pending)
        }
        unsent.removeFirst(taken)
        if let first = unsent.first { wake(first) }
        link.batchesUnderWay += 1
        self.link = link
        return bytes
    }

    /// A writer's report.
    ///
    /// - Parameter unwrittenBytes: of what was given to the connection.
    mutating func wrote(
        _ connection: Connection, unwrittenBytes: Int, fault: RedisFault?, now: Int64
    ) {
        guard let given = link?.givenBytes, link?.connection === connection else { return }
        link?.isWriting = false
        link?.writtenBytes = given - Int64(unwrittenBytes)
        link?.isBlocked = unwrittenBytes > 0
        if let fault { fail(fault, now: now) }
    }

    /// There is room for more.
    mutating func foundRoom(_ connection: Connection) {
        if link?.connection === connection { link?.isBlocked = false }
    }

    /// How an idle connection was found.
    mutating func checked(_ connection: Connection, isStale: Bool, now: Int64) {
        guard link?.connection === connection else { return }
        link?.isWriting = false
        link?.progressAt = now
        guard isStale else { return }
        // Nothing was under way: nobody has lost anything.
        actions.shutDowns.append(connection)
        link = nil
    }

    // MARK: Connecting and reading

    private mutating func drivingTurn(
        of pending: PendingReply, now: Int64, deadline: Int64
    ) -> Turn {
        guard let link else {
            let dialer = self.dialer ?? makeDialer()
            if self.dialer == nil { dialedAt = now }
            self.dialer = dialer
            let limit = dialedAt.addingSaturated(options.connectNanoseconds)
            return .dial(dialer, until: min(deadline, limit))
        }
        var until = wakeInstant(of: pending, now: now, deadline: deadline)
        if !sent.isEmpty || !link.greeting.isOver {
            until = min(until, link.progressAt.addingSaturated(options.stallNanoseconds))
        }
        return .read(link.connection, writing: link.isBlocked, until: until)
    }

    /// The driver has connected.
    mutating func connected(
        _ dialer: Dialer, _ connection: Connection, greeting: RedisGreeting, now: Int64
    ) {
        guard self.dialer === dialer else { return }
        self.dialer = nil
        link = Link(
            connection: connection, greeting: greeting, givenBytes: Int64(greeting.byteCount),
            progressAt: now, answeredAt: now, lookedAt: now)
    }

    /// No connection came about.
    mutating func failedToConnect(_ dialer: Dialer, _ fault: RedisFault, now: Int64) {
        if self.dialer === dialer { fail(fault, now: now) }
    }

    /// The driver waited for something to come, and nothing did.
    mutating func lookedInVain(_ connection: Connection, now: Int64) {
        if link?.connection === connection { link?.lookedAt = now }
    }

    /// Replies came, in order, and perhaps the end of the connection behind them.
    mutating func received(
        _ connection: Connection, _ replies: [RedisReply], byteCount: Int, fault: RedisFault?,
        now: Int64
    ) {
        guard link?.connection === connection else { return }
        if byteCount > 0 {
            link?.progressAt = now
        }
        for reply in replies {
            do {
                try take(reply, now: now)
            } catch {
                fail(error, now: now)
                return
            }
        }
        if let fault { fail(fault, now: now) }
    }

    private mutating func take(_ reply: RedisReply, now: Int64) throws(RedisFault) {
        if let isOver = link?.greeting.isOver, !isOver {
            try link?.greeting.receive(reply)
            return
        }
        if sent.first?.takesLeadingReply() ?? false { return }
        guard let pending = sent.popFirst() else {
            throw .protocolError("a reply to no command")
        }
        if case .error(let error) = reply, error.saysElsewhere { link?.isLeft = true }
        if pending.endsFlush { link?.batchesUnderWay -= 1 }
        if case .abandoned = pending.place {
            circuit.hearLate(now: now)
        } else {
            circuit.succeed()
            link?.answeredAt = now
        }
        finish(pending, .success(reply))
    }

    // MARK: Ends

    /// Silence ends the connection where somebody has looked and found it: a reply may lie there that
    /// nobody has come for.
    private mutating func checkStall(now: Int64) {
        if let link {
            guard !sent.isEmpty || !link.greeting.isOver else { return }
            let silence = link.lookedAt.subtractingSaturating(link.progressAt)
            if silence >= options.stallNanoseconds {
                fail(.stalled(nanoseconds: silence), now: now)
            }
        } else if dialer != nil,
            now.subtractingSaturating(dialedAt) >= options.connectNanoseconds
        {
            fail(.timedOut(.connecting), now: now)
        }
    }

    /// The connection is over: everybody who waits on it gets to know what is known.
    mutating func fail(_ fault: RedisFault, now: Int64) {
        lastFault = fault
        circuit.fail(now: now, random: options.random())
        endAll(fault)
    }

    private mutating func endAll(_ fault: RedisFault) {
        let link = self.link
        if let link { actions.shutDowns.append(link.connection) }
        self.link = nil
        dialer = nil
        while let pending = sent.popFirst() {
            // While somebody writes, all that was given may be on its way.
            var isWritten = true
            if let link, !link.isWriting, case .sent(let end) = pending.place {
                isWritten = end <= link.writtenBytes
            }
            finish(pending, .failure(isWritten ? .replyLost(fault) : .notSent(fault)))
        }
        for pending in unsent { finish(pending, .failure(.notSent(fault))) }
        unsent = []
    }

    /// Refuses all further commands and ends those that are under way.
    mutating func close() {
        isClosed = true
        endAll(.closed)
    }

    /// In a forked child, the first time: forgets what belongs to the parent.
    ///
    /// - Returns: a connection that the parent goes on using, and whether the process was forked.
    mutating func adopt(identity: UInt64) -> (connection: Connection?, dialer: Dialer?)? {
        guard identity != self.identity else { return nil }
        self.identity = identity
        let inherited = (link?.connection, dialer)
        endAll(.forked)
        actions = Actions()
        driver = nil
        appointed = nil
        circuit = options.circuit
        lastFault = nil
        return inherited
    }
}

extension Result where Failure == RedisError {
    fileprivate var fault: RedisFault? {
        if case .failure(let error) = self { return error.fault }
        return nil
    }
}
