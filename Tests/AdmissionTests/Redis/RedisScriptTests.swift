#if Redis
    import Testing

    @testable import AdmissionRedis

    @Suite("Redis scripts")
    struct RedisScriptTests {
        private let script = RedisScript("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")

        @Test(
            "a script is loaded where the server has not got it, also again, and runs once a call")
        func loads() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            let command = script.prepared(keys: [[0x6b]], variableCount: 1).command([[0x61]])
            for count in Int64(1)...3 {
                let reply = try script.call(command, on: pipeline, until: .generous)
                #expect(reply == .array([.bytes([0x6b]), .bytes([0x61]), .integer(count)]))
                if count == 2 { _ = try pipeline.call("SCRIPT", "FLUSH") }
            }
            let loaded = try pipeline.call(
                RedisCommand([Array("SCRIPT".utf8), Array("LOAD".utf8), script.source]),
                until: .generous)
            #expect(loaded == .bytes(script.digest))
        }

        @Test("no other error is answered by another try")
        func otherErrors() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            _ = try pipeline.call("SET", "k", "text")
            let command = script.prepared(keys: [[0x6b]], variableCount: 1).command([[]])
            guard case .error(let error) = try script.call(command, on: pipeline, until: .generous)
            else {
                Issue.record("INCR of a text")
                return
            }
            #expect(error.code != .noScript)
            #expect(try pipeline.call("GET", "k").text == "text")
        }

        @Test(
            "a reply that is lost behind NOSCRIPT stays lost, and a load that is lost is no charge")
        func lost() throws {
            for (answered, isLost) in [(1, false), (2, true)] {
                let server = FakeServer { client, _ in
                    guard client.greet() else { return }
                    for number in 0..<answered {
                        _ = client.command()
                        client.write(number == 0 ? "-NOSCRIPT none\r\n" : "$1\r\nx\r\n")
                    }
                    _ = client.command()
                }
                let pipeline = RedisPipeline(server.endpoint)
                let error = #expect(throws: RedisError.self) {
                    try script.call(RedisCommand("EVALSHA"), on: pipeline, until: .generous)
                }
                #expect(error == (isLost ? .replyLost(.closedByServer) : .notSent(.closedByServer)))
                server.stop()
            }
        }

        @Test("a server that forgets its scripts at once is not asked for ever")
        func forgetful() {
            let server = FakeServer { client, _ in
                guard client.greet() else { return }
                while let words = client.command() {
                    client.write(words[0] == "SCRIPT" ? "$1\r\nx\r\n" : "-NOSCRIPT none\r\n")
                }
            }
            let pipeline = RedisPipeline(server.endpoint)
            let reply = try? script.call(RedisCommand("EVALSHA"), on: pipeline, until: .generous)
            #expect(reply == .error(RedisServerError(Array("NOSCRIPT none".utf8))))
            server.stop()
        }
    }
#endif
