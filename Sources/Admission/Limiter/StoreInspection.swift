/// Looking into a store from outside: no policy document, no limiter.
extension StoreInspection {
    /// Reads a store that others may be using, changing nothing. The right to read its file is all
    /// that it takes.
    ///
    /// - Parameters:
    ///   - store: its URL.
    ///   - maximumKeys: keys, and leases, that are listed, of the keys those nearest their limit; the
    ///     others are counted.
    /// - Throws: `LimiterError`: `unsupportedStore` for what is not in a file, `storeUnavailable` for
    ///   a file that is missing, `storeForeign`, `storeVersion`, `storeCorrupted`,
    ///   `storeNotPermitted`, `networkFileSystem`, `otherTimeNamespace`.
    /// - Complexity: O(keys); allocates.
    public static func read(
        store: String, maximumKeys: Int = 10_000
    ) throws(LimiterError) -> StoreInspection {
        let opened = try openSegment(url: store, isReadOnly: true)
        return StoreInspection(opened.segment, clock: opened.clock, maximumKeys: maximumKeys)
    }
}

/// What processes told each other, and anyone who looks.
extension StoreInspection {
    /// The newest events, oldest first, at most 64: loads and refused ones, broken policy files and
    /// mended ones, deaths, damage.
    /// Their numbers are the store's own.
    public var events: [Event] {
        sharedEvents.compactMap { event in
            Event.Kind(code: event.kind).map { kind in
                Event(
                    sequence: event.sequence, kind: kind,
                    instant: WallInstant(unixNanoseconds: event.wallNanoseconds),
                    processID: event.processID, text: event.text)
            }
        }
    }

    /// The newest event of a document that was refused, while that still holds: of an edit of a policy
    /// file until its process has another one from there in force, of a `reload` until any document was
    /// loaded. Nil where that process has ended, and where 64 newer events hide it: the owners tell of
    /// their policy files nevertheless.
    public var refusedReload: Event? {
        var isLoaded = false
        return events.reversed().first { event in
            if event.kind == .loaded { isLoaded = true }
            let owners = owners.filter { $0.pid == event.processID && $0.isAlive != false }
            switch event.kind {
            case .policyBroken: return owners.contains(where: \.isPolicyBroken)
            case .reloadRefused: return !isLoaded && !owners.isEmpty
            default: return false
            }
        }
    }
}

/// Looking for what no writer leaves in a store.
public enum StoreCheck {
    /// Checks a store that others may be using, changing nothing.
    ///
    /// ```swift
    /// let report = try StoreCheck.run(store: "file:/var/lib/app/quota")
    /// for fault in report.faults { print(fault) }
    /// ```
    ///
    /// - Throws: as `StoreInspection.read`.
    /// - Complexity: O(bytes used); allocates.
    public static func run(store: String) throws(LimiterError) -> SegmentCheckReport {
        try openSegment(url: store, isReadOnly: true).segment.check()
    }
}

/// Giving back everything that was charged to a store.
public enum StoreReset {
    /// Resets a store: buckets and windows are untouched again, leases of dead owners are free.
    ///
    /// ```swift
    /// let report = try StoreReset.run(store: "file:/var/lib/app/quota")
    /// print("\(report.keys) keys, \(report.leasesFreed) leases")
    /// ```
    ///
    /// - Parameters:
    ///   - store: its URL.
    ///   - force: also where live processes use the store, which go on deciding; the leases of their
    ///     open permits stay.
    /// - Throws: `LimiterError`: `storeInUse` with the number of live processes, `storeReplaced`, and
    ///   what `StoreInspection.read` throws.
    /// - Complexity: O(keys x cells).
    public static func run(
        store: String, force: Bool = false
    ) throws(LimiterError) -> SegmentResetReport {
        let opened = try openSegment(url: store, isReadOnly: false)
        return try run(opened.segment, clock: opened.clock, name: store, force: force)
    }

    /// The same on a segment that is open.
    static func run(
        _ segment: Segment, clock: StoreClock, name: String, force: Bool
    ) throws(LimiterError) -> SegmentResetReport {
        // A process that was killed keeps nobody out; what it held comes back.
        let reclaimed = segment.reclaimDead(now: clock.now())
        let live = segment.liveProcesses
        guard force || live == 0 else {
            let processes = live == 1 ? "1 live process" : "\(live) live processes"
            throw LimiterError(
                .storeInUse,
                "\(segment.path ?? name) is used by \(processes); force a reset, or end them")
        }
        var report = segment.reset(clock: clock, keepingLeasesOfLiveOwners: true)
        report.leasesFreed += reclaimed
        report.liveProcesses = live
        return report
    }
}

extension Segment {
    /// Processes that use the segment, or may where nobody here sees into. A process may have several
    /// limiters on it, each with an entry.
    fileprivate var liveProcesses: Int {
        Set(
            owners().filter(\.keepsLeases).map { owner in
                [owner.pidNamespace, UInt64(UInt32(bitPattern: owner.pid)), owner.startTime]
            }
        ).count
    }
}

/// Opens the segment that a URL names, which must exist, with its own clock. What is in memory belongs
/// to its process.
func openSegment(
    url: String, isReadOnly: Bool
) throws(LimiterError) -> (segment: Segment, clock: StoreClock) {
    do throws(StoreError) {
        guard case .file(let path, _) = try StoreURL(url) else {
            throw .invalidURL(url: url, reason: "only a store in a file is seen from outside")
        }
        let segment =
            isReadOnly ? try Segment.openReadOnly(path) : try openSegment(path: path)
        guard segment.clockKind == .manual else {
            return (segment, StoreClock(steadyOffset: segment.steadyOffset))
        }
        let (steady, wallOffset) = segment.manualClock
        return (segment, StoreClock(steady: steady, wallOffset: wallOffset))
    } catch {
        throw LimiterError(error)
    }
}

/// Opens the segment in a file to change it, whatever its clock.
private func openSegment(path: String) throws(StoreError) -> Segment {
    do throws(StoreError) {
        return try Segment.open(SegmentFileRequest(path: path, mustExist: true))
    } catch {
        guard case .clockMismatch(_, isManual: true) = error else { throw error }
        return try Segment.open(
            SegmentFileRequest(path: path, clockKind: .manual, mustExist: true))
    }
}
