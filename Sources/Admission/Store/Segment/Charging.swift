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
    /// The store could not make room for another slot.
    case failed
}

/// The moving parts of a decision: its instants, which may be raised, and what it has seen.
struct ChargeMoment {
    /// Steady nanoseconds.
    var now: Int64
    /// Wall minus steady nanoseconds.
    var wallOffset: Int64
    /// Lease owner number of this process.
    var owner: UInt64
    /// Units left on the step just taken.
    var remaining: Int64 = 0

    @inline(__always)
    var wall: Int64 { now &+ wallOffset }
}

/// Taking a step: one compare-and-swap loop for each kind.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    @inline(__always)
    func take(
        _ amount: Int64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        charge.pointee.amount = amount
        charge.pointee.laterAmount = 0
        charge.pointee.total = amount
        switch pointee.kind {
        case .bucket: return takeBucket(amount, &moment)
        case .rolling: return takeRolling(amount, &moment, charge)
        case .calendar: return takeCalendar(amount, &moment, charge)
        case .concurrency: return takeSlot(&moment, charge)
        case .slots: return .stale
        }
    }

    @inline(__always)
    private func takeBucket(_ amount: Int64, _ moment: inout ChargeMoment) -> StepOutcome {
        let bucket = self.bucket
        guard amount <= bucket.pointee.burst else { return .refused }
        renewStamp(now: moment.now)
        while true {
            let word = state.load()
            guard isCurrent, word & 1 == pointee.detail, word != TokenBucket.retired else {
                return .stale
            }
            let lead = bucket.pointee.lead(of: word, now: moment.now)
            let after = bucket.pointee.lead(lead, charged: amount)
            guard after <= bucket.pointee.tolerance else { return .refused }
            moment.remaining = bucket.pointee.remaining(lead: after)
            if amount == 0 { return .taken }
            let new = bucket.pointee.word(lead: after, now: moment.now, parity: pointee.detail)
            if state.swap(word, new) { return .taken }
            countRetry()
        }
    }

    @inline(__always)
    private func takeRolling(
        _ amount: Int64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
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
            guard amount <= left else {
                // A cost of 0 is refused in debt alone.
                if amount == 0, left >= 0 { return .taken }
                return .refused
            }
            moment.remaining = left &- amount
            charge.pointee.place = epoch
            if amount == 0 { return .taken }
            if cell.swap(word, word &+ UInt64(bitPattern: amount)) { return .taken }
            countRetry()
        }
    }

    @inline(never)
    func turn(to epoch: UInt64) -> UInt64? {
        let segment = pointee.notes.takeUnretainedValue().definition.segment
        return RollingCells(record: pointee.record).turn(rolling.pointee, to: epoch, in: segment)
    }

    @inline(__always)
    private func takeCalendar(
        _ amount: Int64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
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
            guard amount <= left else { return .refused }
            moment.remaining = left &- amount
            charge.pointee.place = window.number
            // A cost of 0 is refused in debt alone.
            if amount == 0 { return .taken }
            guard moment.wall &- window.start >= Int64(bitPattern: pointee.detail) else {
                return .refused
            }
            let new = CalendarWindow.word(
                number: window.number, count: used &+ UInt64(bitPattern: amount))
            if state.swap(word, new) { return .taken }
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
        // A caller that was held up for more than a window behind its reading of the clock finds
        // the present far ahead: that is no damage. Read behind the word, the clock tells.
        let now = pointee.notes.takeUnretainedValue().clock.now()
        if now > moment.now, now &+ moment.wallOffset >= window.end {
            moment.now = now
            return true
        }
        let full = CalendarWindow.word(
            number: window.number, count: UInt64(bitPattern: pointee.capacity))
        if state.swap(word, full) {
            pointee.notes.takeUnretainedValue().damages.value.wrappingAdd(1, ordering: .relaxed)
        }
        return false
    }

    @inline(__always)
    private func takeSlot(
        _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        let array = leases
        let lease = Int64(bitPattern: pointee.detail)
        let expiry = LeaseSlots.expiry(now: moment.now, leaseNanoseconds: lease)
        let hint = Int(truncatingIfNeeded: self.hint.loadRelaxed())
        // A block that has more slots than the limit is left to the careful path.
        if _fastPath(hint != 0 && pointee.parameters.2 == 0),
            let claim = array.claim(
                hint: hint, owner: moment.owner, expiry: expiry, now: moment.now)
        {
            let state = array.state.loadSequential()
            if _fastPath(LeaseArray.isOpen(state) && isCurrent) {
                charge.pointee.place = UInt64(claim.offset)
                charge.pointee.amount = Int64(bitPattern: claim.word)
                let live = array.liveEstimate(limit: pointee.capacity, now: moment.now)
                moment.remaining = Swift.max(0, pointee.capacity &- live)
                return .taken
            }
            array.release(claim)
        }
        return takeSlotCarefully(expiry, &moment, charge)
    }

    @inline(never)
    private func takeSlotCarefully(
        _ expiry: UInt64, _ moment: inout ChargeMoment, _ charge: UnsafeMutablePointer<StepCharge>
    ) -> StepOutcome {
        guard isCurrent else { return .stale }
        let array = leases
        let segment = pointee.notes.takeUnretainedValue().definition.segment
        do throws(StoreError) {
            switch try array.claimAny(
                limit: pointee.capacity, owner: moment.owner, expiry: expiry, now: moment.now,
                in: segment)
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
            case .retired:
                _ = array.retireIfIdle(now: moment.now)
                return .stale
            }
        } catch {
            return .failed
        }
    }

    @inline(__always)
    var leases: LeaseArray {
        LeaseArray(
            record: pointee.record,
            base: UnsafeMutableRawPointer(bitPattern: UInt(pointee.parameters.0)).unsafelyUnwrapped)
    }

    @inline(never)
    func countRetry() {
        pointee.notes.takeUnretainedValue().definition.segment.retries.increment()
    }
}
