/// How far anybody's clock may have come when a rolling key is looked at.
struct RollingHorizon {
    /// The epoch of the clock now.
    var present: UInt64
    /// The newest epoch that a clock which is ahead of this process' own may have reached.
    var latest: UInt64
    /// Counts damage that was mended.
    var damages: LimitTally.Count?

    /// How far the clocks of two processes may differ, behind a crash of the host too. A newer cell
    /// raises the instant of whoever meets it, for all of its limits, so it is kept small.
    private static let toleranceNanoseconds: Int64 = 10_000_000_000

    /// Nothing is taken for damage but what no clock ever reaches.
    init() {
        present = 0
        latest = RollingWindow.largestEpoch
    }

    init(_ window: RollingWindow, now: Int64, damages: LimitTally.Count? = nil) {
        present = window.epoch(at: now)
        latest = min(
            window.epoch(at: now &+ Self.toleranceNanoseconds), RollingWindow.largestEpoch)
        self.damages = damages
    }
}

/// Damage: words that lead beyond every clock.
extension RollingCells {
    /// Makes a damaged key full for a whole window from `epoch` on. Callers that do so at a time
    /// leave it full, too: each writes its full cell before the stamp.
    @inline(never)
    func mend(_ window: RollingWindow, at epoch: UInt64, _ horizon: RollingHorizon) {
        let stamp = self.stamp.load()
        let base = self.base.load()
        guard base != Self.retiredBase else { return }
        for distance in 1...UInt64(window.cells) {
            let epoch = epoch &- distance
            let cell = cell(window.slot(ofEpoch: epoch))
            _ = cell.swap(cell.load(), RollingWindow.cell(epoch: epoch, count: 0, isSealed: true))
        }
        let current = cell(window.slot(ofEpoch: epoch))
        let count = min(UInt64(max(0, window.limit)), RollingWindow.largestCount)
        _ = current.swap(
            current.load(), RollingWindow.cell(epoch: epoch, count: count, isSealed: false))
        _ = self.base.swap(base, RollingWindow.base(epoch: epoch, sum: 0))
        if self.stamp.swap(stamp, epoch) {
            horizon.damages?.value.wrappingAdd(1, ordering: .relaxed)
        }
    }

    /// Mends a key whose newest epoch lies beyond every clock.
    func mendIfDamaged(_ window: RollingWindow, _ horizon: RollingHorizon) {
        if stamp.load() > horizon.latest { mend(window, at: horizon.present, horizon) }
    }
}

/// Looking, and retiring what nobody misses.
extension RollingCells {
    /// What counts at an instant, without changing anything.
    ///
    /// - Parameters:
    ///   - limit: what must not be exceeded, for `retryAfterNanoseconds`.
    ///   - amount: units that the caller wants.
    ///   - isDetailed: also tell when nothing will count any more.
    /// - Complexity: three loads where the key is at the instant's epoch and the amount fits, else
    ///   two walks over the ring; no allocation.
    func view(
        _ window: RollingWindow, now: Int64, limit: Int64, amount: Int64, isDetailed: Bool
    ) -> RollingView {
        while true {
            let stamp = self.stamp.load()
            // Callers that must not be misled by damage have looked for it before.
            let now = max(now, window.start(ofEpoch: min(stamp, RollingWindow.largestEpoch)))
            let epoch = max(window.epoch(at: now), stamp)
            var view = RollingView(now: now)
            guard stamp <= RollingWindow.largestEpoch else {
                view.used = limit
                return view
            }
            guard epoch - stamp <= UInt64(window.cells) else { return view }
            if !isDetailed, epoch == stamp, let used = current(window, epoch) {
                view.used = used
                if used.addingSaturated(amount) <= limit { return view }
            }
            let oldest = epoch - UInt64(window.cells)
            // Half open: the indices of a closed range are compared as tuples, which in a debug build
            // takes a lock of the runtime for each cell, from all threads.
            let counted = oldest..<stamp + 1
            view.used = 0
            for epoch in counted { view.used &+= count(window, epoch) }
            var left = view.used
            for epoch in counted {
                let count = count(window, epoch)
                guard count > 0 else { continue }
                let after = window.start(ofEpoch: epoch + UInt64(window.cells) + 1) &- now
                if left.addingSaturated(amount) > limit { view.retryAfterNanoseconds = after }
                left &-= count
                view.fullAgainNanoseconds = after
            }
            if self.stamp.load() == stamp { return view }
        }
    }

    /// What counts in the key's own epoch; nil while a turn is under way.
    private func current(_ window: RollingWindow, _ epoch: UInt64) -> Int64? {
        let base = base.load()
        let word = cell(window.slot(ofEpoch: epoch)).load()
        guard base != Self.retiredBase, RollingWindow.carries(base, epoch: epoch),
            RollingWindow.carries(word, epoch: epoch), !RollingWindow.isSealed(cell: word)
        else { return nil }
        return Int64(RollingWindow.sum(ofBase: base) &+ RollingWindow.count(ofCell: word))
    }

    private func count(_ window: RollingWindow, _ epoch: UInt64) -> Int64 {
        let word = cell(window.slot(ofEpoch: epoch)).load()
        guard RollingWindow.carries(word, epoch: epoch), !RollingWindow.isRetired(cell: word)
        else { return 0 }
        return Int64(RollingWindow.count(ofCell: word))
    }

    /// Retires the key when nobody could tell it from a fresh one.
    ///
    /// Nothing may count any more and the current cell must be older than now's epoch, so that a
    /// record made anew in this space never holds the word that a stale reader expects.
    func retireIfIdle(_ window: RollingWindow, now: Int64) -> Bool {
        let base = self.base.load()
        if base == Self.retiredBase { return true }
        mendIfDamaged(window, RollingHorizon(window, now: now))
        let stamp = self.stamp.load()
        guard stamp < window.epoch(at: now), RollingWindow.carries(base, epoch: stamp) else {
            return false
        }
        let cell = cell(window.slot(ofEpoch: stamp))
        let word = cell.load()
        guard RollingWindow.carries(word, epoch: stamp) else { return false }
        if !RollingWindow.isRetired(cell: word) {
            guard !RollingWindow.isSealed(cell: word),
                view(window, now: now, limit: 0, amount: 0, isDetailed: true).used == 0,
                cell.swap(word, RollingWindow.retiredCell(epoch: stamp))
            else { return false }
        }
        _ = finishRetirement()
        return true
    }
}

/// What a rolling window counts at an instant.
struct RollingView {
    /// The caller's instant, raised to the start of the newest cell.
    var now: Int64
    /// Units that count.
    var used: Int64 = 0
    /// Nanoseconds until the amount asked for fits; 0 when it does now.
    var retryAfterNanoseconds: Int64 = 0
    /// Nanoseconds until nothing counts.
    var fullAgainNanoseconds: Int64 = 0
}
