import Admission

/// One operation that a process may die in, and what it may leave behind.
struct Operation {
    var name: String
    /// Whether time has moved since the world was built, so that windows turn in the operation.
    var isLater = false
    /// Keys that it may add to those of the world, or count once too often until somebody reclaims.
    var newKeys = 0
    /// What the process did before it was armed, and so really holds; per limit by name.
    var held: [String: Int64] = [:]
    /// What it adds to the use of each limit when it comes to its end.
    var change: [String: Int64] = [:]
    /// Whether the bounds of the limits may be others behind it.
    var reloads = false
    /// Everything before the operation; its result is handed to `act`.
    var prepare: (World.Member) throws -> Prepared = { _ in Prepared() }
    /// The operation.
    var act: (World.Member, consuming Prepared) throws -> Void
}

/// What an operation needs: a permit, most often.
struct Prepared: ~Copyable {
    var permit: Permit?

    init(_ permit: consuming Permit? = nil) { self.permit = permit }
}

extension Operation {
    /// Use of every limit by one call of one request and 5 tokens.
    static let call: [String: Int64] = [
        "pace": 1, "roll": 1, "minute": 1, "tokens": 5, "all": 1, "parallel": 1,
    ]

    /// A permit of such a call that `act` ends.
    private static func ending(
        _ name: String, _ change: [String: Int64],
        _ act: @escaping (World.Member, consuming Permit) throws -> Void
    ) -> Operation {
        Operation(
            name: name, held: call, change: change,
            prepare: { member in Prepared(try member.acquire(tokens: 5)) },
            act: { member, prepared in
                var prepared = prepared
                guard let permit = prepared.permit.take() else { throw Fault("no permit") }
                try act(member, permit)
            })
    }

    /// All of them; each is tried at once and after the windows have moved on.
    static var all: [Operation] {
        let once: [Operation] = [
            Operation(name: "acquire", change: call) { member, _ in
                let permit = try member.acquire(tokens: 5)
                World.finish(permit)
            },
            Operation(
                name: "charge",
                change: ["pace2": 1, "tokens2": 5, "all": 1],
                act: { member, _ in try member.charge(tokens: 5) }),
            ending("complete", ["parallel": -1]) { _, permit in permit.complete() },
            ending("complete with less", ["tokens": -3, "parallel": -1]) { _, permit in
                try permit.complete(Usage(inputTokens: 2))
            },
            ending("complete with more", ["tokens": 2, "parallel": -1]) { _, permit in
                try permit.complete(Usage(inputTokens: 7))
            },
            ending("add", ["tokens": 2]) { _, permit in
                var permit = permit
                try permit.add(Usage(requests: 0, inputTokens: 2))
                World.finish(permit)
            },
            ending(
                "abandon",
                ["pace": -1, "roll": -1, "minute": -1, "tokens": -5, "all": -1, "parallel": -1]
            ) { _, permit in permit.abandon() },
            ending("drop", ["parallel": -1]) { _, permit in permit.drop() },
            ending("renew", [:]) { _, permit in
                permit.renew()
                World.finish(permit)
            },
        ]
        let later = once.map { operation in
            var operation = operation
            operation.name += " after a turn"
            operation.isLater = true
            return operation
        }
        return once + later + [
            Operation(name: "open") { member, _ in World.finish(try member.world.open()) },
            Operation(name: "gate on new keys", newKeys: 6) { member, _ in
                _ = try member.limiter.gate(["project": "new", "kind": "call"])
            },
            Operation(name: "reload", reloads: true) { member, _ in
                try member.limiter.reload(policyJSON: World.otherPolicy)
            },
            Operation(name: "reload after a turn", isLater: true, reloads: true) { member, _ in
                try member.limiter.reload(policyJSON: World.otherPolicy)
            },
            Operation(name: "reclaim", isLater: true, newKeys: 1) { member, _ in
                _ = member.limiter.reclaim()
            },
        ]
    }
}

struct Fault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
