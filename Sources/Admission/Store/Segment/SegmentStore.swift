import Synchronization

/// The store whose counters are words of a mapped segment.
///
/// Threads: any. Decisions take no lock; loads of a document and making notes do, in this process
/// alone. Owner of the segment, of all notes, and of the calendar cells.
package final class SegmentStore: Store {
    package let segment: Segment
    package let clock: StoreClock
    package let url: String
    package let mode: StoreMode

    private struct Tables {
        var notes: [NotesKey: LimitNotes] = [:]
        var calendars: [CalendarKey: UInt] = [:]
    }

    private struct NotesKey: Hashable {
        var definition: Int
        var parameterNumber: UInt64
    }

    private struct CalendarKey: Hashable {
        var zone: [UInt8]
        var unit: CalendarUnit
    }

    let planMemory = PlanMemory()
    private let tables = ForkableLock(Tables(), rank: .notes)
    private let loading = ForkableLock((), rank: .load)

    package init(segment: Segment, clock: StoreClock, url: String = "memory:") {
        self.segment = segment
        self.url = url
        mode = segment.isShared ? .file : .memory
        self.clock = clock
        assert(UnsafeMutablePointer<ChargeStep>.checkLayout(), "offsets that plans rely on")
        // Makes the table's lock here, where no other lock is held.
        _ = InternedName("")
    }

    deinit {
        tables.withLock { tables in
            for bits in tables.calendars.values {
                let cell = UnsafeMutablePointer<CalendarCell>(bitPattern: bits)
                cell?.deinitialize(count: 1)
                cell?.deallocate()
            }
        }
    }

    /// Notes both times in a file, for the first process after a reboot: once a second or so.
    package func stampTimes() {
        if segment.isShared, segment.clockKind == .system { SegmentClock.stamp(segment, clock) }
    }

    package var keyCount: Int { segment.keyCount }
    package var keyCapacity: Int { segment.keyCapacity }

    package func load(_ scopes: [LimitScope]) throws(StoreError) -> LoadedLimits {
        let result = loading.withLock { _ in
            Result { () throws(StoreError) in try loadLocked(scopes) }
        }
        return try result.get()
    }

    private func loadLocked(_ scopes: [LimitScope]) throws(StoreError) -> LoadedLimits {
        let now = clock.now()
        // What may fail comes first: a load that is refused has changed nothing.
        var definitions: [[Definition]] = []
        for scope in scopes {
            var row: [Definition] = []
            for limit in scope.limits { row.append(try definition(limit, of: scope, now: now)) }
            definitions.append(row)
        }
        let notes = zip(scopes, definitions).map { scope, row in
            zip(scope.limits, row).map { limit, definition in
                load(limit, of: scope, into: definition, now: now)
            }
        }
        segment.loadVersion.increment()
        return LoadedLimits(notes: notes)
    }

    private func definition(
        _ limit: Limit, of scope: LimitScope, now: Int64
    ) throws(StoreError) -> Definition {
        var identity = LimitKey.definition(policy: scope.policy, limit: limit)
        for name in scope.keyNames { LimitKey.append(name.utf8, to: &identity) }
        return try segment.definition(
            identity: identity, kind: limit.kind.code,
            parameters: Definition.Parameters(limit.kind, loadedAt: now))
    }

    private func load(
        _ limit: Limit, of scope: LimitScope, into definition: Definition, now: Int64
    ) -> LimitNotes {
        let parameters = Definition.Parameters(limit.kind, loadedAt: now)
        if definition.parameters().current.values != parameters.values {
            if definition.sweptNumber != definition.parameterNumber { sweep(definition) }
            definition.setParameters(parameters)
            sweep(definition)
        }
        let number = definition.parameterNumber
        let notes = tables.withLock { tables in
            let key = NotesKey(definition: definition.offset, parameterNumber: number)
            if let known = tables.notes[key] { return known }
            let notes = LimitNotes(
                definition: definition, clock: clock, policyName: scope.policy, limit: limit,
                attributeNames: scope.keyNames,
                parameterNumber: number)
            tables.notes[key] = notes
            return notes
        }
        notes.wasMatched.store(false, ordering: .relaxed)
        notes.wasCharged = false
        return notes
    }

    /// Brings every word of a definition under its parameters in force.
    private func sweep(_ definition: Definition) {
        if definition.kind == .bucket {
            segment.forEachKey { key, owner in
                guard owner.offset == definition.offset else { return }
                _ = segment.convertBucket(key, of: definition)
            }
        }
        definition.sweptNumber = definition.parameterNumber
    }

    /// The cell of a zone and unit, made where it is new.
    func calendarCell(zone name: String, unit: CalendarUnit) throws(ZoneError) -> UnsafeRawPointer {
        let key = CalendarKey(zone: Array(name.utf8), unit: unit)
        if let bits = tables.withLock({ $0.calendars[key] }),
            let known = UnsafeRawPointer(bitPattern: bits)
        {
            return known
        }
        let zone = try Zone(named: name)
        let bits = tables.withLock { tables -> UInt in
            if let known = tables.calendars[key] { return known }
            let cell = UnsafeMutablePointer<CalendarCell>.allocate(capacity: 1)
            cell.initialize(to: CalendarCell(zone: zone, unit: unit))
            let bits = UInt(bitPattern: cell)
            tables.calendars[key] = bits
            return bits
        }
        return UnsafeRawPointer(bitPattern: bits).unsafelyUnwrapped
    }

    package func reclaim() -> Int {
        let now = clock.now()
        let wall = now &+ clock.wallOffset()
        var reclaimed = 0
        segment.forEachKey { key, definition in
            guard retireIfIdle(key, definition, now: now, wall: wall) else { return }
            segment.finishRetirement(key.offset, tag: key.tag)
            reclaimed += 1
        }
        segment.recountKeys()
        return reclaimed
    }

    private func retireIfIdle(
        _ key: KeyReference, _ definition: Definition, now: Int64, wall: Int64
    ) -> Bool {
        let record = segment.base + key.offset
        // Who began to remove it died.
        if segment.isRetired(key.offset, kind: definition.kind) { return true }
        let parameters = definition.parameters().current
        guard parameters.isPlausible(definition.kind) else { return false }
        let values = parameters.values
        switch definition.kind {
        case .bucket:
            guard let (bucket, _) = segment.convertBucket(key, of: definition) else { return false }
            if bucket.needsStamp {
                BucketStamp(record: record).renew(bucket, now: now, tag: key.tag)
            }
            let state = segment.word(key.offset + KeyRecord.state)
            let word = state.load()
            return bucket.lead(of: word, now: now) == 0 && state.swap(word, TokenBucket.retired)
        case .rolling:
            let window = RollingWindow(
                limit: values[0], windowNanoseconds: values[1], guardNanoseconds: values[2])
            return RollingCells(record: record).retireIfIdle(window, now: now)
        case .calendar: return retireCalendarIfIdle(key, definition, wall: wall)
        case .concurrency:
            guard segment.hasSoundBlocks(key.offset) else { return false }
            return LeaseArray(segment, at: key.offset).retireIfIdle(now: now)
        case .slots, .parameters: return false
        }
    }

    /// A calendar key is idle when the window behind its own has passed too: a step of the wall
    /// clock back into a window that was spent must not find it fresh. One of the current window
    /// stays even unused, so that a record made anew in its space never holds the word that a stale
    /// reader expects.
    private func retireCalendarIfIdle(
        _ key: KeyReference, _ definition: Definition, wall: Int64
    ) -> Bool {
        let known = tables.withLock { tables in
            tables.notes.values.first { $0.definition.offset == definition.offset }
        }
        guard case .calendarWindow(_, let unit, let zone, _)? = known?.limit.kind,
            let address = try? calendarCell(zone: zone, unit: unit)
        else { return false }
        let cell = address.assumingMemoryBound(to: CalendarCell.self)
        let previous = cell.pointee.previous(before: cell.pointee.current(wall))
        let state = segment.word(key.offset + KeyRecord.state)
        let word = state.load()
        guard CalendarWindow.isLater(previous.number, than: CalendarWindow.number(ofWord: word))
        else { return false }
        return state.swap(word, CalendarWindow.retired)
    }
}

extension LimitKind {
    /// The kind as segments store it.
    var code: LimitKindCode {
        switch self {
        case .tokenBucket: .bucket
        case .rollingWindow: .rolling
        case .calendarWindow: .calendar
        case .concurrency: .concurrency
        }
    }
}

extension Segment {
    /// Brings a bucket's word under the parameters in force, where a reload left it behind.
    ///
    /// - Returns: the bucket in force and its parity; nil when the key is gone.
    func convertBucket(
        _ key: KeyReference, of definition: Definition
    ) -> (bucket: TokenBucket, parity: UInt64)? {
        let state = word(key.offset + KeyRecord.state)
        while true {
            let (number, parameters) = definition.parameters()
            let word = state.load()
            guard Self.isSameLife(self.word(key.offset + KeyRecord.tag).load(), key.tag),
                word != TokenBucket.retired
            else { return nil }
            let bucket = parameters.bucket
            let parity = number & 1
            if word & 1 == parity { return (bucket, parity) }
            let old = definition.previousParameters().bucket
            // Another load in between would have changed the number, and the old slot with it.
            guard definition.parameterNumber == number else { continue }
            let new = bucket.converted(word, from: old, now: parameters.loadedAt, parity: parity)
            // Before the word: the stamp of a bucket that did not need one may be ancient.
            self.word(key.offset + KeyRecord.stamp).raise(UInt64(bitPattern: parameters.loadedAt))
            if state.swap(word, new) { return (bucket, parity) }
            retries.increment()
        }
    }
}
