/// The plan of a single bucket: one line of the plan, one of the key, one swap.
extension ChargePlanReference {
    /// Reads the clock and computes the swap that would charge a plan of one bucket; nil: take the
    /// general way. Nothing is charged.
    ///
    /// Calls nothing: whatever would need a call (a clock to be looked at anew, a limit that was
    /// never met before) is left to the general way. It is apart from `commit` so that a caller
    /// has the clock and the key read before it swaps another word: loads wait behind a swap.
    ///
    /// - Parameters:
    ///   - amount: units of the bucket's count.
    ///   - version: see `isInForce(by:)`; asked behind the key's word.
    @inline(__always)
    package func prepareSingle(_ amount: Int64, version: SharedWord) -> SingleCharge? {
        let head = self.head
        let state = SharedWord(head.pointee.record, at: KeyRecord.state)
        guard _fastPath(shared.wasCharged.loadRelaxed() != 0),
            let time = CounterClock.shared.nanosecondsByAnchor()
        else { return nil }
        let (high, charged) = head.pointee.interval.multipliedFullWidth(
            by: UInt64(bitPattern: amount))
        let now = time &+ head.pointee.steadyOffset
        let word = state.load()
        let after = lead(of: word, now: now) &+ charged
        // Tag and version are read behind the word.
        let tag = SharedWord(head.pointee.record, at: KeyRecord.tag).load()
        guard
            _fastPath(
                high == 0 && charged <= head.pointee.tolerance && amount > 0
                    && isOurs(word, tag: tag) && isInForce(by: version)
                    && after <= head.pointee.tolerance)
        else { return nil }
        return SingleCharge(
            now: now, wall: time &+ CounterClock.shared.wallOffsetNanoseconds(), word: word,
            next: self.word(lead: after, now: now), after: after)
    }

    /// How far a word lies ahead of now.
    @inline(__always)
    private func lead(of word: UInt64, now: Int64) -> UInt64 {
        let lead = (word & ~1) &- UInt64(bitPattern: now) &<< 1
        return lead > UInt64(Int64.max) ? 0 : lead
    }

    /// The word of a lead within the tolerance. It never is the word that means "retired": twice an
    /// instant of steady time and a tolerance are below 2^63 each, and the last bit is the parity.
    @inline(__always)
    private func word(lead: UInt64, now: Int64) -> UInt64 {
        UInt64(bitPattern: now) &<< 1 &+ lead | head.pointee.parity
    }

    /// Whether a word is one of the plan's key, under the plan's parameters.
    @inline(__always)
    private func isOurs(_ word: UInt64, tag: UInt64) -> Bool {
        let strange = (word ^ head.pointee.parity) & 1 | (tag ^ head.pointee.tag)
        return strange == 0 && word != TokenBucket.retired
    }

    /// Charges what was prepared, looking again where another writer came first. Lock-free.
    ///
    /// - Parameters:
    ///   - version: as for `prepareSingle`.
    ///   - retries: counts swaps that met another writer; asked for then alone.
    /// - Returns: the lead now; `SingleCharge.refused`: nothing was charged.
    @inline(__always)
    package func commit(
        _ charge: SingleCharge, _ amount: Int64, version: SharedWord,
        retries: @autoclosure () -> SharedWord
    ) -> UInt64 {
        let state = SharedWord(head.pointee.record, at: KeyRecord.state)
        if _fastPath(state.swap(charge.word, charge.next)) { return charge.after }
        return commitAgain(amount, now: charge.now, version: version, retries: retries())
    }

    /// The same after another writer came first.
    @inline(never)
    private func commitAgain(
        _ amount: Int64, now: Int64, version: SharedWord, retries: SharedWord
    ) -> UInt64 {
        let state = SharedWord(head.pointee.record, at: KeyRecord.state)
        let charged = head.pointee.interval &* UInt64(bitPattern: amount)
        while true {
            retries.increment()
            let word = state.load()
            let after = lead(of: word, now: now) &+ charged
            let tag = SharedWord(head.pointee.record, at: KeyRecord.tag).load()
            guard isOurs(word, tag: tag), isInForce(by: version),
                after <= head.pointee.tolerance
            else { return SingleCharge.refused }
            if state.swap(word, self.word(lead: after, now: now)) { return after }
        }
    }

    /// Whole units left at a lead within the tolerance.
    @inline(__always)
    package func remainingSingle(lead: UInt64) -> Int64 {
        let span = head.pointee.tolerance &- lead
        var left = span.multipliedFullWidth(by: shared.address.pointee.reciprocal).high
        // The reciprocal is rounded down: the quotient is exact or one too small.
        if span &- left &* head.pointee.interval >= head.pointee.interval { left &+= 1 }
        return Int64(bitPattern: left)
    }
}

/// A charge of a plan of one bucket that is ready to be swapped in.
package struct SingleCharge {
    package let now: Int64
    package let wall: Int64
    /// The word that was seen, the one to put there, and the lead that it holds.
    let word: UInt64
    let next: UInt64
    let after: UInt64

    /// No lead: those are even, and within a tolerance below 2^63.
    package static var refused: UInt64 { .max }
}
