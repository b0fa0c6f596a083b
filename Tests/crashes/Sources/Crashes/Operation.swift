@testable import Admission

/// One operation that a process may die in, and what it may leave behind.
struct Operation {
    var name: String
    var kind = World.Kind.manual
    /// Whether it takes the short ways, which are opened before; no operation of a machine without
    /// them.
    var isAtOnce = false
    /// How far time has moved since the world was built, so that windows turn in the operation.
    var laterNanoseconds: Int64 = 0
    /// Keys that it may add to those of the world, or be counted wrongly by until somebody reclaims.
    var newKeys = 0...0
    /// What the process did before it was armed, and so really holds; per limit by name.
    var held: [String: Int64] = [:]
    /// What it adds to the use of each limit when it comes to its end.
    var change: [String: Int64] = [:]
    /// What it takes on the way and gives back before its end: one that dies in between loses it.
    var taken: [String: Int64] = [:]
    /// What another process does just before one of its writes, and what that adds.
    var other: (write: Int, change: [String: Int64], act: (Member) throws -> Void)?
    /// Whether the bounds of the limits may be others behind it.
    var reloads = false
    /// Whether the survivor holds no slots itself.
    var leavesSlots = false
    /// Slots that there are behind it; nil: as in the world's document.
    var slots: Int?
    /// Whether some death of it must be seen to have left what it had taken.
    var isSeenBetween = false
    /// What a process does that is killed just before the operation; it holds what it took.
    var dead: ((World) throws -> Void)?
    /// Everything before the operation; its result is handed to `act`.
    var prepare: (World, Member) throws -> Prepared = { _, _ in Prepared() }
    /// The operation.
    var act: (World, Member, consuming Prepared) throws -> Void
}

/// What an operation needs: a permit, most often.
struct Prepared: ~Copyable {
    var permit: Permit?

    init(_ permit: consuming Permit? = nil) { self.permit = permit }

    consuming func take() throws -> Permit {
        guard let permit else { throw Fault("no permit") }
        return permit
    }
}

struct Fault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension Operation {
    /// Use of every limit by one call of one request and 5 tokens.
    static let call: [String: Int64] = [
        "pace": 1, "roll": 1, "calendar": 1, "tokens": 5, "all": 1,
    ]
    static let few: [String: Int64] = ["few roll": 1, "few calendar": 1, "few tokens": 5]
    static let single: [String: Int64] = ["single": 1]

    static func times(_ factor: Int64, _ use: [String: Int64]) -> [String: Int64] {
        use.mapValues { $0 * factor }
    }

    /// Windows of 10 s in 60 cells move on by some, and all of them.
    static let turn: Int64 = 3_000_000_000
    static let idleTurn: Int64 = 30_000_000_000

    /// All of them.
    static var all: [Operation] {
        let manual = general(.manual)
        let later = manual.map { operation in
            var operation = operation
            operation.name += " after a turn"
            operation.laterNanoseconds = turn
            return operation
        }
        return manual + later + turns + general(.system) + atOnce + undone + rare + sweeping + wide
    }

    /// A permit of a call that `act` ends.
    private static func ending(
        _ name: String, _ kind: World.Kind, _ change: [String: Int64],
        _ act: @escaping (Member, consuming Permit) throws -> Void
    ) -> Operation {
        Operation(
            name: name, kind: kind, held: call, change: change,
            prepare: { _, member in Prepared(try member.acquire(tokens: 5)) },
            act: { _, member, prepared in try act(member, try prepared.take()) })
    }

    /// What is done all day, by the general way.
    private static func general(_ kind: World.Kind) -> [Operation] {
        let all = [
            Operation(
                name: "acquire", kind: kind, change: call,
                act: { _, member, _ in World.finish(try member.acquire(tokens: 5)) }),
            Operation(
                name: "charge", kind: kind, change: ["pace2": 1, "tokens2": 5, "all": 1],
                act: { _, member, _ in try member.charge(tokens: 5) }),
            ending("complete", kind, [:]) { _, permit in permit.complete() },
            ending("complete with less", kind, ["tokens": -3]) { _, permit in
                try permit.complete(Usage(inputTokens: 2))
            },
            ending("complete with more", kind, ["tokens": 2]) { _, permit in
                try permit.complete(Usage(inputTokens: 7))
            },
            ending("add", kind, ["tokens": 2]) { _, permit in
                var permit = permit
                try permit.add(Usage(requests: 0, inputTokens: 2))
                World.finish(permit)
            },
            ending("abandon", kind, times(-1, call)) { _, permit in permit.abandon() },
            ending("drop", kind, [:]) { _, permit in permit.drop() },
            renewing(kind),
        ]
        guard kind == .system else { return all }
        return all.map { operation in
            var operation = operation
            operation.name += " by the system's clock"
            return operation
        }
    }

    /// A lease of 60 s that is renewed some milliseconds later, so that it ends later.
    private static func renewing(_ kind: World.Kind) -> Operation {
        let distance: Int64 = 4_000_000
        return Operation(
            name: "renew", kind: kind, held: call,
            prepare: { _, member in
                let permit = try member.acquire(tokens: 5)
                if kind == .system {
                    let begun = monotonicNanoseconds()
                    while monotonicNanoseconds() < begun + distance {}
                } else {
                    // By hand: `advance` renews on its own.
                    let word = member.limiter.core.manual
                    _ = word?.steady.fetchAdd(UInt64(distance))
                }
                return Prepared(permit)
            },
            act: { _, member, prepared in
                let permit = try prepared.take()
                let before = member.leaseEnds()
                permit.renew()
                let after = member.leaseEnds()
                guard before.count == 1, after.count == 1, before[0] < after[0] else {
                    throw Fault("leases that ended at \(before) end at \(after)")
                }
                World.finish(permit)
            })
    }

    /// Decisions of which nothing but the turn of their windows is left.
    private static var turns: [Operation] {
        [("turn", turn), ("turn of idle windows", idleTurn)].map { name, distance in
            Operation(
                name: name, laterNanoseconds: distance,
                act: { _, member, _ in
                    try member.charge(requests: 0, tokens: 0)
                    World.finish(try member.acquire(\.few, requests: 0, tokens: 0))
                })
        }
    }

    /// What is done now and then, on either clock.
    private static var rare: [Operation] {
        [World.Kind.manual, .system].flatMap { kind -> [Operation] in
            let name = kind == .system ? " by the system's clock" : ""
            return [
                Operation(
                    name: "open" + name, kind: kind,
                    act: { world, _, _ in World.finish(try world.open()) }),
                Operation(
                    name: "gate on new keys" + name, kind: kind, newKeys: 0...6,
                    act: { _, member, _ in
                        _ = try member.limiter.gate(["project": "new", "kind": "call"])
                    }),
                Operation(
                    name: "reload" + name, kind: kind, reloads: true,
                    act: { world, member, _ in
                        try member.limiter.reload(
                            policyJSON: world.kind.document.successor.json)
                    }),
            ]
        } + [
            Operation(
                name: "reload after a turn", laterNanoseconds: turn, reloads: true,
                act: { world, member, _ in
                    try member.limiter.reload(policyJSON: world.kind.document.successor.json)
                }),
            Operation(
                name: "reclaim", laterNanoseconds: turn, newKeys: 0...1,
                act: { _, member, _ in try reclaim(member, atLeast: 1) }),
            Operation(
                name: "reclaim by the system's clock", kind: .system, newKeys: 0...7,
                prepare: { _, member in
                    _ = try member.limiter.gate(["project": "idle", "kind": "call"])
                    return Prepared()
                },
                act: { _, member, _ in try reclaim(member, atLeast: 2) }),
        ]
    }

    private static func reclaim(_ member: Member, atLeast least: Int) throws {
        let reclaimed = member.limiter.reclaim()
        guard reclaimed >= least else { throw Fault("\(reclaimed) keys were reclaimed") }
    }
}
