import Synchronization

/// Who this process is to the leases of the store.
///
/// Each process takes an entry of its own: at the start, in a forked child with its first decision,
/// and anew where it was taken for dead and goes on. Leases that it took before are then not its own
/// any more, as if they had run out.
extension LimiterCore {
    /// Takes an entry for this process. Where the table is full it stays nobody: its claims are turned
    /// down and its gates ask `requireOwner`, which says so; limits without concurrency go on.
    @inline(never)
    func adopt(_ identity: UInt64) {
        do throws(StoreError) {
            try takeOwner(identity)
        } catch {
            // Told by `requireOwner` to whoever wants a slot.
        }
    }

    /// What a plan with concurrency asks: an entry that is this process' own.
    func requireOwner() throws(StoreError) {
        let identity = ProcessIdentity.current()
        guard hot.pointee.ownerIdentity.load() != identity || !isOwnerInForce else { return }
        try takeOwner(identity)
    }

    private var isOwnerInForce: Bool {
        let owner = LeaseOwner(word: hot.pointee.owner.load())
        return owner.owns(store.segment.ownerWord(owner.number).load())
    }

    private func takeOwner(_ identity: UInt64) throws(StoreError) {
        try adoption.withLock { (_) throws(StoreError) in
            // Another thread may have come first.
            guard hot.pointee.ownerIdentity.load() != identity || !isOwnerInForce else { return }
            do throws(StoreError) {
                let owner = try store.segment.takeOwner(now: store.clock.now())
                hot.pointee.owner.store(owner.word)
                hot.pointee.ownerIdentity.store(identity)
            } catch {
                hot.pointee.owner.store(LeaseOwner.none.word)
                hot.pointee.ownerIdentity.store(identity)
                throw error
            }
        }
    }

    /// Gives the entry back: no permit is open any more.
    func leaveOwner() {
        if store.segment.isGone.load(ordering: .relaxed) { return }
        guard hot.pointee.ownerIdentity.load() == ProcessIdentity.current() else { return }
        store.segment.leave(LeaseOwner(word: hot.pointee.owner.load()))
    }

    /// Notes a sign of life; takes another entry where this one was given away. A child that has
    /// taken none yet needs none.
    func keepOwner(now: Int64) {
        let identity = ProcessIdentity.current()
        guard hot.pointee.ownerIdentity.load() == identity else { return }
        let owner = LeaseOwner(word: hot.pointee.owner.load())
        if !store.segment.noteLife(of: owner, now: now) { adopt(identity) }
    }

    /// Notes beside this process's entry whether it goes on with another document than the one in its
    /// policy file, for who inspects the store.
    func notePolicy(isBroken: Bool) {
        guard hot.pointee.ownerIdentity.load() == ProcessIdentity.current() else { return }
        let owner = LeaseOwner(word: hot.pointee.owner.load())
        store.segment.notePolicy(of: owner, isBroken: isBroken)
    }

    /// Tells of the deaths that this process found.
    func reportDeaths() {
        for death in store.segment.watch.takeDeaths() {
            report(
                .ownerDied,
                "process \(death.pid) (owner \(death.number)) died; "
                    + "\(death.leases) \(death.leases == 1 ? "lease" : "leases") came back"
            )
        }
    }
}
