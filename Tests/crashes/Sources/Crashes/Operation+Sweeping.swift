@testable import Admission

/// What gives back the slots of a dead process, in a process that is killed at it.
extension Operation {
    static var sweeping: [Operation] {
        [
            sweeping("a claim", .manual, takesLast: true, change: call) { _, member in
                World.finish(try member.acquire(tokens: 5))
            },
            sweeping("a claim", .system, takesLast: true, change: call) { _, member in
                member.looksAtEachClaim()
                World.finish(try member.acquire(tokens: 5))
            },
            sweeping("a beat", .manual) { _, member in
                try member.limiter.advance(nanoseconds: 0)
            },
            sweeping("a beat", .system) { _, member in
                // What the heartbeat's thread does, when it is time.
                let core = member.limiter.core
                let now = core.store.clock.now()
                core.beat(now: now &+ LimiterCore.longestBeat, renews: true)
            },
            sweeping("reclaim", .manual) { _, member in _ = member.limiter.reclaim() },
            sweeping("reclaim", .system) { _, member in _ = member.limiter.reclaim() },
            sweeping("open", .manual) { world, _ in World.finish(try world.open()) },
        ]
    }

    /// - Parameter takesLast: the one that sweeps holds the last free slot itself.
    private static func sweeping(
        _ name: String, _ kind: World.Kind, takesLast: Bool = false, change: [String: Int64] = [:],
        _ act: @escaping (World, Member) throws -> Void
    ) -> Operation {
        Operation(
            name: name + (kind == .system ? " by the system's clock" : "")
                + " that sweeps a dead owner", kind: kind, newKeys: 0...1,
            held: times(takesLast ? 3 : 2, call), change: change, isSeenBetween: true,
            dead: { world in
                let member = try Member(world)
                for _ in 0..<2 { World.finish(try member.acquire(tokens: 5)) }
                try member.holdSlots(2, \.few)
            },
            prepare: { _, member in
                if takesLast { World.finish(try member.acquire(tokens: 5)) }
                return Prepared()
            },
            act: { world, member, _ in try act(world, member) })
    }
}

/// Concurrency limits with more slots than the first block of a key holds: 254 in the first, 2 in
/// the second, and 6 in the third once the limit is wider.
extension Operation {
    static var wide: [Operation] {
        let wider = Document.wider
        return [
            Operation(
                name: "claim that appends a block", kind: .wide, change: call,
                prepare: { _, member in
                    try member.holdSlots(253)
                    return Prepared()
                },
                act: { _, member, _ in World.finish(try member.acquire(tokens: 5)) }),
            Operation(
                name: "claim that appends a block behind another", kind: .wide, change: call,
                slots: wider.slots,
                prepare: { _, member in
                    try member.limiter.reload(policyJSON: wider.json)
                    try member.holdSlots(255)
                    return Prepared()
                },
                act: { _, member, _ in World.finish(try member.acquire(tokens: 5)) }),
            Operation(
                name: "reclaim that sweeps a dead owner's blocks", kind: .wide, newKeys: 0...1,
                slots: wider.slots, isSeenBetween: true,
                dead: { world in
                    let member = try Member(world, wider)
                    try fill(member, of: wider, keeping: [0, 100, 253, 254, 256, 260])
                },
                act: { _, member, _ in _ = member.limiter.reclaim() }),
            Operation(
                name: "reclaim of a key with blocks", kind: .wide, newKeys: 0...1,
                leavesSlots: true, slots: wider.slots,
                prepare: { _, member in
                    try member.limiter.reload(policyJSON: wider.json)
                    try fill(member, of: wider, keeping: [])
                    return Prepared()
                },
                act: { _, member, _ in
                    guard member.limiter.reclaim() >= 1 else { throw Fault("nothing reclaimed") }
                }),
        ]
    }

    /// Takes every free slot, so that all blocks are there, and keeps some of them, in order.
    private static func fill(
        _ member: Member, of document: Document, keeping kept: Set<Int>
    ) throws {
        var others: [PermitBox] = []
        var number = 0
        while case .admitted(let permit) = try member.call.tryAcquire(Cost(requests: 0)) {
            if kept.contains(number) {
                World.finish(permit)
            } else {
                others.append(PermitBox(permit))
            }
            number += 1
        }
        guard number >= document.slots - 1 else { throw Fault("only \(number) slots") }
    }
}
