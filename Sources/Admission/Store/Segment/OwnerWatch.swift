import Synchronization

/// What one process keeps of a segment's owners: who it is itself, what the system says, and which
/// deaths it found and has not told yet.
///
/// Lock: its own, taken last and never while another thing of the segment is waited for.
package final class OwnerWatch: Sendable {
    private struct Memory {
        var system = SystemFacts()
        /// Which process `facts` is of: `ProcessIdentity`.
        var identity: UInt64 = 0
        var facts: ProcessFacts?
        var deaths: [OwnerDeath] = []
    }

    private let memory = ForkableLock(Memory(), rank: .owners)
    /// Steady instant of this process' last look, in whose course strangers were met.
    private let lookedAt = Atomic<Int64>(.min / 2)

    /// A claim that finds no free slot looks again no sooner, over all processes; 0 on a manual clock,
    /// which may stand still.
    private let claimInterval = Atomic<Int64>(100_000_000)

    private static let deathsBound = 256

    init() {}

    /// What the system says; a test puts another in its place before leases are taken.
    package var system: SystemFacts {
        get { memory.withLock { $0.system } }
        set {
            memory.withLock { memory in
                memory.system = newValue
                memory.identity = 0
            }
        }
    }

    /// This process as others see it. Read once a process: of a child anew.
    func process() -> (ProcessFacts, SystemFacts) {
        let identity = ProcessIdentity.current()
        let (known, system) = memory.withLock { memory in
            (memory.identity == identity ? memory.facts : nil, memory.system)
        }
        if let known { return (known, system) }
        let facts = ProcessFacts(system)
        memory.withLock { memory in
            memory.identity = identity
            memory.facts = facts
        }
        return (facts, system)
    }

    /// The deaths that this process found since it was last asked.
    package func takeDeaths() -> [OwnerDeath] {
        memory.withLock { memory in
            let deaths = memory.deaths
            memory.deaths = []
            return deaths
        }
    }

    fileprivate func note(_ deaths: [OwnerDeath]) {
        guard !deaths.isEmpty else { return }
        memory.withLock { memory in
            memory.deaths += deaths.prefix(max(0, Self.deathsBound - memory.deaths.count))
        }
    }

    /// Whether this process may look, as far as its own last look goes.
    fileprivate func isDue(_ interval: Int64, now: Int64) -> Bool {
        let last = lookedAt.load(ordering: .relaxed)
        return now &- last >= interval || last > now &+ interval
    }

    /// The clock is one that stands still until it is moved.
    package func looksAtEachClaim() { claimInterval.store(0, ordering: .relaxed) }

    fileprivate var claimNanoseconds: Int64 { claimInterval.load(ordering: .relaxed) }

    fileprivate func noteLook(now: Int64) { lookedAt.store(now, ordering: .relaxed) }
}

/// Looking, now or when it is time.
extension Segment {
    /// Takes an entry for this process.
    ///
    /// - Throws: `StoreError.ownerTableFull` where every entry is a live process', or one that may
    ///   be.
    package func takeOwner(now: Int64) throws(StoreError) -> LeaseOwner {
        let (process, system) = watch.process()
        if let owner = takeOwner(process, now: now) { return owner }
        let look = lookAtOwners(by: process, system, now: now, mayTakeClaimed: true)
        watch.note(look.deaths)
        guard look.freedEntries > 0, let owner = takeOwner(process, now: now) else {
            throw .ownerTableFull(owners: Self.ownerCapacity)
        }
        return owner
    }

    /// Looks at every owner now and frees what the dead ones held.
    ///
    /// - Returns: the number of leases freed.
    @discardableResult
    package func reclaimDead(now: Int64) -> Int {
        word(Header.ownersSeenAt).store(UInt64(bitPattern: now))
        return look(now: now).freedLeases
    }

    private func look(now: Int64) -> OwnerLook {
        let (process, system) = watch.process()
        // Most often nobody else is there: then nothing is asked of the system, nor allocated.
        if hasNoOwner(but: process) {
            watch.noteLook(now: now)
            return OwnerLook()
        }
        let look = lookAtOwners(by: process, system, now: now)
        watch.note(look.deaths)
        watch.noteLook(now: now)
        return look
    }

    /// The same where nobody has looked for a while: one caller of all processes does it, the others
    /// go on. Where it met owners that it cannot judge, others that can are not held up.
    ///
    /// - Returns: the number of leases freed.
    @discardableResult
    func reclaimDead(now: Int64, ifUnseenFor interval: Int64) -> Int {
        let stamp = word(Header.ownersSeenAt)
        let seen = stamp.load()
        let last = Int64(bitPattern: seen)
        // Ahead of now by more than processes disagree: nobody's stamp.
        guard now &- last >= interval || last > now &+ 1_000_000_000,
            watch.isDue(interval, now: now), stamp.swap(seen, UInt64(bitPattern: now))
        else { return 0 }
        let look = look(now: now)
        if look.metStrangers { _ = stamp.swap(UInt64(bitPattern: now), seen) }
        return look.freedLeases
    }

    /// What a claim does that found no free slot: the dead may hold some.
    @inline(never)
    func reclaimDeadForClaim(now: Int64) {
        _ = reclaimDead(now: now, ifUnseenFor: watch.claimNanoseconds)
    }
}

extension SegmentStore {
    /// Frees the leases of dead processes. O(owners), and O(keys) where one is dead.
    ///
    /// - Returns: the number of leases freed.
    package func reclaimDead(now: Int64) -> Int { segment.reclaimDead(now: now) }
}
