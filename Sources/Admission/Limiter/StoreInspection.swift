/// Looking into a store from outside: no policy document, no limiter.
extension StoreInspection {
    /// Reads a store that others may be using, changing nothing.
    ///
    /// - Parameters:
    ///   - store: its URL.
    ///   - maximumKeys: keys, and leases, that are listed; the others are counted.
    /// - Throws: `LimiterError`: `unsupportedStore`, `storeUnavailable` and its neighbours.
    /// - Complexity: O(keys); allocates.
    public static func read(
        store: String, maximumKeys: Int = 10_000
    ) throws(LimiterError) -> StoreInspection {
        let opened = try openSegment(url: store)
        return StoreInspection(opened.segment, clock: opened.clock, maximumKeys: maximumKeys)
    }
}

/// Looking for what no writer leaves in a store.
public enum StoreCheck {
    /// Checks a store that others may be using, changing nothing.
    ///
    /// - Throws: as `StoreInspection.read`.
    /// - Complexity: O(bytes used); allocates.
    public static func run(store: String) throws(LimiterError) -> SegmentCheckReport {
        try openSegment(url: store).segment.check()
    }
}

/// Giving back everything that was charged to a store.
public enum StoreReset {
    /// Resets a store: buckets and windows are untouched again, leases of dead owners are free.
    ///
    /// - Parameter force: also where live processes use the store, which go on deciding; the leases
    ///   of their open permits stay.
    /// - Throws: `LimiterError`: `storeInUse`, and what `StoreInspection.read` throws.
    /// - Complexity: O(keys x cells).
    public static func run(
        store: String, force: Bool = false
    ) throws(LimiterError) -> SegmentResetReport {
        let opened = try openSegment(url: store)
        return try run(opened.segment, clock: opened.clock, name: store, force: force)
    }

    /// The same on a segment that is open.
    static func run(
        _ segment: Segment, clock: StoreClock, name: String, force: Bool
    ) throws(LimiterError) -> SegmentResetReport {
        let live = segment.owners().filter(\.keepsLeases)
        guard force || live.isEmpty else {
            throw LimiterError(
                .storeInUse,
                "\(name) is used by \(live.count) processes; force a reset, or end them")
        }
        return segment.reset(clock: clock, keepingLeasesOfLiveOwners: true)
    }
}

/// Opens the segment that a URL names, which must exist, with its own clock. What is in memory belongs
/// to its process.
func openSegment(url: String) throws(LimiterError) -> (segment: Segment, clock: StoreClock) {
    do throws(StoreError) {
        guard case .file(let path, _) = try StoreURL(url) else {
            throw .invalidURL(url: url, reason: "only a store in a file is seen from outside")
        }
        let segment: Segment
        do throws(StoreError) {
            segment = try Segment.open(SegmentFileRequest(path: path, mustExist: true))
        } catch {
            guard case .clockMismatch(_, isManual: true) = error else { throw error }
            segment = try Segment.open(
                SegmentFileRequest(path: path, clockKind: .manual, mustExist: true))
        }
        guard segment.clockKind == .manual else {
            return (segment, StoreClock(steadyOffset: segment.steadyOffset))
        }
        let (steady, wallOffset) = segment.manualClock
        return (segment, StoreClock(steady: steady, wallOffset: wallOffset))
    } catch {
        throw LimiterError(error)
    }
}
