import Synchronization

/// The store whose counters are words of a mapped segment.
///
/// Threads: any. Decisions take no lock; making notes does, in this process alone. Owner of the segment, of all notes, and of the calendar cells.
package final class SegmentStore: Store {
    package let segment: Segment
    package let clock: StoreClock
    package let url: String
    package let mode: StoreMode

    struct Tables {
        /// By the offset of its definition.
        var limits: [Int: KnownLimit] = [:]
        fileprivate var calendars: [CalendarKey: UInt] = [:]
    }

    /// A limit of the document as this process knows it.
    struct KnownLimit {
        let tally: LimitTally
        /// The newest last. Plans name them unowned, so none is ever dropped: one for each set of
        /// parameters that this process decided with.
        var notes: [LimitNotes] = []
    }

    fileprivate struct CalendarKey: Hashable {
        var zone: [UInt8]
        var unit: CalendarUnit
    }

    let planMemory = PlanMemory()
    let tables = ForkableLock(Tables(), rank: .notes)

    /// - Parameter mode: of the store that holds the counters; nil: this one's own.
    package init(
        segment: Segment, clock: StoreClock, url: String = "memory:", mode: StoreMode? = nil
    ) {
        self.segment = segment
        self.url = url
        self.mode = mode ?? (segment.isShared ? .file : .memory)
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
        var calendars = CalendarPresent(wall: now &+ clock.wallOffset())
        var reclaimed = 0
        segment.forEachKey { key, definition in
            guard retireIfIdle(key, definition, now: now, &calendars) else { return }
            segment.finishRetirement(key.offset, tag: key.tag)
            reclaimed += 1
        }
        segment.recountKeys()
        return reclaimed
    }

    private func retireIfIdle(
        _ key: KeyReference, _ definition: Definition, now: Int64,
        _ calendars: inout CalendarPresent
    ) -> Bool {
        let record = segment.base + key.offset
        // Who began to remove it died.
        if segment.isRetired(key.offset, kind: definition.kind) { return true }
        guard let (number, parameters) = definition.parameters() else { return false }
        let values = parameters.values
        switch definition.kind {
        case .bucket:
            guard let (bucket, parity) = segment.convertBucket(key, of: definition) else {
                return false
            }
            let isInForce = { definition.parameterNumber == number && number & 1 == parity }
            if bucket.needsStamp {
                BucketStamp(record: record).renew(
                    bucket, now: now, tag: key.tag, parity: parity, isInForce: isInForce)
            }
            let state = segment.word(key.offset + KeyRecord.state)
            let word = state.load()
            // Behind the word: it is of these parameters.
            return bucket.lead(of: word, now: now) == 0 && isInForce()
                && state.swap(word, TokenBucket.retired)
        case .rolling:
            let window = RollingWindow(
                limit: values[0], windowNanoseconds: values[1], guardNanoseconds: values[2])
            return RollingCells(record: record).retireIfIdle(window, now: now)
        case .calendar: return retireCalendarIfIdle(key, definition, &calendars)
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
        _ key: KeyReference, _ definition: Definition, _ calendars: inout CalendarPresent
    ) -> Bool {
        guard let previous = calendars.window(of: definition)?.previous else { return false }
        let state = segment.word(key.offset + KeyRecord.state)
        let word = state.load()
        guard CalendarWindow.isLater(previous, than: CalendarWindow.number(ofWord: word))
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
