#if Redis
    import Admission
    import Foundation
    import Testing

    @testable import AdmissionRedis

    /// One caller, and servers that do not behave.
    @Suite("Redis pipeline: servers that misbehave")
    struct RedisPipelineTests {
        private let ping = RedisCommand("PING")

        /// Options with which each failure is followed by another try at once.
        private var eager: RedisPipeline.Options {
            var options = RedisPipeline.Options()
            options.random = { 0 }
            return options
        }

        @Test(
            "a connection cut at any byte of a reply: lost, and the next call has a new connection")
        func cuts() throws {
            let reply = Array("*3\r\n$5\r\nab\r\nc\r\n:-7\r\n*1\r\n+OK\r\n".utf8)
            let server = FakeServer { client, number in
                guard client.greet(), client.command() != nil else { return }
                client.write(Array(reply[..<min(number, reply.count)]))
            }
            let pipeline = RedisPipeline(server.endpoint, options: eager)
            for _ in 0..<reply.count {
                #expect(throws: RedisError.replyLost(.closedByServer)) {
                    try pipeline.call(ping, until: .generous)
                }
            }
            #expect(
                try pipeline.call(ping, until: .generous)
                    == .array([
                        .bytes(Array("ab\r\nc".utf8)), .integer(-7),
                        .array([.status(Array("OK".utf8))]),
                    ]))
            server.stop()
        }

        @Test("a connection cut at any byte of the login: not sent")
        func greetingCuts() throws {
            let answers = Array("+OK\r\n+OK\r\n+OK\r\n".utf8)
            let server = FakeServer { client, number in
                for _ in 0..<3 { _ = client.command() }
                client.write(Array(answers[..<min(number, answers.count)]))
                guard number >= answers.count else { return }
                while client.command() != nil { client.write("+PONG\r\n") }
            }
            var endpoint = server.endpoint
            endpoint.password = RedisPassword("Kanarie")
            endpoint.database = 1
            let pipeline = RedisPipeline(endpoint, options: eager)
            for _ in 0..<answers.count {
                #expect(throws: RedisError.notSent(.closedByServer)) {
                    try pipeline.call(ping, until: .generous)
                }
            }
            #expect(try pipeline.call(ping, until: .generous).text == "PONG")
            server.stop()
        }

        @Test("no command goes out before the database is chosen")
        func databaseFirst() throws {
            let seen = OutcomeTally()
            let server = FakeServer { client, _ in
                for _ in 0..<2 { _ = client.command() }
                client.write("-ERR DB index is out of range\r\n+OK\r\n")
                while let words = client.command() { seen.add(words[0]) }
            }
            var endpoint = server.endpoint
            endpoint.database = 77
            let pipeline = RedisPipeline(endpoint, options: eager)
            #expect(throws: RedisError.notSent(.wrongDatabase(77, "ERR DB index is out of range")))
            {
                try pipeline.call(ping, until: .generous)
            }
            pipeline.close()
            server.stop()
            #expect(seen.all == [:])
        }

        @Test(
            "a reply byte by byte, read by one caller after another: each gives up, and none is mixed up"
        )
        func slowBytes() throws {
            let reply = Array("$4\r\nslow\r\n".utf8)
            let more = DispatchSemaphore(value: 0)
            let server = FakeServer { client, _ in
                guard client.greet(), client.command() != nil else { return }
                for byte in reply {
                    more.wait()
                    client.write([byte])
                }
                while client.command() != nil { client.write("+late\r\n") }
            }
            var options = eager
            options.circuit = .never
            let pipeline = RedisPipeline(server.endpoint, options: options)
            let first = try pipeline.submit(ping)
            var left = 0
            func call() {
                let error = #expect(throws: RedisError.self) {
                    try pipeline.call(ping, until: .after(nanoseconds: 2_000_000))
                }
                if case .replyLost? = error { left += 1 }
            }
            // Until one has come so far that its command is out, however slow the machine is.
            while left == 0 { call() }
            for _ in reply {
                more.signal()
                call()
            }
            #expect(try pipeline.wait(for: first, until: .generous).text == "slow")
            #expect(try pipeline.call(ping, until: .generous).text == "late")
            #expect(pipeline.commandCount == 0)
            server.stop()
        }

        @Test("what is not the protocol closes the connection: seeded garbage through a socket")
        func garbage() throws {
            let count = TestLength.isSoak ? 5_000 : 300
            let server = FakeServer { client, number in
                guard client.greet(), client.command() != nil else { return }
                var numbers = SeededNumbers(seed: TestLength.seed &+ UInt64(number))
                let text = numbers.pick([
                    "", "*2\r\n", "$9\r\n", "+", ":1\r\n", "*9999999\r\n", "-",
                ])
                var bytes = Array(text.utf8)
                for _ in 0..<numbers.below(40) { bytes.append(UInt8(numbers.below(256))) }
                client.write(bytes)
            }
            let pipeline = RedisPipeline(server.endpoint, options: eager)
            var outcomes: [String: Int] = [:]
            for _ in 0..<count {
                do throws(RedisError) {
                    _ = try pipeline.call(ping, until: .generous)
                    outcomes["reply", default: 0] += 1
                } catch {
                    let name = "\(error)".prefix { $0 != "(" && $0 != ":" }
                    outcomes[
                        "\(name) \(Mirror(reflecting: error.fault).children.first?.label ?? "\(error.fault)")",
                        default: 0] += 1
                }
            }
            let kinds = outcomes.keys.filter {
                $0.contains("protocolError") || $0.contains("too") || $0.contains("above")
            }
            #expect(!kinds.isEmpty && outcomes.count >= 3, "\(outcomes)")
            server.stop()
        }

        @Test("a reply above the bound closes the connection before it is all there")
        func tooLarge() throws {
            let server = FakeServer { client, _ in
                guard client.greet(), client.command() != nil else { return }
                client.write("$2000000\r\n")
                while client.write([UInt8](repeating: 0x61, count: 65_536)) {}
            }
            var options = eager
            options.replies.bytes = 1 << 20
            let pipeline = RedisPipeline(server.endpoint, options: options)
            #expect(throws: RedisError.replyLost(.replyTooLarge)) {
                try pipeline.call(ping, until: .generous)
            }
            server.stop()
        }

        @Test("replies that nobody asked for end the connection and reach nobody")
        func unsolicited() throws {
            let server = FakeServer { client, _ in
                guard client.greet(), client.command() != nil else { return }
                client.write("+first\r\n+second\r\n")
                client.awaitEnd()
            }
            let pipeline = RedisPipeline(server.endpoint, options: eager)
            for _ in 0..<10 {
                #expect(try pipeline.call(ping, until: .generous).text == "first")
            }
            server.stop()
        }

        @Test("a server that never answers: lost at the caller's deadline, and the circuit opens")
        func silent() throws {
            let server = FakeServer { client, _ in
                _ = client.greet()
                client.awaitEnd()
            }
            var options = eager
            options.random = { .max }
            let pipeline = RedisPipeline(server.endpoint, options: options)
            var errors: [RedisError] = []
            while errors.count < 100 {
                do throws(RedisError) {
                    _ = try pipeline.call(ping, until: .after(nanoseconds: 10_000_000))
                } catch {
                    if case .circuitOpen = error.fault { break }
                    errors.append(error)
                }
            }
            #expect(errors.count < 100 && !errors.isEmpty)
            #expect(errors.allSatisfy { if case .timedOut = $0.fault { true } else { false } })
            server.stop()
        }

        @Test("a call whose deadline has passed sends nothing, and says nothing about the server")
        func passedDeadline() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            _ = try pipeline.call("SET", "n", "0")
            for _ in 0..<100 {
                let error = #expect(throws: RedisError.self) {
                    try pipeline.call(RedisCommand("INCR", "n"), until: .passed)
                }
                #expect(error == .notSent(.timedOut(.sending)))
            }
            #expect(try pipeline.call("GET", "n").text == "0")
            #expect(pipeline.circuitState == .closed(failures: 0))
        }

        @Test("a command larger than all buffers goes out, and its reply comes back")
        func large() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            let bytes = [UInt8](repeating: 0x61, count: 20_000_000)
            #expect(
                try pipeline.call(RedisCommand([Array("ECHO".utf8), bytes]), until: .generous)
                    == .bytes(bytes))
            #expect(try pipeline.call("PING").text == "PONG")
        }

        @Test(
            "a server that stops reading: the caller's deadline counts in the middle of a command")
        func blocked() throws {
            let go = DispatchSemaphore(value: 0)
            let server = FakeServer { client, _ in
                guard client.greet() else { return }
                go.wait()
                while client.command() != nil { client.write("+read\r\n") }
            }
            var options = eager
            options.circuit = .never
            let pipeline = RedisPipeline(server.endpoint, options: options)
            let bytes = [UInt8](repeating: 0x61, count: 20_000_000)
            let error = #expect(throws: RedisError.self) {
                try pipeline.call(RedisCommand([bytes]), until: .after(nanoseconds: 50_000_000))
            }
            // The rest of the command has to go out before any other one.
            let next = PlainResult { try pipeline.call(RedisCommand("PING"), until: .generous) }
            go.signal()
            #expect(try next.value().text == "read")
            if case .replyLost? = error { #expect(pipeline.commandCount == 0) }
            server.stop()
        }
    }

    extension Circuit {
        /// Opens only after more failures than a test has.
        static var never: Circuit {
            Circuit(
                threshold: 1_000_000, backoff: Backoff(baseNanoseconds: 1, ceilingNanoseconds: 1),
                probeNanoseconds: 1)
        }
    }

    /// What a thread of its own comes to.
    final class PlainResult<Value: Sendable>: @unchecked Sendable {
        // Unchecked: read after the thread's end.
        private var result: Result<Value, any Error>?
        private var thread: PlainThread?

        init(_ body: @escaping @Sendable () throws -> Value) {
            thread = PlainThread { [self] in result = Result(catching: body) }
        }

        func value() throws -> Value {
            thread?.join()
            thread = nil
            return try #require(result).get()
        }
    }
#endif
