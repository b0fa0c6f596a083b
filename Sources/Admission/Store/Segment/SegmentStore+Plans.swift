/// Making plans: attributes' keys found or made, parameters copied beside them.
extension SegmentStore {
    /// Why a plan could not be made.
    package enum PlanFault: Error {
        case store(StoreError)
        case zone(ZoneError)
        case tooManyLimits(count: Int)
    }

    /// One limit that applies, with its key's text.
    private struct Entry {
        var notes: LimitNotes
        var documentIndex: Int
        var text: [UInt8]
        var key: KeyReference
        var cell: UnsafeRawPointer?
    }

    /// Makes the plan of a gate.
    ///
    /// - Parameters:
    ///   - version: the segment's load version, read before `loaded` was.
    ///   - core: what decisions find behind the plan.
    ///   - attributes: kept in the plan, for `ChargePlanReference.attributes`.
    /// - Returns: a plan that the caller owns, to be freed with `free`.
    /// - Complexity: O(limits); one look-up of a key each.
    package func makePlan(
        _ loaded: LoadedLimits, matches: [ScopeMatch], version: UInt64,
        core: UnsafeMutableRawPointer, keeping attributes: [Attribute] = []
    ) throws(PlanFault) -> ChargePlanReference {
        var entries: [Entry] = []
        for match in matches {
            for (index, notes) in loaded.notes[match.scopeIndex].enumerated() {
                let notes = try inForce(notes)
                entries.append(
                    try entry(
                        notes, documentIndex: loaded.firstIndex[match.scopeIndex] + index,
                        text: match.text))
            }
        }
        guard entries.count <= ChargePlan.maximumSteps else {
            throw .tooManyLimits(count: entries.count)
        }
        if entries.count > 1 { entries.sort(by: Self.isTakenFirst) }
        let textBytes = entries.reduce(0) { $0 + $1.text.count }
        let attributesStart =
            ChargePlan.headBytes + entries.count * ChargePlan.stepBytes + textBytes
        let bytes = attributesStart + ChargePlanReference.bytes(of: attributes)
        guard let memory = planMemory.allocate(bytes: bytes) else {
            throw .store(.outOfMemory(bytes: bytes, errno: 0))
        }
        let plan = ChargePlanReference(memory)
        plan.keep(attributes, at: attributesStart, bytes: bytes)
        fill(plan, entries, version: version, core: core)
        return plan
    }

    /// Frees the plan alone, not its successors.
    package func free(_ plan: ChargePlanReference) {
        plan.forgetRemote()
        planMemory.free(plan.address, bytes: plan.bytes)
    }

    /// The global order of taking: concurrency first, then by address, the same for every plan.
    private static func isTakenFirst(_ left: Entry, _ right: Entry) -> Bool {
        let isLeftSlot = left.notes.definition.kind == .concurrency
        let isRightSlot = right.notes.definition.kind == .concurrency
        if isLeftSlot != isRightSlot { return isLeftSlot }
        return left.key.offset < right.key.offset
    }

    private func entry(
        _ notes: LimitNotes, documentIndex: Int, text: [UInt8]
    ) throws(PlanFault) -> Entry {
        var cell: UnsafeRawPointer?
        if case .calendarWindow(_, let unit, let zone, _) = notes.limit.kind {
            do throws(ZoneError) {
                cell = try calendarCell(zone: zone, unit: unit)
            } catch {
                throw .zone(error)
            }
        }
        do throws(StoreError) {
            let key = try key(notes, text: text, cell: cell)
            // A key that was published while a load passed by is not under its parameters yet.
            if notes.definition.kind == .bucket,
                segment.convertBucket(key, of: notes.definition) == nil, segment.isLive(key)
            {
                throw notes.definition.damage
            }
            try check(key, of: notes.definition)
            if !notes.tally.wasMatched.load(ordering: .relaxed) {
                notes.tally.wasMatched.store(true, ordering: .relaxed)
            }
            return Entry(
                notes: notes, documentIndex: documentIndex, text: text, key: key, cell: cell)
        } catch {
            throw .store(error)
        }
    }

    /// The notes on a limit under the parameters that the segment holds.
    private func inForce(_ notes: LimitNotes) throws(PlanFault) -> LimitNotes {
        do throws(StoreError) {
            return try notesInForce(notes)
        } catch {
            throw .store(error)
        }
    }

    /// Looks at everything that decisions on a key follow; they look no more.
    private func check(_ key: KeyReference, of definition: Definition) throws(StoreError) {
        guard definition.kind == .concurrency else { return }
        guard segment.hasSoundBlocks(key.offset) else {
            throw segment.corrupted("slots of the key at byte \(key.offset)")
        }
        let leases = LeaseArray(segment, at: key.offset)
        // Somebody began to retire it and died: it is open again, or gone and found anew.
        if !LeaseArray.isOpen(leases.state.load()) { _ = leases.retireIfIdle(now: clock.now()) }
    }

    /// The key's record; where the table is full, idle keys are reclaimed first.
    private func key(
        _ notes: LimitNotes, text: [UInt8], cell: UnsafeRawPointer?
    ) throws(StoreError) -> KeyReference {
        do throws(StoreError) {
            return try findOrCreate(notes, text: text, cell: cell)
        } catch {
            switch error {
            case .keyTableFull, .arenaFull:
                // The count of keys may have been mended, too.
                guard reclaim() > 0 || keyCount < keyCapacity else { throw error }
                return try findOrCreate(notes, text: text, cell: cell)
            default: throw error
            }
        }
    }

    private func findOrCreate(
        _ notes: LimitNotes, text: [UInt8], cell: UnsafeRawPointer?
    ) throws(StoreError) -> KeyReference {
        try withBytes(text) { (bytes) throws(StoreError) in
            try segment.findOrCreateKey(notes.definition, text: bytes) {
                seed(notes, cell: cell)
            }
        }
    }

    /// `withUnsafeBytes` with a typed error.
    private func withBytes<Success>(
        _ text: [UInt8], _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Success
    ) throws(StoreError) -> Success {
        let result = text.withUnsafeBytes { bytes in
            Result { () throws(StoreError) in try body(bytes) }
        }
        return try result.get()
    }

    /// The words that a new key of a limit starts from.
    package func seed(_ notes: LimitNotes, cell: UnsafeRawPointer?) -> KeySeed {
        let now = clock.now()
        switch notes.limit.kind {
        case .tokenBucket:
            // Full under any parameters, since loads may pass by before the key is published: an
            // instant that is not ahead in any scale, and a stamp that makes who needs one renew it.
            return .bucket(UInt64(bitPattern: now) << 1 | notes.parameterNumber & 1, stamp: 0)
        case .rollingWindow(let limit, let window, let guarding):
            let rolling = RollingWindow(
                limit: limit, windowNanoseconds: window, guardNanoseconds: guarding)
            return .rolling(rolling, epoch: rolling.epoch(at: now))
        case .calendarWindow:
            let wall = now &+ clock.wallOffset()
            let number =
                cell?.assumingMemoryBound(to: CalendarCell.self).pointee.current(wall).number ?? 0
            return .calendar(CalendarWindow.word(number: number, count: 0))
        case .concurrency(let limit, _, _):
            return .concurrency(slots: Int(min(limit, 1 << 20)))
        }
    }
}

/// Filling a plan's memory.
extension SegmentStore {
    private func fill(
        _ plan: ChargePlanReference, _ entries: [Entry], version: UInt64,
        core: UnsafeMutableRawPointer
    ) {
        var textOffset = ChargePlan.headBytes + entries.count * ChargePlan.stepBytes
        for (index, entry) in entries.enumerated() {
            fill(plan.step(index), entry)
            plan.step(index).pointee.textOffset = UInt32(textOffset)
            plan.step(index).pointee.textLength = UInt32(entry.text.count)
            entry.text.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress {
                    (plan.address + textOffset).copyMemory(from: start, byteCount: bytes.count)
                }
            }
            textOffset += entry.text.count
        }
        let head = plan.head
        head.pointee.core = core
        head.pointee.version = UInt32(truncatingIfNeeded: version)
        head.pointee.stepCount = UInt16(entries.count)
        head.pointee.hasConcurrency = entries.contains { $0.notes.definition.kind == .concurrency }
        head.pointee.isSingleBucket = false
        head.pointee.record = segment.base
        head.pointee.steadyOffset = clock.steadyOffset
        head.pointee.isOfFewLimits = isServedAtOnce(plan)
        if entries.count == 1, entries[0].notes.definition.kind == .bucket {
            fillSingle(plan)
        }
    }

    private func fill(_ step: UnsafeMutablePointer<ChargeStep>, _ entry: Entry) {
        let notes = entry.notes
        let parameters = notes.parameters
        step.pointee.record = segment.base + entry.key.offset
        step.pointee.tag = entry.key.tag
        step.pointee.notes = Unmanaged.passUnretained(notes)
        step.pointee.policyName = notes.policyName.address
        step.pointee.limitName = notes.limitName.address
        step.pointee.kind = notes.definition.kind
        step.isNoted = notes.wasCharged
        step.pointee.documentIndex = UInt16(truncatingIfNeeded: entry.documentIndex)
        step.pointee.countIndex = notes.limit.count.index
        step.pointee.calendar = entry.cell
        let values = parameters.values
        switch notes.definition.kind {
        case .bucket:
            step.pointee.capacity = values[2]
            step.pointee.detail = notes.parameterNumber & 1
            step.setParameters(parameters.bucket)
        case .rolling:
            step.pointee.capacity = values[0]
            step.setParameters(
                RollingWindow(
                    limit: values[0], windowNanoseconds: values[1], guardNanoseconds: values[2]))
        case .calendar:
            step.pointee.capacity = values[0]
            step.pointee.detail = UInt64(bitPattern: values[2])
        case .concurrency:
            step.pointee.capacity = values[0]
            step.pointee.detail = UInt64(bitPattern: values[1])
            step.pointee.parameters.0 = UInt64(UInt(bitPattern: segment.base))
            step.pointee.parameters.1 = UInt64(bitPattern: values[2])
            let leases = LeaseArray(segment, at: entry.key.offset)
            step.pointee.parameters.3 = UInt64(segment.size)
            step.pointee.parameters.4 = UInt64(leases.first.offset)
            step.pointee.parameters.5 = UInt64(leases.first.count)
            segment.word(Segment.Header.longestLease).raise(UInt64(max(0, values[1])))
            step.pointee.parameters.2 = step.leases.capacity > values[0] ? 1 : 0
            step.hint.storeRelaxed(UInt64(step.leases.firstSlot))
            // "Full" was said for the slots of another document, perhaps.
            step.leases.fullHint.store(0)
        case .slots, .parameters: break
        }
    }

    /// Repeats the one bucket of a plan in its head.
    private func fillSingle(_ plan: ChargePlanReference) {
        let step = plan.step(0)
        let bucket = step.bucket.pointee
        let head = plan.head
        // A bucket with a stamp takes the general way, which looks at it, as does a manual clock.
        guard let count = UInt8(exactly: step.pointee.countIndex), !bucket.needsStamp,
            !clock.isManual
        else { return }
        head.pointee.isSingleBucket = true
        head.pointee.countIndex = count
        head.pointee.parity = step.pointee.detail
        head.pointee.record = step.pointee.record
        head.pointee.tag = step.pointee.tag
        head.pointee.interval = bucket.interval
        head.pointee.tolerance = bucket.tolerance
        head.pointee.shared = step.pointee.notes.takeUnretainedValue().shared.address
        head.pointee.isPlainBucket = count <= 1
    }

    /// Whether `acquireAtOnce` serves the plan: few limits, windows and one concurrency limit with
    /// few slots, of counts that are not extra.
    private func isServedAtOnce(_ plan: ChargePlanReference) -> Bool {
        let count = plan.stepCount
        guard !clock.isManual, count >= 1, count <= ChargePlanReference.maximumAtOnce else {
            return false
        }
        return (0..<count).allSatisfy { index in
            let step = plan.step(index)
            guard step.pointee.countIndex <= Count.concurrency.index else { return false }
            switch step.pointee.kind {
            case .rolling: return true
            case .calendar: return step.pointee.calendar != nil
            case .concurrency:
                return index == 0 && step.pointee.capacity <= 16
                    && step.pointee.parameters.2 == 0
            case .bucket, .slots, .parameters: return false
            }
        }
    }
}
