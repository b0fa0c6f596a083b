/// Reload, time and the end.
extension LimiterCore {
    /// What a caller asks for. A document that the store refuses is told.
    func reload(_ document: PolicyDocument) throws(LimiterError) {
        do throws(LimiterError) {
            try putInForce(document)
        } catch {
            // These have events of their own.
            if error.code != .closed, error.code != .storeReplaced {
                report(.reloadRefused, "\(error)")
            }
            throw error
        }
    }

    /// Puts another document in force; one that is refused is for the caller to tell.
    func putInForce(_ document: PolicyDocument) throws(LimiterError) {
        try reloading.withLock { (_) throws(LimiterError) in try putInForceLocked(document) }
    }

    private func putInForceLocked(_ document: PolicyDocument) throws(LimiterError) {
        try checkOpen()
        // Not by a beat: its chores may be what reloads.
        if !store.segment.checkFile() || store.segment.isReplaced {
            throw LimiterError(StoreError.replaced(path: store.segment.path ?? ""))
        }
        let hash = state.withLock { $0.loaded.table.document.hash }
        do throws(StoreError) {
            // The store raises the version when the parameters change; gates that resolve between
            // that and the new document are made stale here.
            let table = PolicyTable(document)
            try loadRemotely(document, table)
            let limits = try store.load(table.scopes, hash: document.hash)
            state.withLock { state in
                state.loaded = Loaded(table: table, limits: limits)
                state.loadsSeen = LoadsSeen(limits)
                state.loads += 1
            }
            store.segment.loadVersion.increment()
            // Leases may be shorter now: the beat follows.
            Heartbeat.shared.quicken(self)
        } catch {
            throw LimiterError(error)
        }
        report(
            .loaded, "document \(document.hash.hexadecimal) after \(hash.hexadecimal)")
    }

    /// Tells the others on the store that opening this limiter put another document in force.
    func tellOfOpening() {
        let limits = state.withLock { $0.loaded.limits }
        guard limits.hashBefore != 0, limits.isChanged || limits.hashBefore != limits.hash else {
            return
        }
        let wall = store.clock.now() &+ store.clock.wallOffset()
        let sequence = store.segment.noteEvent(
            kind: Event.Kind.loaded.code, wallNanoseconds: wall,
            text: "document \(limits.hash.hexadecimal) after "
                + limits.hashBefore.hexadecimal)
        state.withLock { $0.events.noteOwn(sequence) }
    }

    /// Looks what other processes on the store have loaded, reports it once, and finishes what one
    /// of them left behind. O(limits); with each beat, the first plan behind a load, and for events.
    func noticeLoads() {
        let (found, own) = state.withLock { state in
            store.finishLoads(&state.loadsSeen, state.loaded.limits)
            return (store.noticeLoad(&state.loadsSeen), state.loaded.table.document.hash)
        }
        guard let found else { return }
        report(
            .loadedElsewhere,
            "document \(found.hexadecimal) was loaded elsewhere and is in force; "
                + "this limiter's is \(own.hexadecimal)")
    }

    func advance(_ nanoseconds: Int64) throws(LimiterError) {
        try checkOpen()
        guard let manual else { throw Self.notManual("advance") }
        try requireFile()
        guard nanoseconds >= 0 else {
            throw LimiterError(
                .clockBackwards, "advance by \(nanoseconds) ns; accepted: 0 or more")
        }
        while true {
            let seen = manual.steady.load()
            let now = Int64(bitPattern: seen)
            let (end, overflows) = now.addingReportingOverflow(nanoseconds)
            guard now >= 0, !overflows, end < 1 << 62 else {
                throw LimiterError(
                    .invalidArgument,
                    "advance by \(nanoseconds) ns from \(now) leaves the clock's 146 years")
            }
            if options.heartbeat == .automatic { renewAll(now: now, until: end) }
            // Another process may have moved the clock meanwhile: leases are then renewed from there.
            guard manual.steady.swap(seen, UInt64(end)) else { continue }
            if let remote {
                do throws(StoreError) {
                    try remote.advance(nanoseconds)
                } catch {
                    throw LimiterError(error)
                }
            }
            return beatWithoutThread(now: end)
        }
    }

    func setTime(_ unixNanoseconds: Int64) throws(LimiterError) {
        try checkOpen()
        guard let manual else { throw Self.notManual("set_time") }
        try requireFile()
        let now = Int64(bitPattern: manual.steady.load())
        if let remote {
            do throws(StoreError) {
                try remote.setTime(unixNanoseconds)
            } catch {
                throw LimiterError(error)
            }
        }
        manual.offset.store(UInt64(bitPattern: unixNanoseconds &- now))
    }

    private static func notManual(_ verb: String) -> LimiterError {
        LimiterError(.notManualClock, "\(verb) on a limiter that runs on the system's clock")
    }

    func close() {
        guard hot.pointee.isClosed.swap(0, 1) else { return }
        report(.closed, "closed")
        if !store.segment.isReplaced { notePolicy(isBroken: false) }
        // Gates meet another version and find the limiter closed.
        hot.stopPlans()
        remote?.close()
    }
}
