#if Redis
    import Foundation
    import Synchronization
    import Testing

    @testable import Admission
    @testable import AdmissionRedis

    /// A store behind sentinels: finding the master, and another one after it.
    @Suite("Redis sentinels", .serialized)
    struct RedisSentinelTests {
        /// A sentinel that names whom a test wants.
        private final class FakeSentinel: @unchecked Sendable {
            // Unchecked: `server` is written before anybody connects.
            let named = Atomic<Int>(0)
            let tally = OutcomeTally()
            private(set) var server: FakeServer?

            init(_ port: UInt16?) {
                named.store(Int(port ?? 0), ordering: .sequentiallyConsistent)
                server = FakeServer { [unowned self] client, _ in
                    guard client.greet() else { return }
                    while let words = client.command() {
                        self.tally.add(words.joined(separator: " "))
                        let text = "\(self.named.load(ordering: .sequentiallyConsistent))"
                        client.write(
                            text == "0"
                                ? "*-1\r\n"
                                : "*2\r\n$9\r\n127.0.0.1\r\n$\(text.utf8.count)\r\n\(text)\r\n")
                    }
                }
            }

            var host: RedisHost {
                if case .host(let host)? = server?.endpoint.address { return host }
                return RedisHost(name: "127.0.0.1", port: 1)
            }

            func stop() { server?.stop() }
        }

        private static func pipeline(_ sentinels: [RedisHost]) -> RedisPipeline {
            var options = RedisPipeline.Options()
            options.circuit = .never
            return RedisPipeline(
                RedisEndpoint(.master(RedisSentinels(hosts: sentinels, master: "m"))),
                options: options)
        }

        private static func replica(of server: RedisServer) throws -> RedisServer {
            let replica = try RedisServer(["--replicaof", "127.0.0.1", "\(server.port)"])
            let admin = RedisPipeline(server.endpoint)
            #expect(
                eventually {
                    (try? admin.call("INFO", "replication").text)?.contains("state=online") ?? false
                })
            return replica
        }

        @Test(
            "the first sentinel that knows the master is asked; a dead one and one that does not know are passed by"
        )
        func order() throws {
            let server = try RedisServer()
            let (ignorant, knowing) = (FakeSentinel(nil), FakeSentinel(server.port))
            let dead = RedisHost(name: "127.0.0.1", port: LoopbackListener.freePort())
            let pipeline = Self.pipeline([dead, ignorant.host, knowing.host])
            #expect(try pipeline.call("PING").text == "PONG")
            let question = "SENTINEL get-master-addr-by-name m"
            #expect(ignorant.tally[question] == 1 && knowing.tally[question] == 1)
            // A lost connection asks again, and first the one that knew.
            let admin = RedisPipeline(server.endpoint)
            #expect(try admin.call("CLIENT", "KILL", "TYPE", "normal") != .integer(0))
            #expect(eventually { (try? pipeline.call("PING").text) == "PONG" })
            #expect(ignorant.tally[question] == 1 && knowing.tally[question] == 2)
            for sentinel in [ignorant, knowing] { sentinel.stop() }
        }

        @Test("no sentinel that knows, and a server that is no master, are named; nothing was sent")
        func refused() throws {
            let server = try RedisServer(["--repl-diskless-sync-delay", "0"])
            let replica = try Self.replica(of: server)
            let (ignorant, wrong) = (FakeSentinel(nil), FakeSentinel(replica.port))
            #expect(throws: RedisError.notSent(.masterUnknown(name: "m", last: nil))) {
                try Self.pipeline([ignorant.host]).call("PING")
            }
            #expect(throws: RedisError.notSent(.notMaster(role: "slave"))) {
                try Self.pipeline([wrong.host]).call("PING")
            }
            for sentinel in [ignorant, wrong] { sentinel.stop() }
        }

        @Test("a master that has become a replica answers once; the next call is the new master's")
        func demoted() throws {
            let server = try RedisServer(["--repl-diskless-sync-delay", "0"])
            let replica = try Self.replica(of: server)
            let sentinel = FakeSentinel(server.port)
            let pipeline = Self.pipeline([sentinel.host])
            #expect(try pipeline.call("SET", "k", "1").text == "OK")
            // The connection lives on: only the answer tells.
            #expect(try RedisPipeline(replica.endpoint).call("REPLICAOF", "NO", "ONE").text == "OK")
            let old = RedisPipeline(server.endpoint)
            #expect(
                try old.call("REPLICAOF", "127.0.0.1", "\(replica.port)").text == "OK")
            sentinel.named.store(Int(replica.port), ordering: .sequentiallyConsistent)
            var replies: [RedisReply] = []
            #expect(
                eventually {
                    guard let reply = try? pipeline.call("SET", "k", "2") else { return false }
                    replies.append(reply)
                    return reply.text == "OK"
                }, "\(replies)")
            #expect(
                replies.dropLast().allSatisfy { reply in
                    if case .error(let error) = reply { return error.saysElsewhere }
                    return false
                })
            #expect(try RedisPipeline(replica.endpoint).call("GET", "k").text == "2")
            sentinel.stop()
        }

        @Test("a forked child asks the sentinels anew; its parent's connection lives on")
        func forked() throws {
            let server = try RedisServer()
            let sentinel = FakeSentinel(server.port)
            let pipeline = Self.pipeline([sentinel.host])
            let id = try pipeline.call("CLIENT", "ID")
            let child = ForkedChild {
                let own = try? pipeline.call("CLIENT", "ID")
                return own != nil && own != id
            }
            #expect(child.isReady())
            child.kill()
            #expect(try pipeline.call("CLIENT", "ID") == id)
            #expect(sentinel.tally["SENTINEL get-master-addr-by-name m"] == 2)
            sentinel.stop()
        }

        /// What docs/redis-store.md says that a user needs, but for the sentinels and clusters.
        static let rights =
            "evalsha script|load time get set getrange setrange del pexpire pttl hset hget hmget "
            .appending("hdel hgetall client|setname").split(separator: " ").map { "+\($0)" }

        @Test("a user with the rights that are written down decides behind sentinels")
        func leastRights() throws {
            let server = try RedisServer()
            let admin = RedisPipeline(server.endpoint)
            let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "~admission:*"]
            let sentinel = FakeSentinel(server.port)
            let url = "redis+sentinel://app:pw@\(sentinel.host)/m"
            func open() throws -> Limiter {
                try Limiter(
                    policyJSON: """
                        {"admission": 1, "policies": [{"name": "p", "limits": [
                          {"name": "rph", "count": "requests", "limit": 3, "window": "1h"},
                          {"name": "slots", "count": "concurrency", "limit": 3}]}]}
                        """,
                    options: Limiter.Options(anyStore: url, clock: .system, heartbeat: .manual))
            }
            #expect(try admin.call(user + Self.rights).text == "OK")
            // Without ROLE nobody knows whether it is a master.
            let error = #expect(throws: LimiterError.self) { try open() }
            #expect("\(String(describing: error))".contains("NOPERM"))
            #expect(try admin.call(user + Self.rights + ["+role"]).text == "OK")
            let limiter = try open()
            let gate = try limiter.gate([])
            for _ in 0..<3 { #expect(Self.outcome(gate) == "admitted") }
            #expect(Self.outcome(gate) == "exhausted")
            sentinel.stop()
        }

        /// A master, a replica that has all of it, and a sentinel, each behind a password.
        private struct Group {
            let master: RedisServer
            let replica: RedisServer
            let sentinel: RedisServer

            init() throws {
                let login = ["--requirepass", "canary-server", "--masterauth", "canary-server"]
                master = try RedisServer(login + ["--repl-diskless-sync-delay", "0"])
                replica = try RedisServer(
                    login + [
                        "--replicaof", "127.0.0.1", "\(master.port)", "--replica-read-only", "no",
                    ])
                let admin = Self.admin(of: master)
                #expect(
                    eventually {
                        (try? admin.call("INFO", "replication").text)?.contains("state=online")
                            ?? false
                    })
                // A master calls a replica online that is sent nothing before its first word.
                #expect(try admin.call("SET", "first", "1").text == "OK")
                #expect(try admin.call("WAIT", "1", "60000") == .integer(1))
                sentinel = try RedisServer(
                    sentinel: """
                        requirepass canary-sentinel
                        sentinel monitor m 127.0.0.1 \(master.port) 1
                        sentinel auth-pass m canary-server
                        sentinel down-after-milliseconds m 500
                        sentinel failover-timeout m 3000

                        """)
                let own = RedisPipeline(
                    RedisEndpoint(
                        sentinel.endpoint.address, password: RedisPassword("canary-sentinel")))
                #expect(
                    eventually {
                        let reply = try? own.call("SENTINEL", "replicas", "m")
                        guard case .array(let found)? = reply else { return false }
                        return !found.isEmpty
                    })
            }

            static func admin(of server: RedisServer) -> RedisPipeline {
                RedisPipeline(
                    RedisEndpoint(
                        server.endpoint.address, password: RedisPassword("canary-server")))
            }

            var url: String {
                let dead = LoopbackListener.freePort()
                return
                    "redis+sentinel://:canary-server@127.0.0.1:\(dead),127.0.0.1:\(sentinel.port)"
                    + "/m/0?sentinel_password=canary-sentinel"
            }

            func open(_ limits: String) throws -> Limiter {
                try Limiter(
                    policyJSON: """
                        {"admission": 1, "store": {"on_loss": "hold"},
                         "policies": [{"name": "p", "limits": [\(limits)]}]}
                        """,
                    options: Limiter.Options(anyStore: url, clock: .system, heartbeat: .manual))
            }
        }

        private static func outcome(_ gate: Gate) -> String {
            do {
                switch try gate.tryAcquire() {
                case .admitted(let permit):
                    _ = permit.drop()
                    return "admitted"
                case .rejected(let rejection): return "\(rejection.reason)"
                }
            } catch {
                return "\(error)"
            }
        }

        @Test("a failover adds at most the charges that were not replicated, and tells of itself")
        func failover() throws {
            for _ in 0..<(TestLength.isSoak ? 10 : 1) {
                let group = try Group()
                let limiter = try group.open(
                    #"{"name": "rph", "count": "requests", "limit": 1000000, "window": "1h"}"#)
                let gate = try limiter.gate([])
                let isOver = Atomic<Bool>(false)
                let (tally, after) = (OutcomeTally(), OutcomeTally())
                let killedAt = Atomic<Int64>(.max)
                let threads = (0..<4).map { _ in
                    PlainThread {
                        while !isOver.load(ordering: .sequentiallyConsistent) {
                            let outcome = Self.outcome(gate)
                            let isLate =
                                CallDeadline.now()
                                > killedAt.load(ordering: .sequentiallyConsistent)
                            (isLate ? after : tally).add(outcome)
                        }
                    }
                }
                #expect(tally.reaches(2_000, "admitted"))
                let before = tally["admitted"]
                let began = CallDeadline.now()
                #expect(tally.reaches(before + 500, "admitted"))
                let rate = 500 * 1_000_000_000 / (CallDeadline.now() - began)
                // Nobody of the group is told: the sentinel finds out.
                killedAt.store(CallDeadline.now(), ordering: .sequentiallyConsistent)
                group.master.kill()
                let killed = CallDeadline.now()
                #expect(after.reaches(1, "store_unavailable"))
                #expect(eventually { after["admitted"] > 100 }, "\(after.all)")
                let outage = CallDeadline.now() - killed
                isOver.store(true, ordering: .sequentiallyConsistent)
                for thread in threads { thread.join() }
                let admitted = tally["admitted"] + after["admitted"]
                let used = Int(try gate.explain().limits[0].used)
                let lost = admitted - used
                print(
                    "failover: \(outage / 1_000_000) ms, \(rate) decisions/s, \(admitted) admitted, "
                        + "\(used) counted: \(lost) not replicated = "
                        + "\(lost * 1_000_000 / Int(max(1, rate))) us of them; \(after.all)")
                // Decisions of 100 ms, and above the number on the way at most those four.
                #expect(lost <= Int(rate) / 10 + 4)
                // A charge whose reply was lost may have been counted.
                let unknown = tally["store_unavailable"] + after["store_unavailable"]
                #expect(used <= admitted + unknown)
                #expect(
                    Set(tally.all.keys).union(after.all.keys) == ["admitted", "store_unavailable"])
                let events = limiter.events()
                #expect(events.contains { $0.kind == .storeLost })
                #expect(events.contains { $0.kind == .storeBack })
                let said = events.map(\.json) + [limiter.snapshot().json]
                #expect(!said.contains { $0.contains("canary") })
            }
        }

        @Test("a replica that lags adds what it had not got, and no more, to what a limit admits")
        func lag() throws {
            let group = try Group()
            let limiter = try group.open(
                #"{"name": "rph", "count": "requests", "limit": 300, "window": "1h"}"#)
            let gate = try limiter.gate([])
            for _ in 0..<50 { #expect(Self.outcome(gate) == "admitted") }
            let (master, replica) = (Group.admin(of: group.master), Group.admin(of: group.replica))
            #expect(try master.call("WAIT", "1", "60000") == .integer(1))
            // From here on nothing is replicated.
            #expect(try replica.call("CONFIG", "SET", "masterauth", "wrong").text == "OK")
            #expect(try master.call("CLIENT", "KILL", "TYPE", "replica") == .integer(1))
            let ahead = 40
            for _ in 0..<ahead { #expect(Self.outcome(gate) == "admitted") }
            group.master.kill()
            var admitted = 50 + ahead
            #expect(
                eventually {
                    let outcome = Self.outcome(gate)
                    if outcome == "admitted" { admitted += 1 }
                    return outcome == "exhausted" || admitted > 1_000
                })
            print("lagging replica: \(admitted - 300) above the limit, \(ahead) not replicated")
            // A charge whose reply was lost counts and admits nobody.
            #expect((301...300 + ahead).contains(admitted))
            // Older counters of the same life: nobody can tell.
            #expect(!limiter.events().contains { $0.kind == .stateLost })
        }

        @Test(
            "a replica that has not got the counters is noticed when it is the master: hold holds")
        func behind() throws {
            let group = try Group()
            let limiter = try group.open(
                #"{"name": "rph", "count": "requests", "limit": 5, "window": "1h"}"#)
            let gate = try limiter.gate([])
            for _ in 0..<3 { #expect(Self.outcome(gate) == "admitted") }
            let (master, replica) = (Group.admin(of: group.master), Group.admin(of: group.replica))
            #expect(try master.call("WAIT", "1", "60000") == .integer(1))
            // As if they had not come yet.
            #expect(try replica.call("FLUSHALL").text == "OK")
            group.master.kill()
            var outcomes: Set<String> = []
            #expect(
                eventually {
                    outcomes.insert(Self.outcome(gate))
                    return outcomes.contains("exhausted") || outcomes.contains("admitted")
                })
            #expect(outcomes == ["exhausted", "store_unavailable"], "\(outcomes)")
            #expect(limiter.events().contains { $0.kind == .stateLost })
        }
    }
#endif
