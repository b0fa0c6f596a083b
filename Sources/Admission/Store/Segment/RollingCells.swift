import Synchronization

/// The cells of one rolling limit's key: the protocol on the words that `RollingWindow` describes.
///
/// A charge is one swap of the current cell, and that is the point where it happens: the cell is
/// unsealed while its epoch is the key's, so the sum in `base` that was read with it still held.
/// A turn seals the current cell, makes the ring hold exactly the epochs that count, raises
/// `stamp` (the newest epoch, full width: the words keep 22 bits) and swaps `base`, in that order;
/// any thread may do or finish it. A refund subtracts from the cell it came from, then from `base`.
/// Sealed cells only shrink, so a `base` computed from them is never too small.
///
/// A turn that is under way, or whose thread died, has put newer cells over older ones that still
/// count for a caller whose clock is behind. Such a caller never takes them for empty: it goes to
/// an epoch for which they have passed, as the turn's own thread did.
///
/// Progress: lock-free. Nothing here reads a clock. The record must be the key's: the caller has
/// compared its tag after loading the word it swaps.
struct RollingCells {
    /// Start of the key's record, which outlives every use.
    let record: UnsafeMutableRawPointer

    /// The `base` of a key that was retired; final.
    static let retiredBase = UInt64.max

    @inline(__always)
    init(record: UnsafeMutableRawPointer) { self.record = record }

    @inline(__always)
    var base: SharedWord { SharedWord(record, at: KeyRecord.state) }
    @inline(__always)
    var stamp: SharedWord { SharedWord(record, at: KeyRecord.stamp) }
    @inline(__always)
    func cell(_ slot: Int) -> SharedWord { SharedWord(record, at: KeyRecord.ring &+ slot &* 8) }

    /// Brings the key to an epoch, or finds it at a newer one.
    ///
    /// - Returns: the epoch in force, at least `epoch`; nil when the key was retired.
    @inline(never)
    func turn(_ window: RollingWindow, to epoch: UInt64, in segment: Segment) -> UInt64? {
        var wanted = epoch
        while true {
            let base = self.base.load()
            guard base != Self.retiredBase else { return nil }
            let stamp = self.stamp.load()
            var target = max(wanted, stamp)
            if target == stamp, RollingWindow.carries(base, epoch: target) {
                let word = cell(window.slot(ofEpoch: target)).load()
                if RollingWindow.isRetired(cell: word) { return finishRetirement() }
                if RollingWindow.carries(word, epoch: target) {
                    guard RollingWindow.isSealed(cell: word) else { return target }
                    // Somebody whose clock has reached the next epoch began to turn.
                    target += 1
                    segment.turnsHelped.increment()
                }
            }
            switch attempt(window, from: base, stamp: stamp, to: target, in: segment) {
            case .done: return target
            case .retired: return finishRetirement()
            case .overtaken: segment.retries.increment()
            case .beyond(let epoch): wanted = epoch
            }
        }
    }

    private enum Attempt {
        case done, retired, overtaken
        /// Somebody's clock has reached this epoch at least.
        case beyond(UInt64)
    }

    private func attempt(
        _ window: RollingWindow, from base: UInt64, stamp: UInt64, to target: UInt64,
        in segment: Segment
    ) -> Attempt {
        if !RollingWindow.carries(base, epoch: stamp) {
            segment.turnsHelped.increment()
        } else if target > stamp {
            switch seal(window, stamp, in: segment) {
            case .done: break
            case let other: return other
            }
        }
        let isIdle = target - stamp > UInt64(window.cells)
        var sum: UInt64 = 0
        for distance in (1...UInt64(window.cells)).reversed() {
            let epoch = target - distance
            let cell = cell(window.slot(ofEpoch: epoch))
            let word = cell.load()
            if RollingWindow.isRetired(cell: word) { return .retired }
            // The stamp is read behind the cell: an epoch that a reset has made since is not idle.
            guard self.stamp.load() == stamp else { return .overtaken }
            if !isIdle && RollingWindow.carries(word, epoch: epoch) {
                if !RollingWindow.isSealed(cell: word),
                    !cell.swap(word, RollingWindow.sealing(cell: word))
                {
                    return .overtaken
                }
                // Read again behind the seal: from here on the count only shrinks.
                sum += RollingWindow.count(ofCell: cell.load())
                continue
            }
            if !isIdle && RollingWindow.isLater(word, than: epoch) {
                return .beyond(epoch + UInt64(window.cells) + 1)
            }
            let empty = RollingWindow.cell(epoch: epoch, count: 0, isSealed: true)
            guard word == empty || cell.swap(word, empty) else { return .overtaken }
        }
        let current = cell(window.slot(ofEpoch: target))
        let word = current.load()
        if RollingWindow.isRetired(cell: word) { return .retired }
        guard self.stamp.load() == stamp else { return .overtaken }
        let isMine = RollingWindow.carries(word, epoch: target) && !(isIdle && target != stamp)
        if isMine {
            if RollingWindow.isSealed(cell: word) { return .beyond(target + 1) }
        } else {
            let empty = RollingWindow.cell(epoch: target, count: 0, isSealed: false)
            guard word == empty || current.swap(word, empty) else { return .overtaken }
        }
        self.stamp.raise(target)
        return self.base.swap(base, RollingWindow.base(epoch: target, sum: sum))
            ? .done : .overtaken
    }

    /// Seals the current cell, so that late charges to it fail. Where it is not there any more,
    /// somebody's turn has gone beyond it, and the walk over the cells meets that.
    private func seal(_ window: RollingWindow, _ epoch: UInt64, in segment: Segment) -> Attempt {
        let cell = cell(window.slot(ofEpoch: epoch))
        while true {
            let word = cell.load()
            if RollingWindow.isRetired(cell: word) { return .retired }
            guard RollingWindow.carries(word, epoch: epoch) else { return .done }
            if RollingWindow.isSealed(cell: word) {
                segment.turnsHelped.increment()
                return .done
            }
            if cell.swap(word, RollingWindow.sealing(cell: word)) { return .done }
            segment.retries.increment()
        }
    }

    /// Makes `base` final too, for a key whose current cell is retired.
    private func finishRetirement() -> UInt64? {
        while true {
            let base = self.base.load()
            if base == Self.retiredBase || self.base.swap(base, Self.retiredBase) { return nil }
        }
    }
}

/// What settlement and reclaiming do.
extension RollingCells {
    /// Gives units back to the cell that they were charged to, while it still counts.
    func refund(_ window: RollingWindow, epoch: UInt64, amount: UInt64, in segment: Segment) {
        let cell = cell(window.slot(ofEpoch: epoch))
        while true {
            // Noted before the cell is touched: see below.
            let base = self.base.load()
            let stamp = self.stamp.load()
            guard base != Self.retiredBase, stamp >= epoch,
                stamp - epoch <= UInt64(window.cells)
            else { return }
            let word = cell.load()
            guard RollingWindow.carries(word, epoch: epoch), !RollingWindow.isRetired(cell: word)
            else { return }
            let count = RollingWindow.count(ofCell: word)
            let back = min(amount, count)
            guard back > 0 else { return }
            let reduced = RollingWindow.cell(word, counting: count - back)
            if !RollingWindow.isSealed(cell: word) {
                if cell.swap(word, reduced) { return }
                segment.retries.increment()
                continue
            }
            // Sealed, and base does not hold its sum yet: finish the turn, so that base is known
            // to hold the count that is taken from it.
            if !RollingWindow.carries(base, epoch: stamp) || stamp == epoch {
                segment.turnsHelped.increment()
                guard turn(window, to: max(stamp, epoch + 1), in: segment) != nil else { return }
                continue
            }
            guard cell.swap(word, reduced) else {
                segment.retries.increment()
                continue
            }
            let sum = RollingWindow.sum(ofBase: base)
            // A saturated sum does not say what is left of it.
            if sum < RollingWindow.largestSum,
                self.base.swap(base, RollingWindow.base(epoch: stamp, sum: sum - min(sum, back)))
            {
                return
            }
            return recount(window, in: segment)
        }
    }

    /// Computes `base` anew from the sealed cells, after it moved under a refund.
    private func recount(_ window: RollingWindow, in segment: Segment) {
        recounting: while true {
            let base = self.base.load()
            let stamp = self.stamp.load()
            guard base != Self.retiredBase else { return }
            guard RollingWindow.carries(base, epoch: stamp) else {
                guard turn(window, to: stamp, in: segment) != nil else { return }
                continue
            }
            var sum: UInt64 = 0
            for distance in 1...UInt64(window.cells) {
                let epoch = stamp - distance
                let word = cell(window.slot(ofEpoch: epoch)).load()
                if RollingWindow.carries(word, epoch: epoch) {
                    sum += RollingWindow.count(ofCell: word)
                } else if RollingWindow.isLater(word, than: epoch) {
                    // What counted here is out of sight: finish the turn that has put it there.
                    let passed = epoch + UInt64(window.cells) + 1
                    guard turn(window, to: passed, in: segment) != nil else { return }
                    continue recounting
                }
            }
            if sum >= RollingWindow.sum(ofBase: base)
                || self.base.swap(base, RollingWindow.base(epoch: stamp, sum: sum))
            {
                return
            }
            segment.retries.increment()
        }
    }

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
            let now = max(now, window.start(ofEpoch: stamp))
            let epoch = max(window.epoch(at: now), stamp)
            var view = RollingView(now: now)
            guard epoch - stamp <= UInt64(window.cells) else { return view }
            if !isDetailed, epoch == stamp, let used = current(window, epoch) {
                view.used = used
                if used.addingSaturated(amount) <= limit { return view }
            }
            let oldest = epoch - UInt64(window.cells)
            view.used = 0
            for epoch in oldest...stamp { view.used &+= count(window, epoch) }
            var left = view.used
            for epoch in oldest...stamp {
                let count = count(window, epoch)
                guard count > 0 else { continue }
                let after = window.start(ofEpoch: epoch + UInt64(window.cells) + 1) - now
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
