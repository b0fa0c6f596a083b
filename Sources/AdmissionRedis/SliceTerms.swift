import Admission

/// What slices change about a limit on the server: how long a unit may be spent after it was charged.
///
/// A unit of a slice is charged at an instant S of the server and spent by a decision at some instant
/// in [S, S + t], t being the lifetime. What the shared counter bounds are charges; so that decisions
/// are bounded as the document says,
/// - a rolling limit's cells are made for window + guard + t: decisions in [a, a + window + guard) were
///   charged in (a - t, a + window + guard), which is no longer than what the counter bounds;
/// - a bucket's shared burst is smaller by b = ceil(rate x t): decisions in a span s were charged in
///   a span s + t, hence at most burst - b + rate (s + t), which is at most burst + rate x s;
/// - a calendar limit's slice ends at its window's end, so that decisions are in the window of their
///   charge.
/// A bucket that b would leave without a unit, and concurrency, have no slices: such a bucket stands as
/// the document has it. What is changed has an identity of its own on the server, so that processes
/// without slices, or with others, do not share its counter: switching slices on or off begins it anew.
struct SliceTerms: Sendable, Hashable {
    /// How long after its charge a unit may be spent; 0: there are no slices.
    let lifetimeNanoseconds: Int64

    init(_ settings: RemoteSettings) {
        lifetimeNanoseconds = settings.usesSlices ? settings.sliceTTLNanoseconds : 0
    }

    var areSlicesOn: Bool { lifetimeNanoseconds > 0 }

    /// Whether processes may take parts of a document's limit.
    func isSliceable(_ kind: LimitKind) -> Bool {
        guard areSlicesOn else { return false }
        switch kind {
        case .concurrency: return false
        case .tokenBucket(let units, let period, let burst):
            return burst > reserve(units: units, periodNanoseconds: period)
        case .rollingWindow, .calendarWindow: return true
        }
    }

    /// A document's limit as the server keeps it.
    func shared(_ kind: LimitKind) -> LimitKind {
        guard isSliceable(kind) else { return kind }
        switch kind {
        case .rollingWindow(let limit, let window, let guarding):
            return .rollingWindow(
                limit: limit, windowNanoseconds: window,
                guardNanoseconds: guarding.addingSaturated(lifetimeNanoseconds))
        case .tokenBucket(let units, let period, let burst):
            return .tokenBucket(
                units: units, periodNanoseconds: period,
                burst: burst - reserve(units: units, periodNanoseconds: period))
        case .calendarWindow, .concurrency: return kind
        }
    }

    /// The limit that a document would have to say for the server to keep `stored`.
    ///
    /// - Parameter document: the limit of the same identity in this process's document.
    func whole(_ stored: LimitKind, like document: LimitKind) -> LimitKind {
        guard isSliceable(document) else { return stored }
        switch (stored, document) {
        case (.rollingWindow(let limit, _, _), .rollingWindow(_, let window, let guarding)):
            return .rollingWindow(
                limit: limit, windowNanoseconds: window, guardNanoseconds: guarding)
        case (.tokenBucket(let units, let period, let burst), _):
            let reserve = reserve(units: units, periodNanoseconds: period)
            return .tokenBucket(
                units: units, periodNanoseconds: period, burst: burst.addingSaturated(reserve))
        default: return stored
        }
    }

    /// What tells a limit from others, without the values of its key.
    func identity(policy: String, _ limit: Limit, keyNames: [String]) -> [UInt8] {
        var shared = limit
        shared.kind = self.shared(limit.kind)
        var bytes = LimitKey.definition(policy: policy, limit: shared)
        for name in keyNames { LimitKey.append(name.utf8, to: &bytes) }
        // A rolling limit's guard tells it already.
        if case .tokenBucket = limit.kind, isSliceable(limit.kind) {
            LimitKey.append("slices \(lifetimeNanoseconds)".utf8, to: &bytes)
        }
        return bytes
    }

    /// Units that a bucket refills in a slice's lifetime, rounded up.
    private func reserve(units: Int64, periodNanoseconds: Int64) -> Int64 {
        let product =
            UInt128(UInt64(max(0, units))) * UInt128(UInt64(max(0, lifetimeNanoseconds)))
        let period = UInt128(UInt64(max(1, periodNanoseconds)))
        return Int64(clamping: (product + period - 1) / period)
    }
}
