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

    /// The limit that an admission speaks of.
    struct Tightest {
        var step = 0
        var remaining: Int64 = 0
        var capacity: Int64 = 1
        var documentIndex: UInt64 = 0
    }

    /// Looks at every limit and computes the swaps, changing nothing; false: take the general way.
    ///
    /// - Parameters:
    ///   - cost: no amount is negative, nothing extra.
    ///   - moment: as read from the clocks.
    ///   - prepared: room for `roomAtOnce` entries.
    @inline(__always)
    func prepareAtOnce(
        _ cost: CostAmounts, _ moment: ChargeMoment,
        _ prepared: UnsafeMutablePointer<PreparedCharge>, _ tightest: inout Tightest
    ) -> Bool {
        let count = stepCount
        let amounts = UnsafeMutableRawPointer(prepared + Self.maximumAtOnce)
            .assumingMemoryBound(to: Int64.self)
        cost.write(to: amounts)
        var index = 0
        repeat {
            let step = step(index)
            let countIndex = Int(truncatingIfNeeded: UInt32(bitPattern: step.pointee.countIndex))
            let amount = countIndex <= 4 ? amounts[countIndex] : 0
            guard _fastPath(step.isNoted || amount == 0) else { return false }
            let kind = step.pointee.kind
            let remaining: Int64
            if kind == .rolling {
                remaining = step.prepareRollingAtOnce(amount, now: moment.now, prepared + index)
            } else if kind == .calendar {
                remaining = step.prepareCalendarAtOnce(amount, moment, prepared + index)
            } else if kind == .concurrency && index == 0 {
                remaining = step.prepareSlotAtOnce(moment, prepared + index)
            } else {
                return false
            }
            guard _fastPath(remaining >= 0) else { return false }
            let capacity = step.pointee.capacity
            let documentIndex = UInt64(step.pointee.documentIndex)
            // As `isTighter`, without signs: neither is below 0.
            let mine = UInt64(bitPattern: remaining)
                .multipliedFullWidth(by: UInt64(bitPattern: tightest.capacity))
            let theirs = UInt64(bitPattern: tightest.remaining)
                .multipliedFullWidth(by: UInt64(bitPattern: capacity))
            let isTie = mine.high == theirs.high && mine.low == theirs.low
            let isTighter =
                mine.high == theirs.high ? mine.low < theirs.low : mine.high < theirs.high
            if index == 0 || isTighter || isTie && documentIndex < tightest.documentIndex {
                tightest = Tightest(
                    step: index, remaining: remaining, capacity: capacity,
                    documentIndex: documentIndex)
            }
            index &+= 1
        } while index < count
        return true
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
        let epoch = window.pointee.epoch(at: now)
        let base = cells.base.load()
        let cell = cells.cell(window.pointee.slot(ofEpoch: epoch))
        let word = cell.load()
        let tag = SharedWord(pointee.record, at: KeyRecord.tag).load()
        // Epoch and seal of the cell in one comparison.
        let expected = epoch & RollingWindow.epochMask
        guard
            _fastPath(
                tag == pointee.tag && cells.stamp.load() == epoch && base >> 42 == expected
                    && word >> 41 == expected << 1)
        else { return -1 }
        let used = RollingWindow.sum(ofBase: base) &+ RollingWindow.count(ofCell: word)
        prepared.set(
            cell, word, word &+ UInt64(bitPattern: amount), place: epoch, amount: amount)
        return pointee.left(of: amount, used: used)
    }

    @inline(__always)
    fileprivate func prepareCalendarAtOnce(
        _ amount: Int64, _ moment: ChargeMoment, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> Int64 {
        guard let cell = calendarCell, let window = cell.pointee.known(moment.wall) else {
            return -1
        }
        let word = state.load()
        guard
            _fastPath(
                isCurrent && word != CalendarWindow.retired
                    && CalendarWindow.number(ofWord: word) == window.number
                    && moment.wall &- window.start >= Int64(bitPattern: pointee.detail))
        else { return -1 }
        let used = CalendarWindow.count(ofWord: word)
        // The number above the count stays; the count stays within the limit.
        prepared.set(
            state, word, word &+ UInt64(bitPattern: amount), place: window.number, amount: amount)
        return pointee.left(of: amount, used: used)
    }

    @inline(__always)
    fileprivate func prepareSlotAtOnce(
        _ moment: ChargeMoment, _ prepared: UnsafeMutablePointer<PreparedCharge>
    ) -> Int64 {
        let now = moment.now
        let array = leases
        let offset = Int(truncatingIfNeeded: hint.loadRelaxed())
        guard _fastPath(pointee.parameters.2 == 0 && offset != 0) else { return -1 }
        let slot = array.slot(offset)
        let word = slot.load()
        guard _fastPath(!LeaseSlots.isLive(word, now: now)),
            let live = array.countAtOnce(limit: pointee.capacity, now: now)
        else { return -1 }
        let claimed = LeaseSlots.word(
            owner: moment.owner, generation: LeaseSlots.generation(of: word) &+ 1,
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
    /// Leases live in a key of one block of up to 16 slots; nil: count another way.
    @inline(__always)
    fileprivate func countAtOnce(limit: Int64, now: Int64) -> Int64? {
        let (block, count) = (first.offset, first.count)
        guard _fastPath(limit <= 16 && count <= 16 && slot(block).loadRelaxed() == 0) else {
            return nil
        }
        let slots = base + (block &+ KeyRecord.body)
        let end = slots + count &* 8
        var all: UInt64 = 0
        var address = slots
        while address < end {
            all |= SharedWord(address, at: 0).loadRelaxed()
            address += 8
        }
        // Nobody holds any: most often so where calls are short.
        if LeaseSlots.owner(of: all) == 0 { return 0 }
        let step = UInt64(bitPattern: now) >> LeaseSlots.expiryShift
        var live: Int64 = 0
        address = slots
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

extension CostAmounts {
    /// Writes the units of each count where a plan's count index finds them; nothing is extra.
    @inline(__always)
    fileprivate func write(to table: UnsafeMutablePointer<Int64>) {
        table[0] = requests
        table[1] = inputTokens
        table[2] = outputTokens
        let total = inputTokens.addingReportingOverflow(outputTokens)
        table[3] = total.overflow ? .max : total.partialValue
        table[4] = 1
    }
}
