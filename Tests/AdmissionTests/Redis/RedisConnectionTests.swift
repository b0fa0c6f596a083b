#if Redis
    import Foundation
    import Testing

    @testable import AdmissionRedis

    /// Connecting, logging in and failing to, on real servers.
    @Suite("Redis connections")
    struct RedisConnectionTests {
        private func fault(
            _ endpoint: RedisEndpoint, until deadline: CallDeadline = .generous,
            options: RedisPipeline.Options = RedisPipeline.Options()
        ) throws -> RedisFault {
            let pipeline = RedisPipeline(endpoint, options: options)
            let error = #expect(throws: RedisError.self) {
                try pipeline.call(RedisCommand("PING"), until: deadline)
            }
            guard case .notSent(let fault) = try #require(error) else {
                Issue.record("\(String(describing: error))")
                return .closed
            }
            return fault
        }

        @Test("host, unix socket, database, name: all as the endpoint says")
        func connects() throws {
            let server = try RedisServer()
            for address in [
                server.endpoint.address, .host(RedisHost(name: "localhost", port: server.port)),
                .unixSocket(path: server.socketPath),
            ] {
                var options = RedisPipeline.Options()
                options.name = "canary7"
                let pipeline = RedisPipeline(RedisEndpoint(address, database: 5), options: options)
                #expect(try pipeline.call("PING").text == "PONG")
                #expect(try pipeline.call("CLIENT", "GETNAME").text == "canary7")
                let list = try #require(try pipeline.call("CLIENT", "LIST").text)
                #expect(list.contains(/name=canary7 .*db=5/))
                pipeline.close()
                #expect(throws: RedisError.notSent(.closed)) { try pipeline.call("PING") }
            }
        }

        @Test(
            "a password alone and with a user; a wrong one, a missing one and a missing right are named"
        )
        func logins() throws {
            let server = try RedisServer([
                "--requirepass", "Kanarie", "--user", "app", "on", ">pw", "~*", "+@all",
            ])
            func endpoint(_ user: String?, _ password: String?, _ database: Int = 0)
                -> RedisEndpoint
            {
                RedisEndpoint(
                    server.endpoint.address, user: user,
                    password: password.map { RedisPassword($0) }, database: database)
            }
            #expect(try RedisPipeline(endpoint(nil, "Kanarie")).call("PING").text == "PONG")
            let named = RedisPipeline(endpoint("app", "pw", 3))
            #expect(try named.call("ACL", "WHOAMI").text == "app")
            #expect(try fault(endpoint(nil, "Kanarie2")) == .wrongPassword)
            #expect(try fault(endpoint("nobody", "Kanarie")) == .wrongPassword)
            #expect(try fault(endpoint(nil, nil)) == .passwordNeeded)
            #expect(try fault(endpoint(nil, nil, 2)) == .passwordNeeded)
            let database = try fault(endpoint(nil, "Kanarie", 16))
            #expect(database == .wrongDatabase(16, "ERR DB index is out of range"))
            #expect(!"\(database)".contains("Kanarie"))
        }

        @Test("after failures the circuit says what the last one was, and costs no time")
        func circuit() throws {
            let server = try RedisServer(["--requirepass", "Kanarie"])
            var options = RedisPipeline.Options()
            options.random = { .max }
            let pipeline = RedisPipeline(server.endpoint, options: options)
            for _ in 0..<3 {
                #expect(throws: RedisError.notSent(.passwordNeeded)) { try pipeline.call("PING") }
            }
            let error = #expect(throws: RedisError.self) { try pipeline.call("PING") }
            guard case .notSent(.circuitOpen(_, .passwordNeeded))? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }

        @Test(
            "nobody listening, no such host, no such socket, a path too long, TLS: each has its name"
        )
        func unreachable() throws {
            let port = LoopbackListener.freePort()
            #expect(
                try fault(RedisEndpoint(.host(RedisHost(name: "127.0.0.1", port: port))))
                    == .refused(address: "127.0.0.1:\(port)", errno: ECONNREFUSED))
            guard
                case .unresolvable("no.such.host.invalid", _) = try fault(
                    RedisEndpoint(.host(RedisHost(name: "no.such.host.invalid", port: 1))))
            else {
                Issue.record("no name for a host without address")
                return
            }
            #expect(
                try fault(RedisEndpoint(.unixSocket(path: "/no/such/socket")))
                    == .refused(address: "/no/such/socket", errno: ENOENT))
            let long = "/" + String(repeating: "a", count: 200)
            #expect(
                try fault(RedisEndpoint(.unixSocket(path: long)))
                    == .pathTooLong(bytes: 201, accepted: 107))
            let encrypted = try fault(try #require(try RedisURL("rediss://h").endpoint))
            #expect("\(encrypted)".contains("stunnel") && "\(encrypted)".contains("hiredis 1.0"))
        }

        @Test("a server that takes the connection and says nothing: the caller's deadline counts")
        func silentGreeting() throws {
            let listener = LoopbackListener()
            let endpoint = RedisEndpoint(.host(RedisHost(name: "127.0.0.1", port: listener.port)))
            let pipeline = RedisPipeline(endpoint)
            for _ in 0..<2 {
                let error = #expect(throws: RedisError.self) {
                    try pipeline.call(RedisCommand("PING"), until: .after(nanoseconds: 3_000_000))
                }
                guard case .notSent(.timedOut)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
            }
            var options = RedisPipeline.Options()
            options.stallNanoseconds = 1_000_000
            guard case .stalled = try fault(endpoint, options: options) else {
                Issue.record("a stalled login has another name")
                return
            }
        }

        @Test(
            "a connection that the server closed while it was idle is replaced, and nothing is lost"
        )
        func idleClose() throws {
            let server = try RedisServer()
            var options = RedisPipeline.Options()
            options.idleNanoseconds = 0
            let pipeline = RedisPipeline(server.endpoint, options: options)
            let admin = RedisPipeline(server.endpoint)
            for _ in 0..<20 {
                guard case .integer(let id) = try pipeline.call("CLIENT", "ID") else { return }
                #expect(try admin.call("CLIENT", "KILL", "ID", "\(id)") == .integer(1))
                // CLIENT KILL frees the client before it answers: the end is on its way here.
                #expect(try pipeline.call("PING").text == "PONG")
            }
        }

        @Test("a server that is gone and comes back is used again")
        func restart() throws {
            var options = RedisPipeline.Options()
            options.random = { 0 }
            let port: UInt16
            let pipeline: RedisPipeline
            do {
                let server = try RedisServer()
                port = server.port
                pipeline = RedisPipeline(server.endpoint, options: options)
                #expect(try pipeline.call("PING").text == "PONG")
            }
            for _ in 0..<10 {
                #expect(throws: RedisError.self) { try pipeline.call("PING") }
            }
            let again = try RedisServer(port: port)
            #expect(try pipeline.call("PING").text == "PONG")
            _ = again
        }

        @Test(
            "a stopped server costs its callers their deadline, then nothing; it is used when it goes on"
        )
        func stopped() throws {
            let server = try RedisServer()
            var options = RedisPipeline.Options()
            options.random = { .max }
            let pipeline = RedisPipeline(server.endpoint, options: options)
            _ = try pipeline.call("PING")
            server.pause()
            var faults: [RedisFault] = []
            while faults.count < 100, pipeline.circuitState == .closed(failures: faults.count) {
                do throws(RedisError) {
                    _ = try pipeline.call(
                        RedisCommand("PING"), until: .after(nanoseconds: 10_000_000))
                } catch {
                    faults.append(error.fault)
                }
            }
            #expect(faults.count == options.circuit.threshold)
            #expect(faults.allSatisfy { if case .timedOut = $0 { true } else { false } })
            guard case .open = pipeline.circuitState else {
                Issue.record("\(pipeline.circuitState)")
                return
            }
            server.resume()
            #expect(comesTrue { (try? pipeline.call("PING").text) == "PONG" })
            #expect(pipeline.circuitState == .closed(failures: 0))
        }
    }
#endif
