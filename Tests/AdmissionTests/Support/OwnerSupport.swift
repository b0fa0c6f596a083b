import Foundation

@testable import Admission

/// A segment with one concurrency key, and a system whose processes a test starts and ends.
final class OwnerBench: Sendable {
    let segment: Segment
    let offset: Int
    let processes = ForkableLock<[Int32: ProcessState]>([:], rank: .names)
    static let second: Int64 = 1_000_000_000
    static let start: Int64 = 1_000 * second

    init(slots: Int = 4) throws {
        segment = try Segment(anonymousWithKeyCapacity: 64)
        let kind = LimitKind.concurrency(
            limit: Int64(slots), leaseNanoseconds: 30 * Self.second,
            maxHoldNanoseconds: 900 * Self.second)
        let limit = Limit(name: "l", count: .concurrency, kind: kind)
        let definition = try segment.definition(
            identity: LimitKey.definition(policy: "p", limit: limit), kind: kind.code,
            parameters: Definition.Parameters(kind, loadedAt: 0))
        offset = try Array("k".utf8).withUnsafeBytes { [segment] bytes in
            try segment.findOrCreateKey(definition, text: bytes) { .concurrency(slots: slots) }
        }.offset
    }

    var array: LeaseArray { LeaseArray(segment, at: offset) }

    /// Sees the processes of the bench; its own never ends.
    var system: SystemFacts {
        var system = SystemFacts()
        system.standIn.bootIdentity = 7
        system.standIn.pidNamespace = 70
        system.standIn.process = { [processes] pid in
            processes.withLock { $0[pid] } ?? .gone
        }
        return system
    }

    var observer: ProcessFacts { facts(pid: 1, startTime: 1) }

    func facts(
        pid: Int32, startTime: UInt64 = 100, namespace: UInt64 = 70, boot: UInt64 = 7
    ) -> ProcessFacts {
        var facts = ProcessFacts(system)
        facts.pid = pid
        facts.startTime = startTime
        facts.pidNamespace = namespace
        facts.boot = boot
        return facts
    }

    /// Starts a process that takes an entry.
    func owner(_ facts: ProcessFacts, now: Int64 = OwnerBench.start) -> LeaseOwner? {
        processes.withLock { $0[facts.pid] = .running(startTime: facts.startTime) }
        return segment.takeOwner(facts, now: now)
    }

    func end(_ pid: Int32) { processes.withLock { $0[pid] = nil } }

    func claim(
        _ owner: LeaseOwner, limit: Int64 = 4, lease: Int64 = 30 * OwnerBench.second,
        now: Int64 = OwnerBench.start
    ) throws -> LeaseArray.ClaimOutcome {
        try array.claimAny(
            limit: limit, owner: owner,
            expiry: LeaseSlots.expiry(now: now, leaseNanoseconds: lease), now: now, in: segment)
    }

    @discardableResult
    func look(now: Int64 = OwnerBench.start, claimed: Bool = false) -> OwnerLook {
        segment.lookAtOwners(by: observer, system, now: now, mayTakeClaimed: claimed)
    }

    func live(now: Int64 = OwnerBench.start) -> Int64 { array.liveCount(now: now) }
}

extension Segment {
    /// Puts a live owner into an entry, whatever is there.
    func give(_ process: ProcessFacts, entry number: Int, now: Int64 = 0) {
        let facts = [process.startTime, process.pidNamespace, process.boot]
        for (index, fact) in facts.enumerated() { ownerWord(number, (index + 1) * 8).store(fact) }
        ownerWord(number, 32).store(UInt64(bitPattern: now))
        ownerWord(number).store(OwnerEntry.word(incarnation: 0, .live, pid: process.pid))
        word(Header.ownerHint).raise(UInt64(number))
    }
}

extension LeaseArray.ClaimOutcome {
    var claim: LeaseArray.Claim? {
        if case .claimed(let claim) = self { return claim }
        return nil
    }

    var isFull: Bool {
        if case .full = self { return true }
        return false
    }

    var isDisowned: Bool {
        if case .disowned = self { return true }
        return false
    }
}
