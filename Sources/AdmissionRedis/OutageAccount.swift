import Admission

/// One limit as a process keeps it by itself while the server cannot be reached: its share of it.
///
/// Promise: in every window that begins in the outage, the shares of all processes together are at most
/// the limit. What was used before the outage is not known to be counted, but for a calendar window that
/// was seen. The kinds are those of `Algorithms`; counted is what was charged here.
///
/// Instants are nanoseconds of the server's time, as far as it is known. Pure; not shared by threads.
struct OutageAccount: Sendable {
    private enum Kind: Sendable {
        /// Units that were charged in advance, until an instant.
        case once(until: Int64)
        case rolling(RollingWindow)
        case bucket(TokenBucket)
        case calendar(CalendarUnit, Zone, guardNanoseconds: Int64)
        case slots(leaseNanoseconds: Int64)
    }

    /// The most units that this process may use.
    private(set) var share: Int64
    /// The same of windows that begin later.
    private let laterShare: Int64
    private let kind: Kind
    /// Rolling: units of the current cell and those before it, at the epoch's place in the ring;
    /// calendar: of the window; and the same of what the server has not been told.
    private var counts: [Int64] = []
    private var untold: [Int64] = []
    /// Rolling: the current cell's epoch.
    private var epoch: UInt64 = 0
    /// Bucket: its word, and units that the server has not been told.
    private var word: UInt64 = 0
    /// Calendar: the window's two ends, seconds.
    private var window = (start: Int64(0), end: Int64(0))
    /// Concurrency: leases, and when they run out.
    private(set) var leases: [UInt64: Int64] = [:]

    /// A calendar window as the server last told it, us.
    struct SeenWindow: Sendable {
        var start: Int64
        var end: Int64
        var count: Int64
    }

    /// - Parameters:
    ///   - kind: of the document in force.
    ///   - processes: how many share the limit.
    ///   - zone: of a calendar limit.
    init?(
        _ kind: LimitKind, processes: Int64, zone: Zone?, seen: SeenWindow?, now: Int64, wall: Int64
    ) {
        share = kind.capacity / max(1, processes)
        laterShare = share
        switch kind {
        case .rollingWindow(_, let window, let guarding):
            let rolling = RollingWindow(
                limit: share, windowNanoseconds: window, guardNanoseconds: guarding)
            self.kind = .rolling(rolling)
            counts = [Int64](repeating: 0, count: rolling.ringCount)
            untold = counts
            epoch = rolling.epoch(at: now)
        case .tokenBucket(let units, let period, let burst):
            let bucket = TokenBucket(
                units: units, periodNanoseconds: period.multipliedSaturated(max(1, processes)),
                burst: max(1, burst / max(1, processes)))
            self.kind = .bucket(bucket)
            word = bucket.fresh(now: now, parity: 0)
            untold = [0]
        case .calendarWindow(_, let unit, _, let guarding):
            guard let zone else { return nil }
            self.kind = .calendar(unit, zone, guardNanoseconds: guarding)
            (counts, untold) = ([0], [0])
            let span = zone.span(of: unit, containing: wall.dividedDown(by: 1_000_000_000))
            window = (span.startSeconds, span.endSeconds)
            if let seen, RedisWords.nanoseconds(seen.end) > wall {
                window = (
                    seen.start.dividedDown(by: 1_000_000), seen.end.dividedDown(by: 1_000_000)
                )
                share = min(share, max(0, kind.capacity - seen.count) / max(1, processes))
            }
        case .concurrency(_, let lease, _): self.kind = .slots(leaseNanoseconds: lease)
        }
    }

    /// - Parameter reserved: units that were charged in advance.
    init(reserved: Int64, until: Int64) {
        (share, laterShare, kind) = (reserved, 0, .once(until: until))
        (counts, untold) = ([0], [0])
    }

    /// What the share says to a cost. One that it never fits is for the caller to see.
    ///
    /// - Parameter held: leases that the process has from before the outage.
    mutating func verdict(_ amount: Int64, now: Int64, wall: Int64, held: Int64) -> Verdict {
        turn(now: now, wall: wall)
        switch kind {
        case .rolling(let rolling):
            let used = counts.reduce(0, +)
            guard used + amount > share else { return Verdict(.none, remaining: share - used) }
            return Verdict(
                amount == 0 ? .debt : .exhausted,
                retryAfterNanoseconds: max(1, fits(rolling, used + amount - share) - now),
                remaining: max(0, share - used))
        case .bucket(let bucket): return bucket.verdict(word, now: now, amount: amount)
        case .once(let until):
            let left = max(0, share - counts[0])
            guard amount > left else { return Verdict(.none, remaining: left) }
            return Verdict(
                .exhausted, retryAfterNanoseconds: max(1, until - now), remaining: left)
        case .calendar(_, _, let guarding):
            let left = max(0, share - counts[0])
            let start = RedisWords.nanoseconds(window.start.multipliedSaturated(1_000_000))
            if counts[0] + amount > share {
                let end = RedisWords.nanoseconds(window.end.multipliedSaturated(1_000_000))
                return Verdict(
                    amount == 0 ? .debt : .exhausted,
                    retryAfterNanoseconds: max(1, end - wall), remaining: left)
            }
            guard amount > 0, wall - start < guarding else {
                return Verdict(.none, remaining: left)
            }
            return Verdict(
                .boundaryGuard, retryAfterNanoseconds: start + guarding - wall, remaining: left)
        case .slots:
            let left = max(0, share - Int64(leases.count) - held)
            return Verdict(left > 0 ? .none : .concurrency, remaining: left)
        }
    }

    /// The instant at which so many units have left a rolling window.
    private func fits(_ rolling: RollingWindow, _ excess: Int64) -> Int64 {
        var excess = excess
        for age in (0...UInt64(rolling.cells)).reversed() {
            excess -= counts[rolling.slot(ofEpoch: epoch - age)]
            if excess <= 0 {
                return rolling.start(ofEpoch: epoch - age + UInt64(rolling.ringCount))
            }
        }
        return rolling.start(ofEpoch: epoch + UInt64(rolling.ringCount))
    }

    /// Books units, whatever is left.
    ///
    /// - Parameter isTold: the server has booked them too.
    /// - Returns: where they went, for `giveBack`.
    mutating func book(_ amount: Int64, now: Int64, wall: Int64, isTold: Bool) -> UInt64 {
        turn(now: now, wall: wall)
        var slot = 0
        var place: UInt64 = 0
        switch kind {
        case .rolling(let rolling):
            slot = rolling.slot(ofEpoch: epoch)
            place = epoch
        case .once: break
        case .calendar: place = UInt64(clamping: window.start)
        case .bucket(let bucket):
            word = bucket.exceeded(word, now: now, amount: amount, parity: 0)
            if !isTold { untold[0] = untold[0].addingSaturated(amount) }
            return 0
        case .slots: return 0
        }
        counts[slot] = counts[slot].addingSaturated(amount)
        if !isTold { untold[slot] = untold[slot].addingSaturated(amount) }
        return place
    }

    /// Gives units back to where they went, while that counts and the server was not told of them.
    mutating func giveBack(_ amount: Int64, place: UInt64, now: Int64, wall: Int64) {
        turn(now: now, wall: wall)
        var slot = 0
        switch kind {
        case .rolling(let rolling):
            guard place <= epoch, epoch - place <= UInt64(rolling.cells) else { return }
            slot = rolling.slot(ofEpoch: place)
        case .once: break
        case .calendar: guard place == UInt64(clamping: window.start) else { return }
        case .bucket(let bucket):
            let back = min(amount, untold[0])
            untold[0] -= back
            word = bucket.refunded(word, now: now, amount: back, parity: 0)
            return
        case .slots: return
        }
        let back = min(amount, untold[slot])
        counts[slot] -= back
        untold[slot] -= back
    }

    /// How long what was used keeps counting, ns.
    var spanNanoseconds: Int64 {
        switch kind {
        case .rolling(let rolling): rolling.spanNanoseconds
        case .bucket(let bucket): bucket.nanoseconds(bucket.tolerance)
        case .once, .calendar, .slots: 0
        }
    }

    mutating func hold(_ lease: UInt64, now: Int64) {
        guard case .slots(let length) = kind else { return }
        leases[lease] = now.addingSaturated(length)
    }

    /// - Returns: whether the lease was there and lived.
    mutating func free(_ lease: UInt64, now: Int64) -> Bool? {
        leases.removeValue(forKey: lease).map { $0 > now }
    }

    var leaseNanoseconds: Int64 {
        guard case .slots(let length) = kind else { return 0 }
        return length
    }

    /// What the server has to be told now: what still counts of what it does not know. Told once.
    mutating func takeUntold(now: Int64, wall: Int64) -> Int64 {
        turn(now: now, wall: wall)
        defer { untold = [Int64](repeating: 0, count: untold.count) }
        switch kind {
        case .rolling, .calendar, .once: return untold.reduce(0) { $0.addingSaturated($1) }
        // What has drained by now, the server's bucket has refilled too.
        case .bucket(let bucket):
            return min(untold[0], bucket.used(lead: bucket.lead(of: word, now: now)))
        case .slots: return 0
        }
    }

    /// Moves to the cell or window of an instant.
    private mutating func turn(now: Int64, wall: Int64) {
        switch kind {
        case .rolling(let rolling):
            let newest = rolling.epoch(at: now)
            guard newest > epoch else { return }
            let passed = min(newest - epoch, UInt64(rolling.ringCount))
            for gone in 0..<passed {
                let slot = rolling.slot(ofEpoch: newest - gone)
                (counts[slot], untold[slot]) = (0, 0)
            }
            epoch = newest
        case .calendar(let unit, let zone, _):
            let seconds = wall.dividedDown(by: 1_000_000_000)
            guard seconds >= window.end else { return }
            let span = zone.span(of: unit, containing: seconds)
            window = (max(span.startSeconds, window.end), span.endSeconds)
            (counts, untold, share) = ([0], [0], laterShare)
        case .slots: leases = leases.filter { $0.value > now }
        case .once(let until): if now >= until { share = 0 }
        case .bucket: break
        }
    }
}
