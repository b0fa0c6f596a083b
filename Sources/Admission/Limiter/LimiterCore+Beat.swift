import Synchronization

/// What has to be done now and then while a limiter is open: twice a second, by the heartbeat's
/// threads; with `heartbeat` manual by calls that are not decisions; on a manual clock by those and
/// `advance`.
extension LimiterCore {
    /// The longest time between two beats.
    static let longestBeat: Int64 = 500_000_000

    /// One round in one thread, but for the look at the policy file, which comes after it.
    ///
    /// - Parameters:
    ///   - now: steady nanoseconds.
    ///   - renews: also renew the leases of open permits.
    func beat(now: Int64, renews: Bool) {
        if renews { renewAll(now: now) }
        doChores(now: now)
    }

    /// Renews the leases of all open permits.
    func renewAll(now: Int64) {
        // First: of a file that was cut, what follows would touch pages that are gone.
        guard checkFile() else { return }
        renewAll(now: now, until: now)
    }

    /// What may take long, where somebody died: O(keys).
    func doChores(now: Int64) {
        guard checkFile() else { return }
        keepOwner(now: now)
        // Half a beat: of many processes one looks, and each death is found within a beat. Time that
        // stands still would let nobody look.
        let interval = manual == nil ? Self.longestBeat / 2 : 0
        store.segment.reclaimDead(now: now, ifUnseenFor: interval)
        reportDeaths()
        noticeLoads()
        beatRemotely()
        store.stampTimes()
    }

    /// Keeps the time between two beats: min(500 ms, a third of the shortest lease).
    func beatNanoseconds() -> Int64 {
        let lease = min(shortestLease() ?? Int64.max, shortestPlanned.load(ordering: .relaxed))
        return min(Self.longestBeat, lease / 3)
    }

    /// The same by a caller that is not in a hurry, where no thread does it; nothing is renewed. At
    /// most twice a second, on a manual clock each time.
    func beatIfDue() {
        guard options.heartbeat == .manual || manual != nil, !isClosed,
            // A manual clock lies in the file.
            manual == nil || checkFile()
        else { return }
        let now = store.clock.now()
        if manual == nil {
            // Relaxed: which of two callers does it matters to nobody.
            let last = beatenAt.load(ordering: .relaxed)
            guard now &- last >= Self.longestBeat,
                beatenAt.compareExchange(
                    expected: last, desired: now, ordering: .relaxed
                ).exchanged
            else { return }
        }
        beatWithoutThread(now: now)
    }

    /// One round in a caller's thread, the look at the policy file included.
    func beatWithoutThread(now: Int64) {
        beat(now: now, renews: false)
        pollPolicy(waits: true)
    }

    /// Frees what dead processes held, then removes idle keys and returns how many.
    func reclaim() -> Int {
        beatIfDue()
        guard checkFile() else { return 0 }
        _ = store.reclaimDead(now: store.clock.now())
        return store.reclaim()
    }

    /// Whether the heartbeat's thread runs from the opening on, not only from the first lease.
    var beatsFromOpening: Bool {
        store.mode == .file || remote != nil || policyFile.withLock { $0 != nil }
    }

    /// Sees whether the store's path still names its file, whole: of one that was cut, pages are gone,
    /// and looking there would end the process. Memory has none. One system call.
    func checkFile() -> Bool {
        if store.segment.checkFile() { return true }
        noteReplaced()
        return false
    }

    /// - Throws: `storeReplaced` where `checkFile` says no.
    func requireFile() throws(LimiterError) {
        guard !checkFile() else { return }
        throw LimiterError(StoreError.replaced(path: store.segment.path ?? ""))
    }

    /// Steady nanoseconds, and wall minus steady; 0 where a manual clock is gone with its file.
    func times() -> (now: Int64, wallOffset: Int64) {
        if manual != nil, store.segment.isGone.load(ordering: .relaxed) { return (0, 0) }
        return (store.clock.now(), store.clock.wallOffset())
    }

    private func noteReplaced() {
        let isNew = state.withLock { state in
            defer { state.isReplacedReported = true }
            return !state.isReplacedReported
        }
        guard isNew else { return }
        hot.stopPlans()
        report(
            .storeReplaced, "\(LimiterError(StoreError.replaced(path: store.segment.path ?? "")))")
    }

    /// Tells once that nothing renews the leases; again where something did in between.
    func reportHeartbeat() {
        let isRefused = Heartbeat.shared.isRefused(self)
        let isNew = state.withLock { state in
            defer { state.isHeartbeatRefused = isRefused }
            return isRefused && !state.isHeartbeatRefused
        }
        guard isNew else { return }
        report(
            .heartbeatFailed,
            "the system refuses a thread to renew leases: they run out, and a watched policy is not "
                + "looked at; tried again with each lease and once a second")
    }
}
