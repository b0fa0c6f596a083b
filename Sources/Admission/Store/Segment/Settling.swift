/// Giving back and booking more: what settlement does to one step's key.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    private var definition: Definition { pointee.notes.takeUnretainedValue().definition }

    /// Brings the bucket's word under the parameters in force: see `Segment.convertBucket`.
    func convertBucket() -> (bucket: TokenBucket, parity: UInt64)? {
        definition.segment.convertBucket(
            KeyReference(
                offset: pointee.record - definition.segment.base, tag: pointee.tag),
            of: definition)
    }

    /// Gives `amount` units back to where they were charged; what has passed is dropped.
    func refund(_ amount: Int64, place: UInt64, clock: StoreClock) {
        guard amount > 0 else { return }
        switch pointee.kind {
        case .bucket:
            changeBucket(clock) { bucket, word, now, parity in
                bucket.refunded(word, now: now, amount: amount, parity: parity)
            }
        case .rolling:
            guard isCurrent else { return }
            RollingCells(record: pointee.record).refund(
                rolling.pointee, epoch: place, amount: UInt64(amount), tag: pointee.tag,
                horizon: horizon, in: definition.segment)
        case .calendar:
            while true {
                let word = state.load()
                guard isCurrent, word != CalendarWindow.retired,
                    CalendarWindow.number(ofWord: word) == place
                else { return }
                let count = CalendarWindow.count(ofWord: word)
                let new = CalendarWindow.word(
                    number: place, count: count - Swift.min(count, UInt64(amount)))
                if state.swap(word, new) { return }
                countRetry()
            }
        case .concurrency, .slots, .parameters: return
        }
    }

    /// Books `amount` units that were used beyond what was charged, wherever that leads.
    ///
    /// - Returns: the place they went to; nil when the key was reclaimed: find it again.
    func exceed(_ amount: Int64, clock: StoreClock) -> UInt64? {
        guard amount > 0 else { return pointee.tag == 0 ? nil : 0 }
        switch pointee.kind {
        case .bucket:
            let isDone = changeBucket(clock) { bucket, word, now, parity in
                bucket.exceeded(word, now: now, amount: amount, parity: parity)
            }
            return isDone ? 0 : nil
        case .rolling: return exceedRolling(UInt64(amount), now: clock.now())
        case .calendar: return exceedCalendar(UInt64(amount), clock: clock)
        case .concurrency, .slots, .parameters: return 0
        }
    }

    @discardableResult
    private func changeBucket(
        _ clock: StoreClock, _ change: (TokenBucket, UInt64, Int64, UInt64) -> UInt64
    ) -> Bool {
        renewStamp(now: clock.now())
        while true {
            let word = state.load()
            guard isCurrent, word != TokenBucket.retired else { return false }
            // The plan's parameters are the word's own unless a load changed them since; the word's
            // parity alone does not tell that after two loads.
            var bucket = self.bucket.pointee
            if word & 1 != pointee.detail || !pointee.notes.takeUnretainedValue().isInForce {
                guard let (converted, parity) = convertBucket() else { return false }
                guard state.load() == word else { continue }
                guard word & 1 == parity else { continue }
                bucket = converted
            }
            if state.swap(word, change(bucket, word, clock.now(), word & 1)) { return true }
            countRetry()
        }
    }

    private func exceedRolling(_ amount: UInt64, now: Int64) -> UInt64? {
        let cells = RollingCells(record: pointee.record)
        var epoch = rolling.pointee.epoch(at: now)
        while true {
            guard isCurrent, let inForce = turn(to: epoch) else { return nil }
            epoch = inForce
            let cell = cells.cell(rolling.pointee.slot(ofEpoch: epoch))
            let word = cell.load()
            guard isCurrent else { return nil }
            guard RollingWindow.carries(word, epoch: epoch), !RollingWindow.isSealed(cell: word)
            else { continue }
            let count = RollingWindow.count(ofCell: word)
                .addingSaturated(amount, atMost: RollingWindow.largestCount)
            if cell.swap(word, RollingWindow.cell(word, counting: count)) { return epoch }
            countRetry()
        }
    }

    private func exceedCalendar(_ amount: UInt64, clock: StoreClock) -> UInt64? {
        guard let cell = calendarCell else { return nil }
        var moment = ChargeMoment(now: clock.now(), wallOffset: clock.wallOffset(), owner: 0)
        while true {
            let window = cell.pointee.current(moment.wall)
            let word = state.load()
            guard isCurrent, word != CalendarWindow.retired else { return nil }
            let number = CalendarWindow.number(ofWord: word)
            var used: UInt64 = 0
            if number == window.number {
                used = CalendarWindow.count(ofWord: word)
            } else if CalendarWindow.isLater(number, than: window.number) {
                _ = meetNewer(number, word, window, &moment)
                continue
            }
            let count = used.addingSaturated(amount, atMost: CalendarWindow.largestCount)
            if state.swap(word, CalendarWindow.word(number: window.number, count: count)) {
                return window.number
            }
            countRetry()
        }
    }

    /// Gives back everything that `take` charged, or frees its slot.
    func giveBack(_ charge: StepCharge, clock: StoreClock) {
        if pointee.kind == .concurrency {
            leases.release(
                LeaseArray.Claim(offset: Int(charge.place), word: UInt64(bitPattern: charge.amount))
            )
        } else {
            refund(charge.amount, place: charge.place, clock: clock)
        }
    }
}

/// Looking without changing anything, but for a damaged calendar word, which is repaired.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    /// What a limit shows: everything that `explain` and a rejection tell.
    struct View {
        var verdict: Verdict
        var used: Int64 = 0
        /// Nanoseconds until nothing counts; nil where nobody knows.
        var fullAgainNanoseconds: Int64?
        /// Wall nanoseconds of the next calendar boundary.
        var resetUnixNanoseconds: Int64?
    }

    /// The limit's answer to a charge at a moment; nil when the key or its parameters changed.
    ///
    /// - Parameter isDetailed: also tell when nothing will count any more, which a rolling limit
    ///   looks through all its cells for.
    func view(
        _ amount: Int64, _ moment: inout ChargeMoment, isDetailed: Bool = false
    ) -> View? {
        switch pointee.kind {
        case .bucket:
            renewStamp(now: moment.now)
            let word = state.load()
            guard isCurrent, word & 1 == pointee.detail, word != TokenBucket.retired else {
                return nil
            }
            let lead = bucket.pointee.lead(of: word, now: moment.now)
            return View(
                verdict: bucket.pointee.verdict(word, now: moment.now, amount: amount),
                used: bucket.pointee.used(lead: lead),
                fullAgainNanoseconds: bucket.pointee.nanoseconds(lead))
        case .rolling: return viewRolling(amount, &moment, isDetailed: isDetailed)
        case .calendar: return viewCalendar(amount, &moment)
        case .concurrency:
            // One that is being retired takes no claims: the plan is made anew, which finishes that.
            guard isCurrent, LeaseArray.isOpen(leases.state.load()) else { return nil }
            let live = leases.liveCount(now: moment.now)
            let left = Swift.max(0, pointee.capacity &- live)
            let verdict = Verdict(left > 0 ? .none : .concurrency, remaining: left)
            return View(verdict: verdict, used: live)
        case .slots, .parameters: return nil
        }
    }

    private func viewRolling(
        _ amount: Int64, _ moment: inout ChargeMoment, isDetailed: Bool
    ) -> View? {
        let cells = RollingCells(record: pointee.record)
        guard cells.base.load() != RollingCells.retiredBase else { return nil }
        // A newer epoch than the caller's is another caller's, or damage.
        if _slowPath(cells.stamp.load() > rolling.pointee.epoch(at: moment.now)) {
            guard isCurrent else { return nil }
            cells.mendIfDamaged(rolling.pointee, horizon)
        }
        let seen = cells.view(
            rolling.pointee, now: moment.now, limit: pointee.capacity, amount: amount,
            isDetailed: isDetailed)
        guard isCurrent else { return nil }
        moment.now = seen.now
        let left = pointee.capacity &- seen.used
        var verdict = Verdict(.none, remaining: Swift.max(0, left))
        if amount > pointee.capacity {
            verdict.refusal = .exceedsLimit
        } else if amount > left && (amount > 0 || left < 0) {
            verdict.refusal = amount == 0 ? .debt : .exhausted
            verdict.retryAfterNanoseconds = seen.retryAfterNanoseconds
        }
        return View(
            verdict: verdict, used: seen.used, fullAgainNanoseconds: seen.fullAgainNanoseconds)
    }

    private func viewCalendar(_ amount: Int64, _ moment: inout ChargeMoment) -> View? {
        guard let cell = calendarCell else { return nil }
        var window = cell.pointee.current(moment.wall)
        let word = state.load()
        guard isCurrent, word != CalendarWindow.retired else { return nil }
        let number = CalendarWindow.number(ofWord: word)
        var used: Int64 = 0
        if number == window.number {
            used = Int64(CalendarWindow.count(ofWord: word))
        } else if CalendarWindow.isLater(number, than: window.number) {
            // What a decision does too: damage is repaired by whoever looks first, so that it ends
            // with this window even where all later decisions are refused by looking.
            if meetNewer(number, word, window, &moment) {
                window = cell.pointee.current(moment.wall)
                used = Int64(CalendarWindow.count(ofWord: word))
            } else if catchUp(number, &moment) {
                return viewCalendar(amount, &moment)
            } else {
                used = pointee.capacity
            }
        }
        let left = pointee.capacity &- used
        let guarding = Int64(bitPattern: pointee.detail)
        var verdict = Verdict(.none, remaining: Swift.max(0, left))
        if amount > pointee.capacity {
            verdict.refusal = .exceedsLimit
        } else if amount > left {
            verdict.refusal = amount == 0 ? .debt : .exhausted
            // The guard does not hold up a cost of 0.
            verdict.retryAfterNanoseconds =
                window.end.addingSaturated(amount == 0 ? 0 : guarding) &- moment.wall
        } else if amount > 0 && moment.wall &- window.start < guarding {
            verdict.refusal = .boundaryGuard
            verdict.retryAfterNanoseconds = window.start &+ guarding &- moment.wall
        }
        return View(
            verdict: verdict, used: used,
            fullAgainNanoseconds: used > 0 ? window.end &- moment.wall : 0,
            resetUnixNanoseconds: window.end)
    }
}

/// What a permit does to its lease.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    private func claim(of charge: StepCharge) -> LeaseArray.Claim {
        LeaseArray.Claim(offset: Int(charge.place), word: UInt64(bitPattern: charge.amount))
    }

    /// Frees the slot; false when its lease had run out.
    @inline(__always)
    func releaseLease(_ charge: StepCharge, now: Int64) -> Bool {
        let leases = self.leases
        let isLive = leases.isLive(claim(of: charge), now: now)
        // The next decision through this plan begins at the slot that is free for certain.
        hint.storeRelaxed(charge.place)
        return leases.release(claim(of: charge)) && isLive
    }

    /// What is to be done behind a swap that freed a slot.
    @inline(__always)
    func freedSlot(at place: UInt64) {
        leases.freedSlot()
        // The next decision through this plan begins at the slot that is free for certain.
        hint.storeRelaxed(place)
    }

    func isLeaseLive(_ charge: StepCharge, now: Int64) -> Bool {
        leases.isLive(claim(of: charge), now: now)
    }

    /// Extends the lease to `until` plus its length, no farther than the longest hold.
    func renewLease(
        _ charge: StepCharge, acquiredAt: Int64, now: Int64, until: Int64
    ) -> Bool {
        let lease = Int64(bitPattern: pointee.detail)
        let hold = Int64(bitPattern: pointee.parameters.1)
        let end = Swift.min(until.addingSaturated(lease), acquiredAt.addingSaturated(hold))
        guard end > now else { return leases.isLive(claim(of: charge), now: now) }
        let expiry = LeaseSlots.expiry(now: end, leaseNanoseconds: 0)
        guard leases.renew(claim(of: charge), expiry: expiry, now: now) else { return false }
        leases.stamp(claim(of: charge), acquiredAt: acquiredAt)
        return true
    }

    /// Looks for dead owners: every slot is taken.
    @inline(never)
    func reclaimDead(now: Int64) { definition.segment.reclaimDeadForClaim(now: now) }
}

extension SegmentStore {
    /// Books on a key that was reclaimed since the plan was made: it is found or made again.
    ///
    /// - Returns: the place; nil where there is no room for the key, which loses the excess.
    package func exceedAnew(
        _ amount: Int64, _ plan: ChargePlanReference, _ index: Int
    ) -> UInt64? {
        let step = plan.step(index)
        let notes = step.pointee.notes.takeUnretainedValue()
        var copy = step.pointee
        for _ in 0..<3 {
            let key = try? segment.findOrCreateKey(
                notes.definition, text: plan.text(of: index),
                seed: { self.seed(notes, cell: step.pointee.calendar) })
            guard let key else { return nil }
            copy.record = segment.base + key.offset
            copy.tag = key.tag
            let place = withUnsafeMutablePointer(to: &copy) { $0.exceed(amount, clock: clock) }
            if let place { return place }
        }
        return nil
    }
}
