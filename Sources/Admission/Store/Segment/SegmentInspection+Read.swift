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
        layoutVersion = segment.word(Header.layoutVersion).load()
        sizeBytes = segment.size
        usedBytes = segment.allocatedBytes
        keys = segment.keyCount
        keyCapacity = segment.keyCapacity
        steady = SteadyInstant(nanoseconds: now)
        wall = WallInstant(unixNanoseconds: reader.wall)
        documentHash = segment.word(Header.documentHash).load()
        loads = segment.word(Header.loads).load()
        retries = segment.retries.load()
        rollbacks = segment.rollbacks.load()
        turnsHelped = segment.turnsHelped.load()
        reclaimedLeases = segment.word(Header.reclaimedLeases).load()
        owners = reader.owners
        limits = reader.rows
        leases = reader.leases
        omitted = reader.omitted
        isDamaged = reader.isDamaged
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

    private var listed = 0
    private var leasesOfOwner: [Int: Int] = [:]
    private var limits: [Int: Known] = [:]
    private var zones: [String: Zone?] = [:]

    /// A definition and what was found of it.
    private struct Known {
        let identity: LimitIdentity
        let parameters: Definition.Parameters
        var keyCount = 0
        var keys: [StoreInspection.KeyRow] = []
    }

    init(segment: Segment, now: Int64, wall: Int64, maximum: Int) {
        self.segment = segment
        self.now = now
        self.wall = wall
        self.maximum = max(0, maximum)
    }

    mutating func run() {
        let (offsets, isSound) = segment.definitionOffsets()
        isDamaged = !isSound
        for offset in offsets { readDefinition(offset) }
        // The walk's callback escapes nothing: keys are gathered first.
        var keys: [(KeyReference, Definition)] = []
        if !segment.forEachKey({ keys.append(($0, $1)) }) { isDamaged = true }
        for (key, definition) in keys { readKey(key, definition) }
        for offset in offsets {
            guard let known = limits[offset] else { continue }
            rows.append(
                StoreInspection.LimitRow(
                    policy: known.identity.policy, limit: known.identity.limit,
                    kind: known.identity.kind.name,
                    capacity: known.parameters.capacity(known.identity.kind),
                    keyCount: known.keyCount, keys: known.keys))
        }
        readOwners()
    }

    private mutating func readDefinition(_ offset: Int) {
        guard let definition = segment.definition(at: offset),
            let bytes = segment.identity(ofDefinitionAt: offset),
            let identity = LimitIdentity([UInt8](bytes)), identity.kind == definition.kind
        else {
            isDamaged = true
            return
        }
        let parameters = definition.parameters().current
        guard parameters.isPlausible(definition.kind) else {
            isDamaged = true
            return
        }
        limits[offset] = Known(identity: identity, parameters: parameters)
    }

    private mutating func readKey(_ key: KeyReference, _ definition: Definition) {
        guard let known = limits[definition.offset],
            !segment.isRetired(key.offset, kind: definition.kind),
            let text = segment.textBytes(of: key.offset, definition: definition)
        else { return }
        limits[definition.offset]?.keyCount += 1
        let attributes = known.identity.attributes(text)
        if definition.kind == .concurrency {
            readLeases(key, known.identity, known.parameters, attributes)
        }
        guard listed < maximum else {
            omitted += 1
            return
        }
        let (used, fullAgain) = used(key, definition, known.identity, known.parameters)
        guard Segment.isSameLife(segment.word(key.offset + KeyRecord.tag).load(), key.tag) else {
            return
        }
        listed += 1
        limits[definition.offset]?.keys.append(
            StoreInspection.KeyRow(
                attributes: attributes, used: used,
                remaining: max(0, known.parameters.capacity(known.identity.kind) &- used),
                fullAgainNanoseconds: fullAgain))
    }

    /// Units used, and nanoseconds until it is untouched again.
    private mutating func used(
        _ key: KeyReference, _ definition: Definition, _ identity: LimitIdentity,
        _ parameters: Definition.Parameters
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
        case .calendar: return calendar(word, identity)
        case .concurrency: return (liveLeases(key), nil)
        case .slots, .parameters: return (0, nil)
        }
    }

    /// A bucket's word under the parameters in force.
    private func inForce(
        _ word: UInt64, _ definition: Definition, _ parameters: Definition.Parameters
    ) -> (TokenBucket, UInt64) {
        let bucket = parameters.bucket
        let parity = definition.parameterNumber & 1
        let old = definition.previousParameters()
        guard word & 1 != parity, old.isPlausible(.bucket) else { return (bucket, word) }
        let converted = bucket.converted(
            word, from: old.bucket, now: parameters.loadedAt, parity: parity)
        return (bucket, converted)
    }

    private mutating func calendar(_ word: UInt64, _ identity: LimitIdentity) -> (Int64, Int64?) {
        let count = Int64(CalendarWindow.count(ofWord: word))
        guard let unit = identity.unit, let zone = zone(identity.zone) else { return (count, nil) }
        let window = CalendarWindow(limit: 1, unit: unit, guardNanoseconds: 0)
        let span = zone.span(of: unit, containing: wall.flooredSeconds)
        let number = window.number(startSeconds: span.startSeconds)
        let stored = CalendarWindow.number(ofWord: word)
        // A window ahead is the next one, or damage; an older one has passed.
        guard stored == number || CalendarWindow.isLater(stored, than: number), count > 0 else {
            return (0, 0)
        }
        let end = span.endSeconds.multipliedReportingOverflow(by: 1_000_000_000)
        return (count, end.overflow ? nil : end.partialValue &- wall)
    }

    private mutating func zone(_ name: String) -> Zone? {
        if let known = zones[name] { return known }
        let zone = try? Zone(named: name)
        zones[name] = .some(zone)
        return zone
    }

    private func liveLeases(_ key: KeyReference) -> Int64 {
        LeaseArray(segment, at: key.offset).liveCount(now: now)
    }

    private mutating func readLeases(
        _ key: KeyReference, _ identity: LimitIdentity, _ parameters: Definition.Parameters,
        _ attributes: [Attribute]
    ) {
        guard segment.hasSoundBlocks(key.offset) else {
            isDamaged = true
            return
        }
        var held: [LeaseArray.Held] = []
        LeaseArray(segment, at: key.offset).forEachHeld(
            now: now, leaseNanoseconds: parameters.values[1]
        ) { held.append($0) }
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
                    ageNanoseconds: max(0, now &- lease.acquiredAt),
                    runsOutNanoseconds: lease.endsAt &- now))
        }
    }

    private mutating func readOwners() {
        for owner in segment.owners() {
            if owner.state == nil { isDamaged = true }
            owners.append(
                StoreInspection.Owner(
                    number: owner.number, pid: owner.pid, pidNamespace: owner.pidNamespace,
                    state: owner.state.map { "\($0)" } ?? "unknown",
                    heartbeatAgeNanoseconds: now &- owner.heartbeat,
                    leases: leasesOfOwner[owner.number] ?? 0))
        }
    }
}

extension LimitKindCode {
    /// As `LimitKind.name`.
    var name: String {
        switch self {
        case .bucket: "bucket"
        case .rolling: "rolling"
        case .calendar: "calendar"
        case .concurrency: "concurrency"
        case .slots: "slots"
        case .parameters: "parameters"
        }
    }
}
