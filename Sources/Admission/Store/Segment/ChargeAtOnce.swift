/// The short way of a decision over a few limits: for the case that every limit admits, no window
/// turns and nobody else swaps.
///
/// It reads everything, computes all swaps and then makes them with nothing but register work in
/// between, since loads wait behind a swap. Anything out of the ordinary is left to the general
/// way (`prepareAll`, `chargeAgain`), with nothing charged; so it calls nothing.
extension ChargePlanReference {
    /// Steps that it takes on: as many as a permit of the first shelf holds.
    package static var maximumAtOnce: Int { 4 }

    /// Scratch memory of a decision: the swaps, and behind them the cost's amounts by count.
    struct Room {
        let swaps: UnsafeMutablePointer<Exchange>

        /// Bytes of it.
        static var bytes: Int { 3 * 8 * maximumAtOnce + 5 * 8 }

        /// Of `bytes` bytes, aligned for words.
        @inline(__always)
        init(_ memory: UnsafeMutableRawPointer) {
            swaps = memory.assumingMemoryBound(to: Exchange.self)
        }

        @inline(__always)
        var amounts: UnsafeMutableRawPointer { UnsafeMutableRawPointer(swaps + maximumAtOnce) }

        /// Units of what a step's limit counts.
        @inline(__always)
        func amount(of step: UnsafeMutablePointer<ChargeStep>) -> Int64 {
            let offset = Int(truncatingIfNeeded: step.pointee.countIndex) &* 8
            return amounts.load(fromByteOffset: offset, as: Int64.self)
        }

        /// Writes the units of each count where a plan's count index finds them; nothing is extra.
        @inline(__always)
        func write(_ requests: Int64, _ inputTokens: Int64, _ outputTokens: Int64) {
            let table = amounts.assumingMemoryBound(to: Int64.self)
            table[0] = requests
            table[1] = inputTokens
            table[2] = outputTokens
            let total = inputTokens.addingReportingOverflow(outputTokens)
            table[3] = total.overflow ? .max : total.partialValue
            table[4] = 1
        }
    }

    /// Whether a cost that is met by these amounts leaves nothing to be noted: every limit's first
    /// charge was noted before, or costs nothing.
    @inline(__always)
    func needsNoNote(_ room: Room) -> Bool {
        allNoted.loadRelaxed() != 0 || lookNoted(room)
    }

    /// 1 once every step's first charge was noted; in the head's second line.
    @inline(__always)
    private var allNoted: SharedWord {
        SharedWord(address, at: ChargePlan.allNotedOffset)
    }

    @inline(never)
    private func lookNoted(_ room: Room) -> Bool {
        let steps = 0..<stepCount
        if steps.allSatisfy({ step($0).isNoted }) { allNoted.storeRelaxed(1) }
        return steps.allSatisfy { step($0).isNoted || room.amount(of: step($0)) == 0 }
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
    ///   - version: see `isInForce(by:)`; asked behind the words.
    ///   - room: with the cost's amounts; the swaps are written.
    ///   - charges: written; what a permit keeps of each swap.
    /// - Returns: `step:8 | remaining:56` of the limit that an admission speaks of, or `notAtOnce`.
    @inline(__always)
    func prepareAtOnce(
        now: Int64, wall: Int64, owner: UInt64, version: SharedWord, _ room: Room,
        _ charges: UnsafeMutablePointer<StepCharge>
    ) -> UInt64 {
        let first = step(0)
        let end = step(stepCount)
        var step = first
        var entry = AtOnceEntry(exchange: room.swaps, charge: charges)
        var tightest = first
        var remainingOfTightest: UInt64 = 0
        repeat {
            let amount = room.amount(of: step)
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
            let left = UInt64(bitPattern: remaining)
            if step == first || step.isTighterAtOnce(left, than: tightest, remainingOfTightest) {
                (tightest, remainingOfTightest) = (step, left)
            }
            step = step.next
            entry.advance()
        } while step != end
        guard _fastPath(isInForce(by: version)) else { return Self.notAtOnce }
        let bytes = UnsafeMutableRawPointer(tightest) - UnsafeMutableRawPointer(first)
        let number = UInt64(truncatingIfNeeded: bytes) / UInt64(ChargePlan.stepBytes)
        return number &<< 56 | remainingOfTightest
    }

    /// Swaps in what was prepared, with the ordering of `PreparedCharge.commit`.
    ///
    /// - Returns: how many steps were booked.
    @inline(__always)
    func swapAll(_ room: Room, count: Int) -> Int {
        var index = 0
        // The next entry is read before the swap; the one behind the last are the amounts.
        var entry = room.swaps.pointee
        while true {
            let next = room.swaps[index &+ 1]
            guard
                _fastPath(
                    entry.expected == entry.desired
                        || entry.word.swapSequential(entry.expected, entry.desired))
            else { return index }
            index &+= 1
            if index == count { return count }
            entry = next
        }
    }
}

/// One swap that would charge a step: what was read, and what is to stand there; the same for a
/// cost of 0, which swaps nothing.
struct Exchange {
    var word: SharedWord
    var expected: UInt64
    var desired: UInt64
}

/// Where a step that is prepared at once is written down.
private struct AtOnceEntry {
    var exchange: UnsafeMutablePointer<Exchange>
    var charge: UnsafeMutablePointer<StepCharge>

    @inline(__always)
    mutating func advance() {
        exchange += 1
        charge += 1
    }

    /// In place, word by word: a copy of the whole would be read before its words have arrived.
    /// The place of later additions stays, of which the amount says that there are none.
    @inline(__always)
    func set(
        _ word: SharedWord, _ expected: UInt64, _ desired: UInt64, place: UInt64, amount: Int64
    ) {
        exchange.pointee.word = word
        exchange.pointee.expected = expected
        exchange.pointee.desired = desired
        charge.pointee.amount = amount
        charge.pointee.place = place
        charge.pointee.laterAmount = 0
        charge.pointee.total = amount
    }
}

/// Preparing a step: units left behind the charge; -1: take the general way.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    @inline(__always)
    fileprivate func prepareRollingAtOnce(
        _ amount: Int64, now: Int64, _ entry: AtOnceEntry
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
        entry.set(
            cell, word, word &+ UInt64(bitPattern: amount), place: epoch, amount: amount)
        return pointee.left(of: amount, used: sum &+ count)
    }

    /// The step behind this one.
    @inline(__always)
    fileprivate var next: UnsafeMutablePointer<ChargeStep> {
        (UnsafeMutableRawPointer(self) + ChargePlan.stepBytes)
            .assumingMemoryBound(to: ChargeStep.self)
    }

    /// As `isTighter`, without signs: none is below 0.
    @inline(__always)
    fileprivate func isTighterAtOnce(
        _ left: UInt64, than other: UnsafeMutablePointer<ChargeStep>, _ otherLeft: UInt64
    ) -> Bool {
        let mine = UInt128(left) &* UInt128(UInt64(bitPattern: other.pointee.capacity))
        let theirs = UInt128(otherLeft) &* UInt128(UInt64(bitPattern: pointee.capacity))
        // An earlier limit of the document wins a tie.
        let isEarlier = pointee.documentIndex < other.pointee.documentIndex
        return mine < theirs &+ (isEarlier ? 1 : 0)
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
        _ amount: Int64, wall: Int64, _ entry: AtOnceEntry
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
        entry.set(
            state, word, word &+ UInt64(bitPattern: amount), place: window.number, amount: amount)
        return pointee.left(of: amount, used: used)
    }

    @inline(__always)
    fileprivate func prepareSlotAtOnce(
        now: Int64, owner: UInt64, _ entry: AtOnceEntry
    ) -> Int64 {
        let array = leases
        let offset = Int(truncatingIfNeeded: hint.loadRelaxed())
        let slot = array.word(offset)
        let word = slot.load()
        let live = array.countAtOnce(now: now)
        // A key that is gone by now: its space may be another key's, whose slot is not touched.
        guard _fastPath(live >= 0 && !LeaseSlots.isLive(word, now: now) && isCurrent) else {
            return -1
        }
        let claimed = LeaseSlots.word(
            owner: owner, generation: LeaseSlots.generation(of: word) &+ 1,
            expiry: LeaseSlots.expiry(
                now: now, leaseNanoseconds: Int64(bitPattern: pointee.detail)))
        entry.set(
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
    fileprivate func countAtOnce(now: Int64) -> Int64 {
        let (block, count) = (first.offset, first.count)
        guard _fastPath(count <= 16 && word(block).loadRelaxed() == 0) else { return -1 }
        let slots = base + (block &+ KeyRecord.body)
        let end = slots + count &* 8
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
