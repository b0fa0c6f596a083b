@testable import Admission

/// The short ways on the system's clock, each by itself: see `Member.openShortWays`.
extension Operation {
    static var atOnce: [Operation] {
        [
            Operation(
                name: "acquire of a bucket at once", kind: .system, isAtOnce: true, change: single,
                act: { _, member, _ in
                    World.finish(try member.acquireAtOnce(\.single, tokens: 0))
                }),
            Operation(
                name: "charge of a bucket at once", kind: .system, isAtOnce: true, change: single,
                act: { _, member, _ in try member.chargeAtOnce() }),
            Operation(
                name: "acquire of few limits at once", kind: .system, isAtOnce: true, change: few,
                act: { _, member, _ in
                    World.finish(try member.acquireAtOnce(\.few, tokens: 5))
                }),
            ending("end at once", \.few, [:]) { member, permit in
                try member.endAtOnce(permit)
            },
            // What was taken at once and is settled by the general way.
            ending("abandon of a bucket", \.single, times(-1, single)) { _, permit in
                permit.abandon()
            },
            ending("complete of few limits", \.few, [:]) { _, permit in permit.complete() },
            ending("drop of few limits", \.few, [:]) { _, permit in permit.drop() },
            ending("complete of few limits with less", \.few, ["few tokens": -3]) { _, permit in
                try permit.complete(Usage(inputTokens: 2))
            },
            ending("complete of few limits with more", \.few, ["few tokens": 2]) { _, permit in
                try permit.complete(Usage(inputTokens: 7))
            },
            ending("add to few limits", \.few, ["few tokens": 2]) { _, permit in
                var permit = permit
                try permit.add(Usage(requests: 0, inputTokens: 2))
                World.finish(permit)
            },
            ending("abandon of few limits", \.few, times(-1, few)) { _, permit in
                permit.abandon()
            },
            ending("renew of few limits", \.few, [:]) { _, permit in
                permit.renew()
                World.finish(permit)
            },
        ]
    }

    /// A permit that was taken at once and that `act` ends.
    private static func ending(
        _ name: String, _ gate: KeyPath<Member, Gate>, _ change: [String: Int64],
        _ act: @escaping (Member, consuming Permit) throws -> Void
    ) -> Operation {
        Operation(
            name: name, kind: .system, isAtOnce: true, held: gate == \.few ? few : single,
            change: change,
            prepare: { _, member in
                Prepared(try member.acquireAtOnce(gate, tokens: gate == \.few ? 5 : 0))
            },
            act: { _, member, prepared in try act(member, try prepared.take()) })
    }
}

/// Decisions that meet another process between their look and one of their swaps, and give back
/// what they had taken: its four swaps are the slot's and those of three windows.
extension Operation {
    static var undone: [Operation] {
        (1...4).flatMap { write in [undoneAtOnce(write), againAtOnce(write), again(write)] }
            + [besideOther, refusedAtLast, reclaimedMeanwhile]
    }

    /// Another process' call of the same limits: the word of each is another one behind it.
    private static func meeting(_ write: Int) -> (Int, [String: Int64], (Member) throws -> Void) {
        (write, few, { other in try other.acquire(\.few, tokens: 5).complete() })
    }

    /// The short way alone, which leaves nothing.
    private static func undoneAtOnce(_ write: Int) -> Operation {
        Operation(
            name: "acquire at once undone at its write \(write)", kind: .system, isAtOnce: true,
            taken: few,
            other: meeting(write), isSeenBetween: write > 2,
            act: { _, member, _ in
                let before = member.rollbacks
                if let permit = member.tryAtOnce(\.few, tokens: 5) {
                    World.finish(permit)
                    throw Fault("admitted although another came first")
                }
                guard CrashPoint.isInterposed else { throw NotAtOnce() }
                guard member.rollbacks - before == (write > 1 ? 1 : 0) else {
                    throw Fault("\(member.rollbacks - before) decisions gave back")
                }
            })
    }

    /// What a caller asks for: the general way behind it admits.
    private static func againAtOnce(_ write: Int) -> Operation {
        Operation(
            name: "acquire undone at its write \(write) and again", kind: .system, isAtOnce: true,
            change: few,
            taken: few, other: meeting(write),
            act: { _, member, _ in World.finish(try member.acquire(\.few, tokens: 5)) })
    }

    /// The general way takes the step by itself.
    private static func again(_ write: Int) -> Operation {
        Operation(
            name: "acquire that meets another at its write \(write)", change: few, taken: few,
            other: meeting(write),
            act: { _, member, _ in World.finish(try member.acquire(\.few, tokens: 5)) })
    }

    /// A bucket's one swap is made again.
    private static var besideOther: Operation {
        Operation(
            name: "acquire of a bucket at once that meets another", kind: .system, isAtOnce: true,
            change: single,
            other: (1, single, { other in try other.charge(\.single, tokens: 0) }),
            act: { _, member, _ in
                World.finish(try member.acquireAtOnce(\.single, tokens: 0))
            })
    }

    /// The slot's key goes before the slot is taken: its claim is turned down behind the swap.
    private static var reclaimedMeanwhile: Operation {
        Operation(
            name: "acquire of slots that are reclaimed meanwhile", kind: .system, isAtOnce: true,
            newKeys: -1...2,
            change: few, taken: few,
            other: (
                1, [:],
                { other in
                    guard other.limiter.reclaim() > 0 else { throw Fault("nothing reclaimed") }
                }
            ), leavesSlots: true,
            act: { _, member, _ in
                let before = member.rollbacks
                World.finish(try member.acquire(\.few, tokens: 5))
                guard member.rollbacks - before == 1 else {
                    throw Fault("\(member.rollbacks - before) decisions gave back")
                }
            })
    }

    /// The general way finds the last limit spent and gives back the others.
    private static var refusedAtLast: Operation {
        Operation(
            name: "acquire refused at its last limit", taken: few,
            other: (
                4, ["few tokens": 50],
                { other in
                    try other.acquire(\.few, requests: 0, tokens: 50).complete()
                }
            ), isSeenBetween: true,
            act: { _, member, _ in
                guard case .rejected = try member.few.tryAcquire(Cost(inputTokens: 5)) else {
                    throw Fault("admitted beyond a limit")
                }
            })
    }
}
