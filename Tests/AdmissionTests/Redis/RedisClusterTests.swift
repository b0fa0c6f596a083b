#if Redis
    import Foundation
    import Testing

    @testable import Admission
    @testable import AdmissionRedis

    /// Servers that redirect, which never agree.
    @Suite("Redis cluster: redirections")
    struct RedisClusterTests {
        private static let script = RedisScript("return redis.call('INCR', KEYS[1])")
        private static let command = script.prepared(keys: [Array("k".utf8)]).command([])

        @Test("slots of keys: the specification's values, and the hash tag's edges")
        func slots() {
            #expect(RedisSlots.checksum("123456789".utf8) == 0x31c3)
            let known = [
                ("", 0), ("foo", 12_182), ("somekey", 11_058), ("foo{hash_tag}", 2_515),
                ("bar{hash_tag}", 2_515), ("foo{}{bar}", 8_363), ("foo{{bar}}zap", 4_015),
                ("foo{bar}{zap}", 5_061), ("bar", 5_061), ("foo{bar", 15_278), ("{}", 15_257),
            ]
            for (key, slot) in known {
                #expect(RedisSlots.slot(ofKey: Array(key.utf8)) == slot, "\(key)")
            }
        }

        @Test("a map is read as it comes, and anything else is refused")
        func maps() throws {
            let asked = RedisHost(name: "asked", port: 1)
            func node(_ name: RedisReply, _ port: Int64) -> RedisReply {
                .array([name, .integer(port), .bytes(Array("id".utf8)), .array([])])
            }
            func range(_ first: Int64, _ last: Int64, _ nodes: RedisReply...) -> RedisReply {
                .array([.integer(first), .integer(last)] + nodes)
            }
            let a = node(.bytes(Array("10.0.0.1".utf8)), 7)
            let map = try #require(
                RedisSlotMap(
                    .array([
                        range(0, 5, a, node(.null, 9)), range(6, 6, node(.null, 8)),
                        range(8, 16_383, a), range(7, 7, node(.bytes(Array("?".utf8)), 8)),
                    ]), asked: asked))
            #expect(
                map.hosts == [
                    RedisHost(name: "10.0.0.1", port: 7), RedisHost(name: "asked", port: 8),
                ])
            #expect(map.owners[5...8] == [1, 2, 0, 1] && map.owners[16_383] == 1)
            let wrong: [RedisReply] = [
                .null, .array([]), .integer(1), .array([.integer(1)]),
                .array([range(0, 16_384, a)]),
                .array([range(-1, 2, a)]), .array([range(3, 2, a)]), .array([range(0, 1)]),
                .array([range(0, 1, node(.null, 0))]), .array([range(0, 1, node(.null, 65_536))]),
            ]
            for reply in wrong { #expect(RedisSlotMap(reply, asked: asked) == nil, "\(reply)") }
        }

        @Test("a redirection's address, with and without a name")
        func addresses() {
            let asked = RedisHost(name: "h", port: 1)
            #expect(
                RedisHost(redirection: "10.0.0.1:7", asked: asked)
                    == RedisHost(name: "10.0.0.1", port: 7))
            #expect(RedisHost(redirection: ":7", asked: asked) == RedisHost(name: "h", port: 7))
            #expect(
                RedisHost(redirection: "::1:7", asked: asked) == RedisHost(name: "::1", port: 7))
            for bad in ["", "h", "h:", "h:0", "h:65536", "h:x"] {
                #expect(RedisHost(redirection: bad, asked: asked) == nil)
            }
        }

        /// Nodes that say what a test wants to each command but the greeting and the map.
        private final class Nodes: @unchecked Sendable {
            // Unchecked: `servers` is written before anybody connects.
            let tally = OutcomeTally()
            private(set) var servers: [FakeServer] = []

            /// - Parameter answer: to the n-th node's command, what it says; it knows the others' ports.
            init(
                _ count: Int,
                _ answer: @escaping @Sendable (Nodes, Int, [String]) -> String
            ) {
                servers = (0..<count).map { index in
                    FakeServer { [unowned self] client, _ in
                        guard client.greet() else { return }
                        while let words = client.command() {
                            self.tally.add("\(index) \(words[0])")
                            let says =
                                words == ["CLUSTER", "SLOTS"]
                                ? "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:\(self.port(0))\r\n"
                                : answer(self, index, words)
                            client.write(says)
                        }
                    }
                }
            }

            func port(_ index: Int) -> UInt16 {
                guard case .host(let host) = servers[index].endpoint.address else { return 0 }
                return host.port
            }

            func cluster() throws -> RedisCluster {
                RedisCluster(try RedisURL("redis+cluster://127.0.0.1:\(port(0))"))
            }

            func stop() { for server in servers { server.stop() } }
        }

        private func call(_ cluster: RedisCluster) throws -> RedisReply {
            try cluster.call(Self.script, Self.command, slot: 7, until: .generous).reply
        }

        @Test("a slot that two nodes send to each other ends after a bounded number of calls")
        func pingPong() throws {
            let nodes = Nodes(2) { nodes, index, _ in "-MOVED 7 :\(nodes.port(1 - index))\r\n" }
            let cluster = try nodes.cluster()
            guard case .error(let error) = try call(cluster), case .moved = error.code else {
                Issue.record("no redirection")
                return
            }
            #expect(
                nodes.tally["0 EVALSHA"] + nodes.tally["1 EVALSHA"]
                    == RedisCluster.redirectionsBound + 1)
            nodes.stop()
        }

        @Test("MOVED is followed once; the next calls go there at once, and the map is read again")
        func moved() throws {
            let nodes = Nodes(2) { nodes, index, _ in
                index == 0 ? "-MOVED 7 127.0.0.1:\(nodes.port(1))\r\n" : ":1\r\n"
            }
            let cluster = try nodes.cluster()
            #expect(try call(cluster) == .integer(1))
            #expect(try call(cluster) == .integer(1))
            #expect(nodes.tally["0 EVALSHA"] == 1 && nodes.tally["1 EVALSHA"] == 2)
            // The map says the old node again, now and then, and costs one redirection each time.
            #expect(
                eventually {
                    (try? call(cluster)) == .integer(1) && nodes.tally["1 CLUSTER"] > 0
                })
            nodes.stop()
        }

        @Test("ASK sends the pair to the other node, for this one call; NOSCRIPT there is mended")
        func ask() throws {
            let asking = OutcomeTally()
            let nodes = Nodes(2) { nodes, index, words in
                guard index == 1 else { return "-ASK 7 :\(nodes.port(1))\r\n" }
                switch words[0] {
                case "ASKING":
                    asking.add("asking")
                    return "+OK\r\n"
                case "SCRIPT": return "+sha\r\n"
                default:
                    let isFirst = nodes.tally["1 EVALSHA"] == 1
                    let isPaired = asking["asking"] == nodes.tally["1 EVALSHA"]
                    return isFirst ? "-NOSCRIPT no\r\n" : isPaired ? ":5\r\n" : "-MOVED 7 :1\r\n"
                }
            }
            let cluster = try nodes.cluster()
            #expect(try call(cluster) == .integer(5))
            #expect(try call(cluster) == .integer(5))
            #expect(nodes.tally["0 EVALSHA"] == 2 && nodes.tally["1 EVALSHA"] == 3)
            #expect(nodes.tally["1 SCRIPT"] == 1)
            nodes.stop()
        }

        @Test("TRYAGAIN is asked again, and at the deadline is what the call ends with")
        func tryAgain() throws {
            let nodes = Nodes(1) { nodes, _, _ in
                nodes.tally["0 EVALSHA"] < 4 ? "-TRYAGAIN keys\r\n" : ":1\r\n"
            }
            #expect(try call(try nodes.cluster()) == .integer(1))
            nodes.stop()
            let never = Nodes(1) { _, _, _ in "-TRYAGAIN keys\r\n" }
            let cluster = try never.cluster()
            let reply = try cluster.call(
                Self.script, Self.command, slot: 7, until: .after(nanoseconds: 2_000_000_000)
            ).reply
            guard case .error(let error) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(error.code == .tryAgain)
            #expect((2...300).contains(never.tally["0 EVALSHA"]), "\(never.tally.all)")
            never.stop()
        }

        @Test("what is no map and who is not there are named; nothing was sent")
        func noMap() throws {
            let server = try RedisServer()
            let single = RedisCluster(try RedisURL("redis+cluster://127.0.0.1:\(server.port)"))
            let error = #expect(throws: RedisRoutes.Failure.self) { try call(single) }
            let text = "\(String(describing: error?.error))"
            #expect(text.contains("cluster support disabled"))
            let nobody = RedisCluster(
                try RedisURL("redis+cluster://127.0.0.1:\(LoopbackListener.freePort())"))
            let other = #expect(throws: RedisRoutes.Failure.self) { try call(nobody) }
            guard case .notSent(.slotUnserved(7, .refused))? = other?.error else {
                Issue.record("\(String(describing: other?.error))")
                return
            }
        }
    }
#endif
