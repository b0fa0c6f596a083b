extension StoreInspection {
    /// Reads a segment, changing nothing: it may be mapped for reading alone.
    ///
    /// - Parameter maximumKeys: keys, and leases, that are listed; the others are counted.
    /// - Complexity: O(keys x cells); allocates.
    package init(_ segment: Segment, clock: StoreClock, maximumKeys: Int) {
        typealias Header = Segment.Header
        let now = clock.now()
        var reader = SegmentReader(
            segment: segment, now: now, wall: now &+ clock.wallOffset(), maximum: maximumKeys)
        reader.run()
        path = segment.path
        layoutVersion = segment.word(Header.layoutVersion).load()
        createdAt = WallInstant(
            unixNanoseconds: Int64(bitPattern: segment.word(Header.createdAt).load()))
        isReplaced = segment.isReplaced
        isManualClock = segment.clockKind == .manual
        reservedBytes = segment.reservedBytes
        sizeBytes = segment.size
        usedBytes = segment.allocatedBytes
        keys = segment.keyCount
        keyCapacity = segment.keyCapacity
        steady = SteadyInstant(nanoseconds: now)
        wall = WallInstant(unixNanoseconds: reader.wall)
        documentHash = segment.documentInForce?.hash ?? 0
        loads = segment.word(Header.loads).load()
        retries = segment.retries.load()
        rollbacks = segment.rollbacks.load()
        turnsHelped = segment.turnsHelped.load()
        reclaimedLeases = segment.word(Header.reclaimedLeases).load()
        owners = reader.owners
        limits = reader.rows
        sharedEvents = segment.recentEvents()
        leases = reader.leases
        omitted = reader.omitted
        isDamaged = reader.isDamaged
    }
}

extension Segment {
    /// Bytes that the file system has promised: the header, megabytes of the index, and the arena as
    /// far as it has been extended.
    var reservedBytes: Int {
        guard isShared else { return size }
        let extents = (arenaStart - Header.bytes + SegmentFile.extent - 1) / SegmentFile.extent
        var index = 0
        for number in 0..<(extents + 63) / 64 {
            index += word(Header.indexReserved + number * 8).load().nonzeroBitCount
        }
        let arena = Int(clamping: word(Header.reserved).load()) - arenaStart
        return Header.bytes + min(index * SegmentFile.extent, arenaStart - Header.bytes)
            + min(max(0, arena), size - arenaStart)
    }
}

extension OwnerEntry {
    /// Whether its leases are its own: it lives, or lives where nobody here sees into.
    var keepsLeases: Bool { state == .live || state == .silent }
}

/// One reading of a segment.
private struct SegmentReader {
    let segment: Segment
    let now: Int64
    let wall: Int64
    let maximum: Int

    var owners: [StoreInspection.Owner] = []
    var rows: [StoreInspection.LimitRow] = []
    var leases: [StoreInspection.Lease] = []
    var omitted = 0
    var isDamaged = false

    private var alive: [Int: Bool?] = [:]
    private var found: [Found] = []
    private var leasesOfOwner: [Int: Int] = [:]
    private var limits: [Int: Known] = [:]
    private var calendars: CalendarPresent

    /// A definition and what was found of it.
    private struct Known {
        let identity: LimitIdentity
        let parameters: Definition.Parameters
        let bound: LimitKind
        var keyCount = 0
        var keys: [StoreInspection.KeyRow] = []
    }

    /// A key and its use, to find those nearest their limit before texts are read.
    private struct Found {
        let key: KeyReference
        let definition: Definition
        let used: Int64
        let fullAgain: Int64?
        /// Of 1,000, and above in debt.
        let share: Int64
    }

    init(segment: Segment, now: Int64, wall: Int64, maximum: Int) {
        self.segment = segment
        self.now = now
        self.wall = wall
        calendars = CalendarPresent(wall: wall)
        self.maximum = max(0, maximum)
    }

    mutating func run() {
        let (offsets, isSound) = segment.definitionOffsets()
        isDamaged = !isSound
        for offset in offsets { readDefinition(offset) }
        // The walk's callback escapes nothing: keys are gathered first.
        var keys: [(KeyReference, Definition)] = []
        if !segment.forEachKey({ keys.append(($0, $1)) }) { isDamaged = true }
        readOwners()
        for (key, definition) in keys { readKey(key, definition) }
        listKeys()
        for offset in offsets {
            guard let known = limits[offset] else { continue }
            rows.append(
                StoreInspection.LimitRow(
                    policy: known.identity.policy, limit: known.identity.limit,
                    bound: known.bound, keyCount: known.keyCount, keys: known.keys))
        }
        for index in owners.indices {
            owners[index].leases = leasesOfOwner[owners[index].number] ?? 0
        }
    }

    private mutating func readDefinition(_ offset: Int) {
        guard let definition = segment.definition(at: offset),
            let identity = definition.limitIdentity, identity.kind == definition.kind
        else {
            isDamaged = true
            return
        }
        guard let parameters = definition.parameters()?.current,
            let bound = parameters.limitKind(identity.kind, zone: identity.zone)
        else {
            isDamaged = true
            return
        }
        limits[offset] = Known(identity: identity, parameters: parameters, bound: bound)
    }

    private mutating func readKey(_ key: KeyReference, _ definition: Definition) {
        guard let known = limits[definition.offset],
            !segment.isRetired(key.offset, kind: definition.kind),
            let text = segment.textBytes(of: key.offset, definition: definition)
        else { return }
        limits[definition.offset]?.keyCount += 1
        if definition.kind == .concurrency {
            readLeases(key, known.identity, known.parameters, text)
        }
        let (used, fullAgain) = used(key, definition, known.parameters)
        let (scaled, overflows) = used.multipliedReportingOverflow(by: 1_000)
        let share = overflows ? .max : scaled / max(1, known.bound.capacity)
        found.append(
            Found(
                key: key, definition: definition, used: used, fullAgain: fullAgain, share: share))
    }

    /// Lists as many keys as were asked for: those nearest their limit, whichever it is.
    private mutating func listKeys() {
        // Which of two alike comes first is the same at each look that finds them in place.
        found.sort { ($1.share, $0.key.offset) < ($0.share, $1.key.offset) }
        omitted += max(0, found.count - maximum)
        for found in found.prefix(maximum) {
            guard let known = limits[found.definition.offset],
                let text = segment.textBytes(of: found.key.offset, definition: found.definition)
            else { continue }
            let attributes = known.identity.attributes(text)
            let tag = segment.word(found.key.offset + KeyRecord.tag).load()
            guard Segment.isSameLife(tag, found.key.tag) else { continue }
            limits[found.definition.offset]?.keys.append(
                StoreInspection.KeyRow(
                    attributes: attributes, used: found.used,
                    remaining: max(0, known.bound.capacity &- found.used),
                    fullAgainNanoseconds: found.fullAgain))
        }
    }

    /// Units used, and nanoseconds until it is untouched again.
    private mutating func used(
        _ key: KeyReference, _ definition: Definition, _ parameters: Definition.Parameters
    ) -> (Int64, Int64?) {
        let record = segment.base + key.offset
        let word = segment.word(key.offset + KeyRecord.state).load()
        switch definition.kind {
        case .bucket:
            let (bucket, word) = inForce(word, definition, parameters)
            let stamp = BucketStamp(record: record)
            if bucket.needsStamp, stamp.isAncient(bucket, now: now) { return (0, 0) }
            let lead = bucket.lead(of: word, now: now)
            return (bucket.used(lead: lead), bucket.nanoseconds(lead))
        case .rolling:
            let window = parameters.rolling
            let cells = RollingCells(record: record)
            // Damage counts as full until somebody decides, who mends it.
            guard cells.stamp.load() <= RollingHorizon(window, now: now).latest else {
                return (window.limit, nil)
            }
            let view = cells.view(
                window, now: now, limit: window.limit, amount: 0, isDetailed: true)
            return (view.used, view.fullAgainNanoseconds &+ (view.now &- now))
        case .calendar: return calendar(word, definition)
        case .concurrency: return (liveLeases(key), nil)
        case .slots, .parameters: return (0, nil)
        }
    }

    /// A bucket's word under the parameters in force.
    private func inForce(
        _ word: UInt64, _ definition: Definition, _ parameters: Definition.Parameters
    ) -> (TokenBucket, UInt64) {
        let bucket = parameters.bucket
        guard let block = definition.blockInForce(), word & 1 != block.number & 1,
            let old = definition.parameters(before: block)
        else { return (bucket, word) }
        let converted = bucket.converted(
            word, from: old.bucket, now: parameters.loadedAt, parity: block.number & 1)
        return (bucket, converted)
    }

    private mutating func calendar(_ word: UInt64, _ definition: Definition) -> (Int64, Int64?) {
        let count = Int64(CalendarWindow.count(ofWord: word))
        guard let window = calendars.window(of: definition) else { return (count, nil) }
        let stored = CalendarWindow.number(ofWord: word)
        // A window ahead is the next one, or damage; an older one has passed.
        guard stored == window.number || CalendarWindow.isLater(stored, than: window.number),
            count > 0
        else {
            return (0, 0)
        }
        return (count, window.end.map { $0 &- wall })
    }

    private func liveLeases(_ key: KeyReference) -> Int64 {
        LeaseArray(segment, at: key.offset).liveCount(now: now)
    }

    private mutating func readLeases(
        _ key: KeyReference, _ identity: LimitIdentity, _ parameters: Definition.Parameters,
        _ text: UnsafeRawBufferPointer
    ) {
        guard segment.hasSoundBlocks(key.offset) else {
            isDamaged = true
            return
        }
        var held: [LeaseArray.Held] = []
        LeaseArray(segment, at: key.offset).forEachHeld(
            now: now, leaseNanoseconds: parameters.values[1]
        ) { held.append($0) }
        let attributes = held.isEmpty ? [] : identity.attributes(text)
        for lease in held {
            leasesOfOwner[lease.owner, default: 0] += 1
            guard leases.count < maximum else {
                omitted += 1
                continue
            }
            let owner = segment.owner(lease.owner)
            leases.append(
                StoreInspection.Lease(
                    policy: identity.policy, limit: identity.limit, attributes: attributes,
                    slot: lease.slot, owner: lease.owner,
                    pid: owner.state == nil || owner.state == .free ? nil : owner.pid,
                    isReclaimable: owner.state == .dead || alive[lease.owner] == false,
                    ageNanoseconds: max(0, now &- lease.acquiredAt),
                    runsOutNanoseconds: lease.endsAt &- now))
        }
    }

    private mutating func readOwners() {
        let (process, system) = segment.watch.process()
        for owner in segment.owners() {
            if owner.state == nil { isDamaged = true }
            let isAlive = segment.isAlive(owner, by: process, system)
            alive[owner.number] = isAlive
            owners.append(
                StoreInspection.Owner(
                    number: owner.number, pid: owner.pid, pidNamespace: owner.pidNamespace,
                    state: owner.state.map { "\($0)" } ?? "unknown", isAlive: isAlive,
                    heartbeatAgeNanoseconds: now &- owner.heartbeat,
                    isPolicyBroken: isAlive != false && segment.isPolicyBroken(owner), leases: 0))
        }
    }
}
