/// Reload, time and the end.
extension LimiterCore {
    func reload(_ document: PolicyDocument) throws(LimiterError) {
        try reloading.withLock { (_) throws(LimiterError) in try reloadLocked(document) }
    }

    private func reloadLocked(_ document: PolicyDocument) throws(LimiterError) {
        try checkOpen()
        let hash = state.withLock { $0.loaded.table.document.hash }
        do throws(StoreError) {
            // Under the store's own lock the parameters change and the version is raised; gates
            // that resolve in between meet the old document and are stale at once.
            let table = PolicyTable(document)
            let loaded = Loaded(table: table, limits: try store.load(table.scopes))
            state.withLock { state in
                state.loaded = loaded
                state.loads += 1
            }
            store.segment.loadVersion.increment()
            // Leases may be shorter now: the beat follows.
            let identity = hot.pointee.heartbeatIdentity.load()
            if identity != 0 { startHeartbeat(identity) }
        } catch {
            let error = LimiterError(error)
            report(.reloadRefused, "\(error)")
            throw error
        }
        report(
            .loaded, "document \(Self.hexadecimal(document.hash)) after \(Self.hexadecimal(hash))")
    }

    /// 16 digits.
    static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    func advance(_ nanoseconds: Int64) throws(LimiterError) {
        try checkOpen()
        guard let manual else { throw Self.notManual("advance") }
        guard nanoseconds >= 0 else {
            throw LimiterError(
                .clockBackwards, "advance by \(nanoseconds) ns; accepted: 0 or more")
        }
        let now = Int64(bitPattern: manual.steady.load())
        guard nanoseconds < 1 << 62, now &+ nanoseconds < 1 << 62 else {
            throw LimiterError(
                .invalidArgument, "advance by \(nanoseconds) ns leaves the clock's 146 years")
        }
        if options.heartbeat == .automatic { renewAll(now: now, until: now + nanoseconds) }
        _ = manual.steady.fetchAdd(UInt64(nanoseconds))
        beat(now: now + nanoseconds, renews: false)
    }

    func setTime(_ unixNanoseconds: Int64) throws(LimiterError) {
        try checkOpen()
        guard let manual else { throw Self.notManual("set_time") }
        let now = Int64(bitPattern: manual.steady.load())
        manual.offset.store(UInt64(bitPattern: unixNanoseconds &- now))
    }

    private static func notManual(_ verb: String) -> LimiterError {
        LimiterError(.notManualClock, "\(verb) on a limiter that runs on the system's clock")
    }

    func close() {
        guard hot.pointee.isClosed.swap(0, 1) else { return }
        report(.closed, "closed")
        // Gates meet another version and find the limiter closed.
        hot.stopPlans()
    }
}
