#if Redis
    import Foundation
    import Testing

    @testable import AdmissionRedis

    /// A cluster of a test's own on loopback: masters that share the slots evenly, and replicas.
    final class RedisClusterServers: Sendable {
        let servers: [RedisServer]
        /// One connection to each for the test's own commands.
        let admins: [RedisPipeline]
        let ids: [String]
        let masterCount: Int

        /// - Parameter replicas: for each the index of its master.
        init(masters: Int = 3, replicas: [Int] = []) throws {
            masterCount = masters
            servers = try (0..<masters + replicas.count).map { _ in
                try RedisServer([
                    "--cluster-enabled", "yes", "--cluster-port", "\(LoopbackListener.freePort())",
                    "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
                    "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor",
                    "0", "--repl-diskless-sync-delay", "0",
                ])
            }
            var options = RedisPipeline.Options()
            options.name = "test"
            admins = servers.map { [options] in RedisPipeline($0.endpoint, options: options) }
            ids = try admins.map { try $0.call("CLUSTER", "MYID").text ?? "" }
            for (index, admin) in admins.enumerated() {
                try Self.expectOK(admin.call("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)"))
                if index < masters {
                    let (first, next) = (
                        RedisSlots.count * index / masters,
                        RedisSlots.count * (index + 1) / masters
                    )
                    try Self.expectOK(
                        admin.call("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(next - 1)"))
                }
                if index > 0 { try meet(index) }
            }
            try agree("cluster_known_nodes:\(servers.count)\r")
            for (index, master) in replicas.enumerated() {
                try Self.expectOK(
                    admins[masters + index].call("CLUSTER", "REPLICATE", ids[master]))
            }
            try agree("cluster_state:ok\r", "cluster_slots_assigned:16384\r")
            for index in replicas {
                let isLinked = eventually {
                    let text = try? self.admins[index].call("INFO", "replication").text
                    return text?.contains("state=online") ?? false
                }
                #expect(isLinked)
            }
        }

        var url: String { "redis+cluster://127.0.0.1:\(servers[0].port)" }

        /// The master that had the slot at first.
        func firstOwner(of slot: Int) -> Int {
            (0..<masterCount).last { RedisSlots.count * $0 / masterCount <= slot } ?? 0
        }

        /// Moves a slot as `redis-cli --cluster reshard` does, key by key.
        ///
        /// - Parameter between: called after each step.
        func move(_ slot: Int, from: Int, to: Int, between: () -> Void = {}) throws {
            let (source, target) = (admins[from], admins[to])
            try Self.expectOK(target.call("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", ids[from]))
            try Self.expectOK(source.call("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", ids[to]))
            between()
            while case .array(let keys) = try source.call(
                "CLUSTER", "GETKEYSINSLOT", "\(slot)", "10"), !keys.isEmpty
            {
                for case .bytes(let key) in keys {
                    let words = ["MIGRATE", "127.0.0.1", "\(servers[to].port)"].map {
                        Array($0.utf8)
                    }
                    let rest = ["0", "10000"].map { Array($0.utf8) }
                    try Self.expectOK(
                        source.call(RedisCommand(words + [key] + rest), until: .generous))
                    between()
                }
            }
            for admin in [target, source] {
                try Self.expectOK(admin.call("CLUSTER", "SETSLOT", "\(slot)", "NODE", ids[to]))
                between()
            }
        }

        /// How many connections clients of the store have to a node.
        func clients(of index: Int) throws -> Int {
            let list = try admins[index].call("CLIENT", "LIST").text ?? ""
            return list.split(separator: "\n").count { $0.contains(" name=admission ") }
        }

        private func meet(_ index: Int) throws {
            let bus = try admins[0].call("CONFIG", "GET", "cluster-port")
            guard case .array(let parts) = bus, parts.count == 2, let port = parts[1].text else {
                throw RedisServer.DidNotStart(description: "\(bus)")
            }
            try Self.expectOK(
                admins[index].call("CLUSTER", "MEET", "127.0.0.1", "\(servers[0].port)", port))
        }

        private func agree(_ lines: String...) throws {
            let agrees = eventually {
                self.admins.allSatisfy { admin in
                    let text = (try? admin.call("CLUSTER", "INFO").text) ?? ""
                    return lines.allSatisfy { text.contains($0) }
                }
            }
            guard agrees else { throw RedisServer.DidNotStart(description: "\(lines)") }
        }

        private static func expectOK(_ reply: RedisReply) throws {
            guard reply.text == "OK" else {
                throw RedisServer.DidNotStart(description: "\(reply)")
            }
        }
    }

    /// Whether the condition comes true within a minute: looks now and then, since other processes
    /// have to do it.
    func eventually(_ condition: () -> Bool) -> Bool {
        let end = CallDeadline.generous
        let spot = ParkingSpot()
        while CallDeadline.now() < end.nanoseconds {
            if condition() { return true }
            spot.park(until: CallDeadline.after(nanoseconds: 5_000_000).nanoseconds)
        }
        return condition()
    }
#endif
