/// How taking one step of a plan ended.
enum StepOutcome: UInt8 {
    /// Charged, or nothing to charge.
    case taken
    /// The limit refuses.
    case refused
    /// The caller's instant was behind the key's: it has been raised, look at every limit again.
    case raised
    /// The key or its parameters are not those of the plan any more.
    case stale
    /// The store could not make room for another slot: see `ChargeMoment.failure`.
    case failed
}

/// The moving parts of a decision: its instants, which may be raised, and what it has seen.
struct ChargeMoment {
    /// Steady nanoseconds.
    var now: Int64
    /// Wall minus steady nanoseconds.
    var wallOffset: Int64
    /// `LeaseOwner` of this process.
    var owner: UInt64
    /// Units left on the step just taken.
    var remaining: Int64 = 0
    /// Why the last step failed; only where one did.
    var failure = StoreFailure.unavailable

    @inline(__always)
    var wall: Int64 { now &+ wallOffset }
}

/// One swap that would charge a step: what was read, and what is to stand there.
struct PreparedCharge {
    var word: SharedWord
    /// What was read.
    var expected: UInt64
    /// What the charge makes of it; the same for a cost of 0, which swaps nothing.
    var desired: UInt64
    /// Where the charge goes, as `StepCharge.place`.
    var place: UInt64
    /// As `StepCharge.amount`.
    var amount: Int64

    @inline(__always)
    init(_ word: SharedWord, _ expected: UInt64, _ desired: UInt64, place: UInt64, amount: Int64) {
        self.word = word
        self.expected = expected
        self.desired = desired
        self.place = place
        self.amount = amount
    }

    /// Nothing to do yet.
    @inline(__always)
    init(of step: UnsafeMutablePointer<ChargeStep>) {
        self.init(step.state, 0, 0, place: 0, amount: 0)
    }

    /// Books it where nobody came first.
    ///
    /// Sequentially consistent for the sake of a slot: `keepsClaim` looks behind it. Of no cost, since
    /// the swap is one that acquires and releases anyway, on x86-64 as on arm64.
    @inline(__always)
    func commit() -> Bool {
        expected == desired || word.swapSequential(expected, desired)
    }

    /// What the permit keeps of it.
    @inline(__always)
    func note(_ charge: UnsafeMutablePointer<StepCharge>) {
        charge.pointee.amount = amount
        charge.pointee.place = place
        charge.pointee.laterAmount = 0
        charge.pointee.laterPlace = 0
        charge.pointee.total = amount
    }
}

/// Preparing a step: everything is read and the swap computed, nothing is changed.
///
/// Apart from the swaps, since loads wait behind one: a decision over several limits reads all of
/// them first. It is also the look at every limit that all-or-nothing asks for.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    @inline(__always)
    func prepare(
        _ amount: Int64, _ moment: inout ChargeMoment, _ prepared: inout PreparedCharge
    ) -> StepOutcome {
        switch pointee.kind {
        case .bucket: return prepareBucket(amount, &moment, &prepared)
        case .rolling: return prepareRolling(amount, &moment, &prepared)
        case .calendar: return prepareCalendar(amount, &moment, &prepared)
        case .concurrency: return prepareSlot(&moment, &prepared)
        case .slots, .parameters: return .stale
        }
    }

    @inline(__always)
    private func prepareBucket(
        _ amount: Int64, _ moment: inout ChargeMoment, _ prepared: inout PreparedCharge
    ) -> StepOutcome {
        let bucket = self.bucket
        guard amount <= bucket.pointee.burst else { return .refused }
        renewStamp(now: moment.now)
        let word = state.load()
        guard isCurrent, word & 1 == pointee.detail, word != TokenBucket.retired else {
            return .stale
        }
        let lead = bucket.pointee.lead(of: word, now: moment.now)
        let after = bucket.pointee.lead(lead, charged: amount)
        guard after <= bucket.pointee.tolerance else { return .refused }
        moment.remaining = bucket.pointee.remaining(lead: after)
        let new = bucket.pointee.word(lead: after, now: moment.now, parity: pointee.detail)
        prepared = PreparedCharge(
            state, word, amount == 0 ? word : new, place: 0, amount: amount)
        return .taken
    }

    @inline(__always)
    private func prepareRolling(
        _ amount: Int64, _ moment: inout ChargeMoment, _ prepared: inout PreparedCharge
    ) -> StepOutcome {
        let window = rolling
        let cells = RollingCells(record: pointee.record)
        while true {
            let epoch = window.pointee.epoch(at: moment.now)
            let base = cells.base.load()
            let cell = cells.cell(window.pointee.slot(ofEpoch: epoch))
            let word = cell.load()
            guard isCurrent else { return .stale }
            // The stamp tells epochs apart that 22 bits cannot.
            guard cells.stamp.load() == epoch, RollingWindow.carries(base, epoch: epoch),
                RollingWindow.carries(word, epoch: epoch), !RollingWindow.isSealed(cell: word)
            else {
                switch turn(to: epoch) {
                case epoch: continue
                case nil: return .stale
                case let newer?:
                    moment.now = Swift.max(moment.now, window.pointee.start(ofEpoch: newer))
                    return .raised
                }
            }
            let used = RollingWindow.sum(ofBase: base) &+ RollingWindow.count(ofCell: word)
            let left = pointee.capacity &- Int64(bitPattern: used)
            // A cost of 0 is refused in debt alone, where `left` is below 0.
            guard amount <= left else { return .refused }
            moment.remaining = left &- amount
            prepared = PreparedCharge(
                cell, word, word &+ UInt64(bitPattern: amount), place: epoch, amount: amount)
            return .taken
        }
    }

    @inline(never)
    func turn(to epoch: UInt64) -> UInt64? {
        let segment = pointee.notes.takeUnretainedValue().definition.segment
        return RollingCells(record: pointee.record).turn(
            rolling.pointee, to: epoch, horizon: horizon, in: segment)
    }

    /// How far anybody's clock may have come, by the clock as it is read now.
    var horizon: RollingHorizon {
        let notes = pointee.notes.takeUnretainedValue()
        return RollingHorizon(rolling.pointee, now: notes.clock.now(), damages: notes.damages)
    }

    @inline(__always)
    private func prepareCalendar(
        _ amount: Int64, _ moment: inout ChargeMoment, _ prepared: inout PreparedCharge
    ) -> StepOutcome {
        guard let cell = calendarCell else { return .stale }
        while true {
            let window = cell.pointee.current(moment.wall)
            let word = state.load()
            guard isCurrent, word != CalendarWindow.retired else { return .stale }
            var used: UInt64 = 0
            let number = CalendarWindow.number(ofWord: word)
            if _fastPath(number == window.number) {
                used = CalendarWindow.count(ofWord: word)
            } else if CalendarWindow.isLater(number, than: window.number) {
                if meetNewer(number, word, window, &moment) { return .raised }
                continue
            }
            let left = pointee.capacity &- Int64(bitPattern: used)
            // A cost of 0 is refused in debt alone.
            let isGuarded = moment.wall &- window.start < Int64(bitPattern: pointee.detail)
            guard amount <= left, amount == 0 || !isGuarded else { return .refused }
            moment.remaining = left &- amount
            let new = CalendarWindow.word(
                number: window.number, count: used &+ UInt64(bitPattern: amount))
            prepared = PreparedCharge(
                state, word, amount == 0 ? word : new, place: window.number, amount: amount)
            return .taken
        }
    }

    /// A slot that is free: the one at the hint, else the first of the first block. `refused` when
    /// none is found, which `takeSlot` then looks into carefully.
    @inline(__always)
    private func prepareSlot(
        _ moment: inout ChargeMoment, _ prepared: inout PreparedCharge
    ) -> StepOutcome {
        // Slots beyond the limit are left to the careful way.
        let array = leases
        guard _fastPath(pointee.parameters.2 == 0 && array.hasAtMost(pointee.capacity)) else {
            return .refused
        }
        let now = moment.now
        let lease = Int64(bitPattern: pointee.detail)
        var offset = Int(truncatingIfNeeded: hint.loadRelaxed())
        guard let word = array.freeSlot(&offset, now: now) else { return .refused }
        // The slots of a key that is gone may be another key's by now.
        guard isCurrent else { return .stale }
        let claimed = LeaseSlots.word(
            owner: moment.owner, generation: LeaseSlots.generation(of: word) &+ 1,
            expiry: LeaseSlots.expiry(now: now, leaseNanoseconds: lease))
        let live = array.liveEstimate(limit: pointee.capacity, now: now)
        moment.remaining = Swift.max(0, pointee.capacity &- live &- 1)
        prepared = PreparedCharge(
            array.word(offset), word, claimed, place: UInt64(offset),
            amount: Int64(bitPattern: claimed))
        return .taken
    }

    /// Whether a slot that was claimed by `commit` may be kept: the key still takes claims, and the
    /// claimant's entry still is its own.
    ///
    /// Claimed and then looked, in one order for all: pairs with `LeaseArray.retireIfIdle` and with
    /// whoever finds an owner dead, who write their mark, fence, and then look at the slots.
    @inline(__always)
    func keepsClaim(owner: UInt64) -> Bool {
        let array = leases
        return LeaseArray.isOpen(array.state.loadSequential()) && isCurrent
            && array.isInForce(LeaseOwner(word: owner))
    }
}

/// Taking a step by itself, again and again until it is taken or refused.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    @inline(never)
    func take(
        _ amount: Int64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        if pointee.kind == .concurrency {
            charge.pointee.laterAmount = 0
            return takeSlot(&moment, charge)
        }
        var prepared = PreparedCharge(of: self)
        while true {
            let outcome = prepare(amount, &moment, &prepared)
            guard outcome == .taken else { return outcome }
            // Behind the word, as `ChargePlanReference.isInForce` says.
            guard pointee.notes.takeUnretainedValue().isInForce else { return .stale }
            if prepared.commit() {
                prepared.note(charge)
                return .taken
            }
            countRetry()
        }
    }

    /// Meets a word of a window that has not begun: the next one raises the wall instant to its
    /// start; one farther ahead is damage and becomes the current window, full. Steady time stays:
    /// a step of the wall clock moves no bucket, rolling window or lease.
    ///
    /// - Returns: whether an instant was raised.
    @inline(never)
    func meetNewer(
        _ number: UInt64, _ word: UInt64, _ window: CalendarCell.Window,
        _ moment: inout ChargeMoment
    ) -> Bool {
        guard let cell = calendarCell else { return false }
        let next = cell.pointee.next(after: window)
        if number == next.number {
            moment.wallOffset = next.start &- moment.now
            return true
        }
        if catchUp(number, &moment) { return true }
        // The limit in force: a permit's plan may be of an older document.
        let definition = pointee.notes.takeUnretainedValue().definition
        let capacity = definition.parameters()?.current.values[0] ?? pointee.capacity
        let full = CalendarWindow.word(
            number: window.number,
            count: Swift.min(UInt64(Swift.max(0, capacity)), CalendarWindow.largestCount))
        if state.swap(word, full) {
            pointee.notes.takeUnretainedValue().damages.value.wrappingAdd(1, ordering: .relaxed)
        }
        return false
    }

    /// Reads the clock again where a window lies far ahead: a caller that was held up since it read
    /// the time must not take another one's window for damage.
    ///
    /// - Returns: whether the instants were raised; false: the window is ahead of time itself.
    func catchUp(_ number: UInt64, _ moment: inout ChargeMoment) -> Bool {
        guard let cell = calendarCell else { return false }
        let clock = pointee.notes.takeUnretainedValue().clock
        let now = Swift.max(moment.now, clock.now())
        let wallOffset = clock.wallOffset()
        let next = cell.pointee.next(after: cell.pointee.current(now &+ wallOffset))
        guard !CalendarWindow.isLater(number, than: next.number) else { return false }
        (moment.now, moment.wallOffset) = (now, wallOffset)
        return true
    }

    private func takeSlot(
        _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        let lease = Int64(bitPattern: pointee.detail)
        let expiry = LeaseSlots.expiry(now: moment.now, leaseNanoseconds: lease)
        return takeSlotCarefully(expiry, &moment, charge)
    }

    @inline(never)
    private func takeSlotCarefully(
        _ expiry: UInt64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        let notes = pointee.notes.takeUnretainedValue()
        guard isCurrent, notes.isInForce else { return .stale }
        let array = leases
        let segment = notes.definition.segment
        do throws(StoreError) {
            switch try array.claimAny(
                limit: pointee.capacity, owner: LeaseOwner(word: moment.owner), expiry: expiry,
                now: moment.now, in: segment)
            {
            case .claimed(let claim):
                guard isCurrent else {
                    array.release(claim)
                    return .stale
                }
                hint.storeRelaxed(UInt64(claim.offset))
                charge.pointee.place = UInt64(claim.offset)
                charge.pointee.amount = Int64(bitPattern: claim.word)
                let live = array.liveEstimate(limit: pointee.capacity, now: moment.now)
                moment.remaining = Swift.max(0, pointee.capacity &- live)
                return .taken
            case .full: return .refused
            case .disowned: return .stale
            case .retired:
                _ = array.retireIfIdle(now: moment.now)
                return .stale
            }
        } catch {
            moment.failure = StoreFailure(error)
            return .failed
        }
    }

    @inline(__always)
    var leases: LeaseArray {
        LeaseArray(
            record: pointee.record,
            base: UnsafeMutableRawPointer(bitPattern: UInt(pointee.parameters.0)).unsafelyUnwrapped,
            size: Int(truncatingIfNeeded: pointee.parameters.3),
            first: LeaseBlock(
                offset: Int(truncatingIfNeeded: pointee.parameters.4),
                count: Int(truncatingIfNeeded: pointee.parameters.5)))
    }

    @inline(never)
    func countRetry() {
        pointee.notes.takeUnretainedValue().definition.segment.retries.increment()
    }
}
