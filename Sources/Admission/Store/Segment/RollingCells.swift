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
    /// - Parameters:
    ///   - epoch: that of the caller's instant.
    ///   - horizon: how far anybody's clock may have come. Words that lead beyond it are damage: the
    ///     key begins anew, full.
    /// - Returns: the epoch in force, at least `epoch`; nil when the key was retired.
    @inline(never)
    func turn(
        _ window: RollingWindow, to epoch: UInt64, horizon: RollingHorizon = RollingHorizon(),
        in segment: Segment
    ) -> UInt64? {
        let latest = max(epoch, horizon.latest)
        var wanted = epoch
        var rounds = 0
        while true {
            let base = self.base.load()
            guard base != Self.retiredBase else { return nil }
            let stamp = self.stamp.load()
            var target = max(wanted, stamp)
            rounds += 1
            if target > latest || rounds > Self.mostRounds {
                mend(window, at: max(epoch, horizon.present), horizon)
                (wanted, rounds) = (epoch, 0)
                continue
            }
            if target == stamp, RollingWindow.carries(base, epoch: target) {
                let word = cell(window.slot(ofEpoch: target)).load()
                if RollingWindow.isRetired(cell: word) { return finishRetirement() }
                if RollingWindow.carries(word, epoch: target) {
                    guard RollingWindow.isSealed(cell: word) else { return target }
                    // Somebody whose clock has reached the next epoch began to turn.
                    target += 1
                    segment.turnsHelped.increment()
                    guard target <= latest else {
                        wanted = target
                        continue
                    }
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

    /// Rounds of one turn: each meets another turn, or takes the next epoch for which a newer cell
    /// has passed.
    private static let mostRounds = 1 << 14

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
    func finishRetirement() -> UInt64? {
        while true {
            let base = self.base.load()
            if base == Self.retiredBase || self.base.swap(base, Self.retiredBase) { return nil }
        }
    }
}

/// What settlement and reclaiming do.
extension RollingCells {
    /// Gives units back to the cell that they were charged to, while it still counts.
    ///
    /// - Parameters:
    ///   - tag: that of the key for which they were charged; nil: whichever is there. Read behind
    ///     the cell: see `Segment.renewTag`.
    ///   - horizon: as for `turn`; nothing is given back beyond it.
    func refund(
        _ window: RollingWindow, epoch: UInt64, amount: UInt64, tag: UInt64? = nil,
        horizon: RollingHorizon = RollingHorizon(), in segment: Segment
    ) {
        let cell = cell(window.slot(ofEpoch: epoch))
        while true {
            // Noted before the cell is touched: see below.
            let base = self.base.load()
            let stamp = self.stamp.load()
            guard base != Self.retiredBase, stamp >= epoch, stamp <= horizon.latest,
                stamp - epoch <= UInt64(window.cells)
            else { return }
            let word = cell.load()
            guard RollingWindow.carries(word, epoch: epoch), !RollingWindow.isRetired(cell: word),
                tag == nil || SharedWord(record, at: KeyRecord.tag).load() == tag
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
                let next = max(stamp, epoch &+ 1)
                guard next <= horizon.latest,
                    turn(window, to: next, horizon: horizon, in: segment) != nil
                else { return }
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
            return recount(window, horizon, in: segment)
        }
    }

    /// Computes `base` anew from the sealed cells, after it moved under a refund.
    func recount(_ window: RollingWindow, _ horizon: RollingHorizon, in segment: Segment) {
        recounting: while true {
            let base = self.base.load()
            let stamp = self.stamp.load()
            guard base != Self.retiredBase, stamp <= horizon.latest,
                stamp > UInt64(window.cells)
            else { return }
            guard RollingWindow.carries(base, epoch: stamp) else {
                guard turn(window, to: stamp, horizon: horizon, in: segment) != nil else { return }
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
                    guard passed <= horizon.latest,
                        turn(window, to: passed, horizon: horizon, in: segment) != nil
                    else { return }
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
}
