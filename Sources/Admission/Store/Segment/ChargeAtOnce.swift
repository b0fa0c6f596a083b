/// The short way of a decision over a few limits: for the case that every limit admits, no window
/// turns and nobody else swaps.
///
/// It reads everything, computes all swaps and then makes them with nothing but register work in
/// between, since loads wait behind a swap. Anything out of the ordinary is left to the general
/// way (`prepareAll`, `chargeAgain`), with nothing charged; so it calls nothing.
extension ChargePlanReference {
    /// Steps that it takes on: as many as a permit of the first shelf holds.
    package static var maximumAtOnce: Int { 4 }

    /// Entries of scratch memory: one a step, and one as a table of the cost's counts.
    static var roomAtOnce: Int { maximumAtOnce + 1 }

    /// Writes the units of each count where a plan's count index finds them; nothing is extra.
    @inline(__always)
    static func write(
        _ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64,
        behind prepared: UnsafeMutablePointer<PreparedCharge>
    ) {
        let table = amounts(behind: prepared)
        table[0] = requests
        table[1] = inputTokens
        table[2] = outputTokens
        let total = inputTokens.addingReportingOverflow(outputTokens)
        table[3] = total.overflow ? .max : total.partialValue
        table[4] = 1
    }

    @inline(__always)
    private static func amounts(
        behind prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> UnsafeMutablePointer<Int64> {
        UnsafeMutableRawPointer(prepared + maximumAtOnce).assumingMemoryBound(to: Int64.self)
    }

    /// What `prepareAtOnce` says when the general way has to be taken.
    static var notAtOnce: UInt64 { .max }

    /// Looks at every limit and computes the swaps, changing nothing.
    ///
    /// Only of a plan that `isOfFewLimits`.
    ///
    /// - Parameters:
    ///   - now: steady nanoseconds.
    ///   - wall: wall nanoseconds.
    ///   - prepared: room for `roomAtOnce` entries, with the cost's amounts written behind.
    /// - Returns: `step:8 | remaining:56` of the limit that an admission speaks of, or `notAtOnce`.
    @inline(__always)
    func prepareAtOnce(
        now: Int64, wall: Int64, owner: UInt64, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> UInt64 {
        let amounts = UnsafeMutableRawPointer(Self.amounts(behind: prepared))
        var step = step(0)
        var entry = prepared
        var left = stepCount
        // An infinite share, which every limit's is below.
        var (tightest, capacityOfTightest): (UInt64, UInt64) = (1, 0)
        var (orderOfTightest, stepOfTightest): (UInt64, UInt64) = (0, 0)
        var number: UInt64 = 0
        repeat {
            let offset = Int(truncatingIfNeeded: step.pointee.countIndex) &* 8
            let amount = amounts.load(fromByteOffset: offset, as: Int64.self)
            guard _fastPath(step.isNoted || amount == 0) else { return Self.notAtOnce }
            let kind = step.pointee.kind
            let remaining: Int64
            if kind == .rolling {
                remaining = step.prepareRollingAtOnce(amount, now: now, entry)
            } else if kind == .calendar {
                remaining = step.prepareCalendarAtOnce(amount, wall: wall, entry)
            } else {
                remaining = step.prepareSlotAtOnce(now: now, owner: owner, entry)
            }
            guard _fastPath(remaining >= 0) else { return Self.notAtOnce }
            let capacity = UInt64(bitPattern: step.pointee.capacity)
            let order = UInt64(step.pointee.documentIndex)
            // As `isTighter`, without signs: none is below 0. An earlier limit wins a tie.
            let mine = UInt128(UInt64(bitPattern: remaining)) &* UInt128(capacityOfTightest)
            let theirs =
                UInt128(tightest) &* UInt128(capacity) &+ (order < orderOfTightest ? 1 : 0)
            if mine < theirs {
                (tightest, capacityOfTightest) = (UInt64(bitPattern: remaining), capacity)
                (orderOfTightest, stepOfTightest) = (order, number)
            }
            step = (UnsafeMutableRawPointer(step) + ChargePlan.stepBytes)
                .assumingMemoryBound(to: ChargeStep.self)
            entry += 1
            number &+= 1
            left &-= 1
        } while left != 0
        return stepOfTightest &<< 56 | tightest
    }

    /// Swaps in what was prepared.
    ///
    /// - Parameter first: the first entry, read before whatever was swapped last.
    /// - Returns: how many steps were booked.
    @inline(__always)
    func swapAll(
        _ prepared: UnsafeMutablePointer<PreparedCharge>,
        first: (SharedWord, UInt64, UInt64), count: Int
    ) -> Int {
        var index = 0
        // The next entry is read before the swap.
        var (word, expected, desired) = first
        while true {
            let next = index &+ 1
            let (nextWord, nextExpected, nextDesired) =
                prepared[next < count ? next : index].exchange
            guard _fastPath(expected == desired || word.swap(expected, desired)) else {
                return index
            }
            index = next
            if index == count { return count }
            (word, expected, desired) = (nextWord, nextExpected, nextDesired)
        }
    }
}

extension PreparedCharge {
    @inline(__always)
    var exchange: (SharedWord, UInt64, UInt64) { (word, expected, desired) }
}

extension UnsafeMutablePointer where Pointee == PreparedCharge {
    /// In place, word by word: a copy of the whole would be read before its words have arrived.
    @inline(__always)
    fileprivate func set(
        _ word: SharedWord, _ expected: UInt64, _ desired: UInt64, place: UInt64, amount: Int64
    ) {
        pointee.word = word
        pointee.expected = expected
        pointee.desired = desired
        pointee.place = place
        pointee.amount = amount
    }
}

/// Preparing a step: units left behind the charge; -1: take the general way.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    @inline(__always)
    fileprivate func prepareRollingAtOnce(
        _ amount: Int64, now: Int64, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> Int64 {
        let window = rolling
        let cells = RollingCells(record: pointee.record)
        // The cell is found without the instant, so that it is read beside the clock.
        var (epoch, slot) = knownCell
        if _slowPath(!window.pointee.holds(epoch, now)) {
            epoch = window.pointee.epoch(at: now)
            slot = window.pointee.slot(ofEpoch: epoch)
            knownCell = (epoch, slot)
        }
        let base = cells.base.load()
        let cell = cells.cell(slot)
        let word = cell.load()
        let tag = SharedWord(pointee.record, at: KeyRecord.tag).load()
        // With the epoch that it should carry taken out of it, a word is the count in its low bits;
        // an unsealed cell's has 41, the base's 42.
        let sum = base ^ epoch &<< 42
        let count = word ^ epoch &<< 42
        let strange =
            (sum | count &<< 1) &>> 42 | (tag ^ pointee.tag) | (cells.stamp.load() ^ epoch)
        guard _fastPath(strange == 0) else { return -1 }
        prepared.set(
            cell, word, word &+ UInt64(bitPattern: amount), place: epoch, amount: amount)
        return pointee.left(of: amount, used: sum &+ count)
    }

    /// Epoch and slot of a cell; read and written in one word.
    @inline(__always)
    private var knownCell: (epoch: UInt64, slot: Int) {
        get {
            let word = hint.loadRelaxed()
            return (word &>> 7, Int(truncatingIfNeeded: word & 0x7f))
        }
        nonmutating set {
            hint.storeRelaxed(newValue.epoch &<< 7 | UInt64(truncatingIfNeeded: newValue.slot))
        }
    }

    @inline(__always)
    fileprivate func prepareCalendarAtOnce(
        _ amount: Int64, wall: Int64, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> Int64 {
        guard let window = calendarCell.unsafelyUnwrapped.pointee.known(wall) else { return -1 }
        let state = self.state
        let word = state.load()
        // With the window's number taken out of it a word is the count; as one that is retired is
        // above the largest count in whatever window.
        let used = word ^ window.number &<< 42
        guard
            _fastPath(
                isCurrent && used <= CalendarWindow.largestCount
                    && wall &- window.start >= Int64(bitPattern: pointee.detail))
        else { return -1 }
        // The number above the count stays; the count stays within the limit.
        prepared.set(
            state, word, word &+ UInt64(bitPattern: amount), place: window.number, amount: amount)
        return pointee.left(of: amount, used: used)
    }

    @inline(__always)
    fileprivate func prepareSlotAtOnce(
        now: Int64, owner: UInt64, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> Int64 {
        let array = leases
        let offset = Int(truncatingIfNeeded: hint.loadRelaxed())
        let slot = array.slot(offset)
        let word = slot.load()
        let block = Int(truncatingIfNeeded: pointee.parameters.3)
        let live = array.countAtOnce(block, now: now)
        guard _fastPath(live >= 0 && !LeaseSlots.isLive(word, now: now)) else { return -1 }
        let claimed = LeaseSlots.word(
            owner: owner, generation: LeaseSlots.generation(of: word) &+ 1,
            expiry: LeaseSlots.expiry(
                now: now, leaseNanoseconds: Int64(bitPattern: pointee.detail)))
        prepared.set(
            slot, word, claimed, place: UInt64(truncatingIfNeeded: offset),
            amount: Int64(bitPattern: claimed))
        return Swift.max(0, pointee.capacity &- live &- 1)
    }
}

extension ChargeStep {
    /// Units left behind a charge, or -1 where it does not fit.
    @inline(__always)
    fileprivate func left(of amount: Int64, used: UInt64) -> Int64 {
        let left = capacity &- Int64(bitPattern: used)
        return amount <= left ? left &- amount : -1
    }
}

extension LeaseArray {
    /// Leases live in a key of one block of up to 16 slots; -1: count another way.
    @inline(__always)
    fileprivate func countAtOnce(_ block: Int, now: Int64) -> Int64 {
        let count = slot(block &+ 8).loadRelaxed()
        guard _fastPath(count <= 16 && slot(block).loadRelaxed() == 0) else { return -1 }
        let slots = base + (block &+ KeyRecord.body)
        let end = slots + Int(truncatingIfNeeded: count &* 8)
        var all: UInt64 = 0
        var address = slots
        while address + 24 < end {
            let (first, second) = (SharedWord(address, at: 0), SharedWord(address, at: 8))
            let (third, fourth) = (SharedWord(address, at: 16), SharedWord(address, at: 24))
            all |= first.loadRelaxed() | second.loadRelaxed()
            all |= third.loadRelaxed() | fourth.loadRelaxed()
            address += 32
        }
        while address < end {
            all |= SharedWord(address, at: 0).loadRelaxed()
            address += 8
        }
        // Nobody holds any: most often so where calls are short.
        if LeaseSlots.owner(of: all) == 0 { return 0 }
        return countHeld(slots, end, now: now)
    }

    /// The same slot by slot.
    @inline(__always)
    private func countHeld(
        _ slots: UnsafeMutableRawPointer, _ end: UnsafeMutableRawPointer, now: Int64
    ) -> Int64 {
        let step = UInt64(bitPattern: now) >> LeaseSlots.expiryShift
        var live: Int64 = 0
        var address = slots
        while address < end {
            let word = SharedWord(address, at: 0).loadRelaxed()
            // As `LeaseSlots.isLive`, without a branch.
            let isHeld = LeaseSlots.owner(of: word) != 0
            let isRunning = Int64(bitPattern: (word &- step) << 28) > 0
            live &+= Int64(truncatingIfNeeded: isHeld.asBit & isRunning.asBit)
            address += 8
        }
        return live
    }
}

extension Bool {
    @inline(__always)
    fileprivate var asBit: UInt8 { self ? 1 : 0 }
}
