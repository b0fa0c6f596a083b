import Admission
import Testing

@testable import AdmissionRedis

/// The pipeline's decisions, one after the other on one thread, with no clock and no socket.
@Suite("Redis pipeline: decisions")
struct PipelineStateTests {
    private final class Wire {}
    private final class Attempt {}
    private typealias State = PipelineState<Wire, Attempt>

    private static let far: Int64 = 1_000_000_000_000
    private let command = RedisCommand("PING")

    private func options(_ change: (inout RedisPipeline.Options) -> Void = { _ in })
        -> RedisPipeline.Options
    {
        var options = RedisPipeline.Options()
        options.random = { .max }
        change(&options)
        return options
    }

    private func state(_ change: (inout RedisPipeline.Options) -> Void = { _ in }) -> State {
        State(options: options(change), identity: 1) { Attempt() }
    }

    /// A state with an open connection on which nothing is under way, at instant 0.
    private func open(_ state: inout State) throws -> Wire {
        let first = try state.submit(command, now: 0)
        let wire = Wire()
        guard case .dial(let attempt, _) = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        let greeting = RedisGreeting(RedisEndpoint(.unixSocket(path: "/s")), name: "n")
        state.connected(attempt, wire, greeting: greeting, now: 0)
        guard case .write = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        state.wrote(wire, unwrittenBytes: 0, fault: nil, now: 0)
        guard case .read = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        // The answer to the connection's name; only now the command goes out.
        state.received(wire, [.status([])], byteCount: 5, fault: nil, now: 0)
        guard case .write = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        state.wrote(wire, unwrittenBytes: 0, fault: nil, now: 0)
        state.received(wire, [.null], byteCount: 5, fault: nil, now: 0)
        guard case .over = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        return wire
    }

    private struct Unexpected: Error {}

    private func isOver(_ turn: State.Turn, _ expected: Result<RedisReply, RedisError>) -> Bool {
        if case .over(let result) = turn { return result == expected }
        return false
    }

    /// Submits a command and has it written.
    private func send(_ state: inout State, _ wire: Wire, now: Int64 = 0) throws -> PendingReply {
        let pending = try state.submit(command, now: now)
        guard case .write = state.turn(of: pending, now: now, deadline: Self.far) else {
            throw Unexpected()
        }
        state.wrote(wire, unwrittenBytes: 0, fault: nil, now: now)
        return pending
    }

    @Test("replies go to their callers in order; who sleeps is woken, and one of them takes over")
    func order() throws {
        var state = state { $0.batches = 3 }
        let wire = try open(&state)
        let calls = try (0..<3).map { _ in try send(&state, wire) }
        guard case .read = state.turn(of: calls[0], now: 0, deadline: Self.far),
            case .park = state.turn(of: calls[1], now: 0, deadline: Self.far),
            case .park = state.turn(of: calls[2], now: 0, deadline: Self.far)
        else { throw Unexpected() }
        _ = state.takeActions()
        state.received(wire, [.integer(0), .integer(1)], byteCount: 8, fault: nil, now: 1)
        #expect(state.takeActions().wakes.map { $0.pending === calls[1] } == [true])
        #expect(isOver(state.turn(of: calls[0], now: 1, deadline: Self.far), .success(.integer(0))))
        // The reader has left: the last one is woken to read for itself.
        #expect(state.takeActions().wakes.map { $0.pending === calls[2] } == [true])
        #expect(isOver(state.turn(of: calls[1], now: 1, deadline: Self.far), .success(.integer(1))))
        #expect(state.takeActions().wakes.isEmpty)
        guard case .read = state.turn(of: calls[2], now: 1, deadline: Self.far) else {
            throw Unexpected()
        }
    }

    @Test(
        "a pair's first reply is dropped; what says `elsewhere` ends a connection once it is idle")
    func pairs() throws {
        var state = state()
        let wire = try open(&state)
        let (asking, other) = (try state.submit(command.asking, now: 0), try send(&state, wire))
        state.received(wire, [.status([]), .integer(1)], byteCount: 9, fault: nil, now: 1)
        #expect(isOver(state.turn(of: asking, now: 1, deadline: Self.far), .success(.integer(1))))
        let next = try state.submit(command, now: 1)
        let readOnly = RedisReply.error(RedisServerError(Array("READONLY".utf8)))
        state.received(wire, [readOnly], byteCount: 9, fault: nil, now: 1)
        #expect(isOver(state.turn(of: other, now: 1, deadline: Self.far), .success(readOnly)))
        _ = state.takeActions()
        // Nobody has lost a reply: the next command connects anew.
        guard case .dial = state.turn(of: next, now: 1, deadline: Self.far) else {
            throw Unexpected()
        }
        #expect(state.takeActions().shutDowns.map { $0 === wire } == [true])
    }

    @Test("the reply to a caller who has gone is dropped, and the next ones are not mixed up")
    func abandoned() throws {
        var state = state()
        let wire = try open(&state)
        let first = try send(&state, wire)
        let second = try send(&state, wire)
        #expect(
            isOver(
                state.turn(of: first, now: 10, deadline: 10),
                .failure(.replyLost(.timedOut(.awaitingReply)))))
        #expect(state.sent.count == 2)
        state.received(wire, [.integer(1), .integer(2)], byteCount: 8, fault: nil, now: 11)
        #expect(isOver(state.turn(of: second, now: 11, deadline: Self.far), .success(.integer(2))))
        // Asking again changes nothing.
        #expect(
            isOver(
                state.turn(of: first, now: 12, deadline: Self.far),
                .failure(.replyLost(.timedOut(.awaitingReply)))))
    }

    @Test("a command that was not given to the connection is not sent, and never goes out later")
    func notSent() throws {
        var state = state { $0.batches = 0 }
        let pending = try state.submit(command, now: 0)
        guard case .dial(let attempt, let until) = state.turn(of: pending, now: 0, deadline: 7)
        else {
            throw Unexpected()
        }
        #expect(until == 7)
        #expect(
            isOver(
                state.turn(of: pending, now: 7, deadline: 7),
                .failure(.notSent(.timedOut(.connecting)))))
        #expect(state.unsent.isEmpty)
        // The attempt stays for the next caller.
        let next = try state.submit(command, now: 8)
        guard case .dial(let again, _) = state.turn(of: next, now: 8, deadline: Self.far) else {
            throw Unexpected()
        }
        #expect(again === attempt)
    }

    @Test("when the connection ends: what was written is lost, what was not is not sent")
    func ends() throws {
        var state = state()
        let wire = try open(&state)
        let written = try send(&state, wire)
        let cut = try state.submit(command, now: 0)
        guard case .write = state.turn(of: cut, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        // All but its last byte: the server cannot have run it.
        state.wrote(wire, unwrittenBytes: 1, fault: nil, now: 0)
        let waiting = try state.submit(command, now: 0)
        state.received(wire, [], byteCount: 0, fault: .closedByServer, now: 1)
        #expect(state.takeActions().shutDowns.map { $0 === wire } == [true])
        let expected: [(PendingReply, RedisError)] = [
            (written, .replyLost(.closedByServer)), (cut, .notSent(.closedByServer)),
            (waiting, .notSent(.closedByServer)),
        ]
        for (pending, error) in expected {
            #expect(isOver(state.turn(of: pending, now: 1, deadline: Self.far), .failure(error)))
        }
        #expect(state.link == nil && state.sent.isEmpty && state.unsent.isEmpty)
    }

    @Test("while somebody is writing, everything that was given may be on its way")
    func endsWhileWriting() throws {
        var state = state()
        let wire = try open(&state)
        let reader = try send(&state, wire)
        let writing = try state.submit(command, now: 0)
        guard case .write = state.turn(of: writing, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        state.received(wire, [], byteCount: 0, fault: .closedByServer, now: 1)
        // The writer's report comes when the connection is another one, and means nothing any more.
        state.wrote(wire, unwrittenBytes: 14, fault: nil, now: 1)
        for pending in [reader, writing] {
            #expect(
                isOver(
                    state.turn(of: pending, now: 1, deadline: Self.far),
                    .failure(.replyLost(.closedByServer))))
        }
    }

    @Test("a reply to no command ends the connection")
    func unsolicited() throws {
        var state = state()
        let wire = try open(&state)
        let pending = try send(&state, wire)
        state.received(wire, [.integer(1), .integer(2)], byteCount: 8, fault: nil, now: 1)
        #expect(state.link == nil)
        #expect(isOver(state.turn(of: pending, now: 1, deadline: Self.far), .success(.integer(1))))
    }

    @Test("commands gather while as many batches are under way as may be, for a moment at most")
    func gathering() throws {
        var state = state { $0.batches = 2 }
        let wire = try open(&state)
        let first = try send(&state, wire)
        _ = try send(&state, wire)
        guard case .read = state.turn(of: first, now: 0, deadline: Self.far) else {
            throw Unexpected()
        }
        let third = try state.submit(command, now: 10)
        let due = 10 + state.options.gatherNanoseconds
        guard case .park(let until) = state.turn(of: third, now: 10, deadline: Self.far) else {
            throw Unexpected()
        }
        #expect(until == due)
        let fourth = try state.submit(command, now: 20)
        guard case .park = state.turn(of: fourth, now: 20, deadline: Self.far),
            case .write(_, let bytes) = state.turn(of: third, now: due, deadline: Self.far)
        else { throw Unexpected() }
        #expect(bytes.count == 2)
    }

    @Test("a silent server ends the connection once somebody has looked for so long in vain")
    func stall() throws {
        var state = state { $0.stallNanoseconds = 100 }
        let wire = try open(&state)
        let patient = try send(&state, wire, now: 50)
        guard case .read(_, _, let until) = state.turn(of: patient, now: 60, deadline: Self.far)
        else { throw Unexpected() }
        #expect(until == 150)
        state.lookedInVain(wire, now: 150)
        #expect(
            isOver(
                state.turn(of: patient, now: 150, deadline: Self.far),
                .failure(.replyLost(.stalled(nanoseconds: 100)))))
        #expect(state.link == nil)
    }

    @Test("a reply that nobody came for is no silence")
    func unread() throws {
        var state = state { $0.stallNanoseconds = 100 }
        let wire = try open(&state)
        let gone = try send(&state, wire, now: 50)
        _ = state.turn(of: gone, now: 60, deadline: 60)
        let late = try send(&state, wire, now: 10_000)
        guard
            case .read(let found, _, let until) = state.turn(
                of: late, now: 10_000, deadline: Self.far)
        else { throw Unexpected() }
        #expect(found === wire && until < 10_000)
        state.received(wire, [.integer(1)], byteCount: 4, fault: nil, now: 10_001)
        guard case .read(_, _, let next) = state.turn(of: late, now: 10_001, deadline: Self.far)
        else { throw Unexpected() }
        #expect(next == 10_101)
    }

    @Test("an idle connection is looked at before it is used, and replaced without anybody's loss")
    func idle() throws {
        var state = state { $0.idleNanoseconds = 100 }
        let wire = try open(&state)
        let pending = try state.submit(command, now: 200)
        guard case .check = state.turn(of: pending, now: 200, deadline: Self.far) else {
            throw Unexpected()
        }
        state.checked(wire, isStale: true, now: 200)
        #expect(state.takeActions().shutDowns.map { $0 === wire } == [true])
        #expect(state.circuit.state == .closed(failures: 0))
        guard case .dial = state.turn(of: pending, now: 200, deadline: Self.far) else {
            throw Unexpected()
        }
    }

    @Test("failures open the circuit: then nobody waits; one asks later, and an answer closes it")
    func circuit() throws {
        var state = state {
            $0.circuit = Circuit(
                threshold: 2, backoff: Backoff(baseNanoseconds: 100, ceilingNanoseconds: 100),
                probeNanoseconds: 1_000)
        }
        let refused = RedisFault.refused(address: "a", errno: 111)
        for now in [Int64(0), 1] {
            let pending = try state.submit(command, now: now)
            guard case .dial(let attempt, _) = state.turn(of: pending, now: now, deadline: Self.far)
            else { throw Unexpected() }
            state.failedToConnect(attempt, refused, now: now)
            #expect(
                isOver(
                    state.turn(of: pending, now: now, deadline: Self.far),
                    .failure(.notSent(refused))))
        }
        #expect(throws: RedisError.notSent(.circuitOpen(untilNanoseconds: 101, last: refused))) {
            try state.submit(command, now: 100)
        }
        let probe = try state.submit(command, now: 101)
        #expect(throws: RedisError.self) { try state.submit(command, now: 101) }
        // A probe that gives up is a failure, however little time it had.
        #expect(
            isOver(
                state.turn(of: probe, now: 102, deadline: 102),
                .failure(.notSent(.timedOut(.connecting)))))
        #expect(state.circuit.state == .open(untilNanoseconds: 202))
        _ = try state.submit(command, now: 202)
    }

    @Test("a call that had no time says nothing about the server")
    func patience() throws {
        var state = state {
            $0.patienceNanoseconds = 100
            $0.batches = 1_000
        }
        let wire = try open(&state)
        for now in Int64(1)...50 {
            let pending = try send(&state, wire, now: now)
            guard case .over = state.turn(of: pending, now: now + 99, deadline: now) else {
                throw Unexpected()
            }
        }
        #expect(state.circuit.state == .closed(failures: 0))
        let pending = try send(&state, wire, now: 60)
        _ = state.turn(of: pending, now: 160, deadline: 160)
        #expect(state.circuit.state == .closed(failures: 1))
        // Late is no answer: the next that has time makes two.
        state.received(wire, [.null], byteCount: 5, fault: nil, now: 161)
        #expect(state.circuit.state == .closed(failures: 1))
    }

    @Test("a server that answers late is asked by one caller now and then")
    func slow() throws {
        var state = state { $0.batches = 1_000 }
        let wire = try open(&state)
        for now in [Int64(1), 50_000_001, 100_000_001] {
            let pending = try send(&state, wire, now: now)
            _ = state.turn(of: pending, now: now + 50_000_000, deadline: now + 50_000_000)
        }
        guard case .open(let until) = state.circuit.state else { throw Unexpected() }
        state.received(wire, [.null, .null], byteCount: 10, fault: nil, now: until - 2)
        #expect(throws: RedisError.self) { try state.submit(command, now: until - 1) }
        let probe = try send(&state, wire, now: until)
        #expect(throws: RedisError.self) { try state.submit(command, now: until) }
        state.received(wire, [.null, .null], byteCount: 10, fault: nil, now: until + 1)
        #expect(probe.result == .success(.null) && state.circuit.state == .closed(failures: 0))
    }

    @Test("no more commands wait than the capacity, the abandoned ones included")
    func capacity() throws {
        var state = state { $0.capacity = 2 }
        let wire = try open(&state)
        let first = try send(&state, wire)
        _ = state.turn(of: first, now: 1, deadline: 1)
        _ = try state.submit(command, now: 2)
        #expect(throws: RedisError.notSent(.tooManyCommands(2))) {
            try state.submit(command, now: 2)
        }
    }

    @Test("a forked child forgets everything that is its parent's")
    func forked() throws {
        var state = state()
        let wire = try open(&state)
        let pending = try send(&state, wire)
        let same = state.adopt(identity: 1)
        #expect(same == nil)
        let adopted = state.adopt(identity: 2)
        let inherited = try #require(adopted)
        #expect(inherited.connection === wire)
        #expect(state.takeActions().shutDowns.isEmpty)
        #expect(
            isOver(
                state.turn(of: pending, now: 1, deadline: Self.far), .failure(.replyLost(.forked))))
        let own = try state.submit(command, now: 1)
        guard case .dial = state.turn(of: own, now: 1, deadline: Self.far) else {
            throw Unexpected()
        }
    }

    @Test("who closes it tells everybody, and nobody comes any more")
    func close() throws {
        var state = state()
        let wire = try open(&state)
        let pending = try send(&state, wire)
        state.close()
        #expect(
            isOver(
                state.turn(of: pending, now: 1, deadline: Self.far), .failure(.replyLost(.closed))))
        #expect(throws: RedisError.notSent(.closed)) { try state.submit(command, now: 1) }
    }
}
