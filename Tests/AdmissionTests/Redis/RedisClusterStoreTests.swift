#if Redis
    import Foundation
    import Synchronization
    import Testing

    @testable import Admission
    @testable import AdmissionRedis

    /// A store in a real cluster whose slots move and whose nodes die. One after the other: each has
    /// servers of its own, which other tests' load would keep from their elections.
    @Suite("Redis cluster: a store in it", .serialized)
    struct RedisClusterStoreTests {
        /// For tests that leave it as it was. It ends with the process.
        private static let shared = Result { try RedisClusterServers() }

        /// Limits of one shard for each project.
        private static func open(_ url: String, deadline: String) throws -> Limiter {
            let limits = [
                #"{"name": "rph", "count": "requests", "limit": 1000000, "window": "1h"}"#,
                #"{"name": "tph", "count": "input_tokens", "limit": 200, "window": "1h"}"#,
                #"{"name": "rpd", "count": "requests", "limit": 1000000, "window": "day"}"#,
                #"{"name": "slots", "count": "concurrency", "limit": 3}"#,
            ].joined(separator: ", ")
            return try Limiter(
                policyJSON: """
                    {"admission": 1, "shard": "project", "store": {"deadline": "\(deadline)"},
                     "policies": [{"name": "p", "per": ["project"], "limits": [\(limits)]}]}
                    """,
                options: Limiter.Options(anyStore: url, clock: .system, heartbeat: .manual))
        }

        private static func slot(_ project: String) -> Int {
            RedisShard(value: project).slot
        }

        /// A project whose slot is the n-th master's.
        private static func project(on index: Int, of servers: RedisClusterServers) -> String {
            (0...).lazy.map { "project-\($0)" }
                .first { servers.firstOwner(of: slot($0)) == index } ?? ""
        }

        private static func used(_ limiter: Limiter, _ project: String) throws -> [Int64] {
            try limiter.gate(["project": project]).explain().limits.map(\.used)
        }

        /// How many permits are open at once, as their holders see it.
        private final class Open: Sendable {
            private let count = Atomic<Int>(0)
            private let most = Atomic<Int>(0)

            func begin() {
                let now = count.add(1, ordering: .sequentiallyConsistent).newValue
                most.max(now, ordering: .sequentiallyConsistent)
            }

            func end() { count.subtract(1, ordering: .sequentiallyConsistent) }

            var mostAtOnce: Int { most.load(ordering: .sequentiallyConsistent) }
        }

        /// One decision and its end.
        private static func decide(_ gate: Gate, tokens: Int64, _ tally: OutcomeTally, _ open: Open)
        {
            do {
                switch try gate.tryAcquire(Cost(inputTokens: tokens)) {
                case .admitted(let permit):
                    open.begin()
                    tally.add(tokens > 0 ? "admitted with a token" : "admitted")
                    open.end()
                    let end = permit.complete()
                    if end != .settled { tally.add("\(end)") }
                case .rejected(let rejection):
                    tally.add(
                        "\(rejection.reason) \(rejection.binding.limitName ?? "of the store")")
                }
            } catch {
                tally.add("\(error)")
            }
        }

        @Test("slices are taken of the nodes that have the shards, spent, and given back")
        func slices() throws {
            let servers = try Self.shared.get()
            func open(_ store: String) throws -> Limiter {
                try Limiter(
                    policyJSON: #"{"admission": 1, "shard": "project", "store": \#(store), "#
                        + #""policies": [{"name": "s", "per": ["project"], "limits": "#
                        + #"[{"name": "l", "count": "requests", "limit": 900000, "window": "1m"}]}]}"#,
                    options: Limiter.Options(anyStore: servers.url, heartbeat: .manual))
            }
            let store = #"{"slices": true, "deadline": "30s"}"#
            let limiter = try open(store)
            let projects = (0..<3).map { Self.project(on: $0, of: servers) }
            for project in projects {
                let gate = try limiter.gate(["project": project])
                var sliced = 0
                for _ in 0..<3_000 {
                    guard case .admitted(let binding) = try gate.tryCharge() else { continue }
                    if binding.storeMode == .slice { sliced += 1 }
                }
                #expect(sliced > 0)
            }
            limiter.close()
            let isExact = (limiter.core.remote as? RedisStore)?.unansweredCount == 0
            let other = try open(store)
            for project in projects {
                let used = try Self.used(other, project)[0]
                #expect(isExact ? used == 3_000 : used >= 3_000, "\(project): \(used)")
            }
            other.close()
            #expect(throws: LimiterError.self) {
                try open(#"{"on_outage": "local", "processes": 2}"#)
            }
        }

        @Test("no limit is exceeded and no decision lost while the slot moves from node to node")
        func migration() throws {
            let servers = try Self.shared.get()
            let project = Self.project(on: 0, of: servers)
            let tally = OutcomeTally()
            do {
                let limiters = try (0..<2).map { _ in
                    try Self.open(servers.url, deadline: "30s")
                }
                let isOver = Atomic<Bool>(false)
                let open = Open()
                let threads = try (0..<6).map { number in
                    let gate = try limiters[number % 2].gate(["project": project])
                    return PlainThread {
                        var turn = 0
                        while !isOver.load(ordering: .sequentiallyConsistent) {
                            Self.decide(gate, tokens: turn % 2 == 0 ? 1 : 0, tally, open)
                            turn += 1
                        }
                    }
                }
                var owner = 0
                for round in 1...(TestLength.isSoak ? 300 : 6) {
                    let next = (owner + 1) % 3
                    try servers.move(Self.slot(project), from: owner, to: next) {
                        let spot = ParkingSpot()
                        spot.park(until: CallDeadline.after(nanoseconds: 2_000_000).nanoseconds)
                    }
                    #expect(tally.reaches(round * 20, "admitted"))
                    owner = next
                }
                #expect(tally.reaches(1, "exhausted tph"))
                isOver.store(true, ordering: .sequentiallyConsistent)
                for thread in threads { thread.join() }
                let outcomes = Set(tally.all.keys)
                #expect(
                    outcomes.isSubset(of: [
                        "admitted", "admitted with a token", "exhausted tph", "concurrency slots",
                    ]), "\(tally.all)")
                #expect(open.mostAtOnce <= 3)
                let admitted = Int64(tally["admitted"] + tally["admitted with a token"])
                #expect(
                    try Self.used(limiters[0], project) == [admitted, 200, admitted, 0],
                    "\(tally.all)")
                #expect(tally["admitted with a token"] == 200)
                for index in 0..<3 { #expect(try servers.clients(of: index) <= 2) }
                let events = limiters.flatMap { $0.events() }
                #expect(!events.contains { $0.kind == .stateLost }, "\(events)")
                print("slot moved under way: \(tally.all)")
            }
            // The limiters are closed with their last reference.
            #expect(
                eventually { (0..<3).allSatisfy { (try? servers.clients(of: $0)) == 0 } })
        }

        @Test("a call that a moving slot holds up ends at its deadline, with a name")
        func heldUp() throws {
            let servers = try Self.shared.get()
            let project = Self.project(on: 1, of: servers)
            let limiter = try Self.open(servers.url, deadline: "30s")
            let hurried = try Self.open(servers.url, deadline: "50ms")
            let tally = OutcomeTally()
            let gate = try limiter.gate(["project": project])
            let other = try hurried.gate(["project": project])
            Self.decide(gate, tokens: 1, tally, Open())
            var isFirst = true
            try servers.move(Self.slot(project), from: 1, to: 2) {
                guard isFirst else { return }
                isFirst = false
                Self.decide(other, tokens: 1, tally, Open())
            }
            Self.decide(gate, tokens: 1, tally, Open())
            try servers.move(Self.slot(project), from: 2, to: 1)
            #expect(tally["admitted with a token"] == 2, "\(tally.all)")
            #expect(tally["store_unavailable of the store"] == 1, "\(tally.all)")
            #expect(try Self.used(limiter, project) == [2, 2, 2, 0])
            #expect(!limiter.events().contains { $0.kind == .stateLost })
        }

        @Test("a node that dies costs its own slots alone, until its replica has taken over")
        func death() throws {
            let servers = try RedisClusterServers(replicas: [1])
            let (mine, others) = (
                Self.project(on: 1, of: servers), Self.project(on: 2, of: servers)
            )
            // The dead node refuses connections at once; the others may take their time.
            let limiter = try Self.open(servers.url, deadline: "10s")
            let (gate, other) = (
                try limiter.gate(["project": mine]), try limiter.gate(["project": others])
            )
            let (tally, elsewhere) = (OutcomeTally(), OutcomeTally())
            for _ in 0..<5 { Self.decide(gate, tokens: 1, tally, Open()) }
            #expect(tally["admitted with a token"] == 5, "\(tally.all)")
            // All of it has reached the replica.
            #expect(try servers.admins[1].call("WAIT", "1", "60000") == .integer(1))
            let isOver = Atomic<Bool>(false)
            let threads = (0..<3).map { _ in
                PlainThread {
                    while !isOver.load(ordering: .sequentiallyConsistent) {
                        Self.decide(other, tokens: 0, elsewhere, Open())
                    }
                }
            }
            servers.servers[1].kill()
            let began = CallDeadline.now()
            #expect(
                eventually {
                    Self.decide(gate, tokens: 0, tally, Open())
                    return tally["admitted"] > 0
                }, "\(tally.all)")
            isOver.store(true, ordering: .sequentiallyConsistent)
            for thread in threads { thread.join() }
            print(
                "node dead: its slots back after \((CallDeadline.now() - began) / 1_000_000) ms; "
                    + "\(tally.all)")
            #expect(Set(elsewhere.all.keys) == ["admitted"], "\(elsewhere.all)")
            #expect(tally["store_unavailable of the store"] > 0)
            // What the dead node may have booked without a reply is not known here: none of it was.
            #expect(try Self.used(limiter, mine)[1] == 5)
            let events = limiter.events()
            #expect(
                events.contains {
                    $0.kind == .storeLost && $0.json.contains(":\(servers.servers[1].port)")
                })
            #expect(!events.contains { $0.kind == .stateLost })
            #expect(events.contains { $0.kind == .storeBack })
            // The new master is watched as the old one was.
            #expect(try servers.clients(of: 3) == 1)
        }

        @Test("a user with the rights that are written down decides, also while the slot moves")
        func leastRights() throws {
            let servers = try Self.shared.get()
            let rights = RedisSentinelTests.rights + ["+cluster|slots", "+asking"]
            for admin in servers.admins {
                let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "~admission:*"]
                #expect(try admin.call(user + rights).text == "OK")
            }
            let project = Self.project(on: 0, of: servers)
            let limiter = try Self.open(
                servers.url.replacing("127.0.0.1", with: "app:pw@127.0.0.1"), deadline: "30s")
            let gate = try limiter.gate(["project": project])
            let tally = OutcomeTally()
            let before = try Self.used(limiter, project)
            let thread = PlainThread {
                while tally["admitted"] < 200 { Self.decide(gate, tokens: 0, tally, Open()) }
            }
            for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                try servers.move(Self.slot(project), from: from, to: to)
            }
            thread.join()
            #expect(Set(tally.all.keys) == ["admitted"], "\(tally.all)")
            #expect(try Self.used(limiter, project)[0] == before[0] + 200)
            #expect(limiter.events().isEmpty, "\(limiter.events())")
        }

        @Test("a node that may evict counters is told of by name")
        func eviction() throws {
            let servers = try Self.shared.get()
            let set = ["CONFIG", "SET", "maxmemory-policy"]
            #expect(try servers.admins[2].call(set + ["allkeys-lru"]).text == "OK")
            defer { _ = try? servers.admins[2].call(set + ["noeviction"]) }
            let events = try Self.open(servers.url, deadline: "5s").events()
            #expect(events.map(\.kind) == [.storeUnsafe])
            #expect(events.first?.json.contains(":\(servers.servers[2].port)") ?? false)
        }

        @Test("a forked child connects anew to every node; its parent goes on undisturbed")
        func forked() throws {
            let servers = try Self.shared.get()
            let cluster = RedisCluster(try RedisURL(servers.url))
            let script = RedisScript("return ARGV[1]")
            @Sendable func echoes(_ text: String) -> Bool {
                (0..<30).allSatisfy { number in
                    let key = Array("key-\(number)".utf8)
                    let word = Array("\(text) \(number)".utf8)
                    let reply = try? cluster.call(
                        script, script.prepared(keys: [key], variableCount: 1).command([word]),
                        slot: RedisSlots.slot(ofKey: key), until: .generous
                    ).reply
                    return reply == .bytes(word)
                }
            }
            #expect(echoes("first"))
            let isOver = Atomic<Bool>(false)
            let tally = OutcomeTally()
            let threads = (0..<4).map { number in
                PlainThread {
                    while !isOver.load(ordering: .sequentiallyConsistent) {
                        tally.add(echoes("thread \(number)") ? "own replies" : "others")
                    }
                }
            }
            for round in 1...3 {
                #expect(tally.reaches(round * 4, "own replies"))
                let child = ForkedChild { echoes("child") }
                #expect(child.isReady())
                child.kill()
            }
            isOver.store(true, ordering: .sequentiallyConsistent)
            for thread in threads { thread.join() }
            #expect(Set(tally.all.keys) == ["own replies"])
        }
    }
#endif
