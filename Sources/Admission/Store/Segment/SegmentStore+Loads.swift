/// Loading documents, and deciding with what was loaded last, here or elsewhere.
extension SegmentStore {
    /// Puts a document's limits in force for every process on the segment.
    ///
    /// Lock-free towards other processes; see `DocumentLoad`. O(limits + definitions), and O(keys)
    /// where a bucket's parameters change.
    ///
    /// - Throws: `StoreError`; then nothing was changed, but by `.corrupted` in the middle.
    package func load(_ scopes: [LimitScope], hash: UInt64) throws(StoreError) -> LoadedLimits {
        var load = try beginLoad(scopes, hash: hash)
        do throws(StoreError) {
            try load.run()
        } catch {
            load.abandon()
            throw error
        }
        return try endLoad(load, scopes, hash: hash)
    }

    /// A load before its first step.
    func beginLoad(_ scopes: [LimitScope], hash: UInt64) throws(StoreError) -> DocumentLoad {
        var limits: [(Definition, Definition.Parameters)] = []
        var index = DefinitionIndex()
        let now = clock.now()
        for scope in scopes {
            for limit in scope.limits {
                let parameters = Definition.Parameters(limit.kind, loadedAt: now)
                limits.append((try definition(limit, of: scope, parameters, &index), parameters))
            }
        }
        return try DocumentLoad(limits, hash: hash, in: segment, clock: clock)
    }

    /// What is known of the limits once a load is over.
    func endLoad(
        _ load: DocumentLoad, _ scopes: [LimitScope], hash: UInt64
    ) throws(StoreError) -> LoadedLimits {
        var notes: [[LimitNotes]] = []
        var remaining = load.definitions[...]
        for scope in scopes {
            var row: [LimitNotes] = []
            for limit in scope.limits {
                guard let definition = remaining.popFirst() else { break }
                let found = try self.notes(definition, limit, scope.policy, scope.keyNames)
                found.tally.begin()
                found.wasCharged = false
                row.append(found)
            }
            notes.append(row)
        }
        return LoadedLimits(
            notes: notes, hash: hash, hashBefore: load.hashBefore, load: load.load,
            isChanged: load.isChanged)
    }

    private func definition(
        _ limit: Limit, of scope: LimitScope, _ parameters: Definition.Parameters,
        _ index: inout DefinitionIndex
    ) throws(StoreError) -> Definition {
        var identity = LimitKey.definition(policy: scope.policy, limit: limit)
        for name in scope.keyNames { LimitKey.append(name.utf8, to: &identity) }
        return try segment.definition(
            identity: identity, kind: limit.kind.code, parameters: parameters,
            load: segment.word(Segment.Header.loads).load(), index: &index)
    }

    /// The notes on the same limit under the parameters that the segment holds now. Lock-free while
    /// they are the same.
    ///
    /// - Throws: `StoreError.corrupted`.
    package func notesInForce(_ notes: LimitNotes) throws(StoreError) -> LimitNotes {
        if notes.isInForce { return notes }
        return try self.notes(
            notes.definition, notes.limit, String(cString: notes.policyName.address),
            notes.attributeNames)
    }

    /// The notes on a limit under the stored parameters, made where they are new.
    ///
    /// - Parameter limit: as the process's own document has it: name, count and zone are taken
    ///   from it, the numbers from the segment.
    private func notes(
        _ definition: Definition, _ limit: Limit, _ policy: String, _ attributeNames: [String]
    ) throws(StoreError) -> LimitNotes {
        guard let block = definition.blockInForce() else { throw definition.damage }
        var stored = limit
        var zone = ""
        if case .calendarWindow(_, _, let name, _) = limit.kind { zone = name }
        guard let kind = Definition.Parameters(block).limitKind(definition.kind, zone: zone),
            kind.hasShape(of: limit.kind)
        else { throw definition.damage }
        stored.kind = kind
        return tables.withLock { tables in
            let known = tables.limits[definition.offset] ?? KnownLimit(tally: LimitTally())
            let same = known.notes.last {
                $0.parameterNumber == block.number && $0.limit == stored
                    && $0.attributeNames == attributeNames
            }
            if let same { return same }
            let notes = LimitNotes(
                definition: definition, clock: clock, mode: mode, policyName: policy, limit: stored,
                attributeNames: attributeNames, block: block, tally: known.tally)
            tables.limits[definition.offset, default: known].notes.append(notes)
            return notes
        }
    }
}

/// What a process has seen of others' loads.
package struct LoadsSeen: Sendable {
    /// Serial number of the load that was seen last, and the hash of its document.
    var load: UInt64 = 0
    var hash: UInt64 = 0
    /// Of the parameters in force when they were looked at.
    var fingerprint: UInt64 = 0
    /// `loadVersion` when they were first seen as they are; nil once that is settled.
    var versionBehind: UInt64?

    package init() {}

    /// This process's own load is what it has seen.
    package init(_ loaded: LoadedLimits) {
        load = loaded.load
        hash = loaded.hash
    }
}

extension SegmentStore {
    /// Looks whether another process has loaded a document since.
    ///
    /// - Returns: its hash, once a document; nil when the document is the one seen last.
    package func noticeLoad(_ seen: inout LoadsSeen) -> UInt64? {
        guard let (hash, load) = segment.documentInForce, load != seen.load else { return nil }
        defer { (seen.load, seen.hash) = (load, hash) }
        return hash == seen.hash ? nil : hash
    }

    /// Finishes what a loader left that died between publishing parameters and telling so: gates
    /// would go on with the ones before. To be called now and then; the second look at the same
    /// parameters tells, since a loader that lives has told by then. O(limits).
    package func finishLoads(_ seen: inout LoadsSeen, _ loaded: LoadedLimits) {
        let version = segment.loadVersion.load()
        var fingerprint: UInt64 = 0
        for notes in loaded.notes.joined() {
            fingerprint = (fingerprint &+ notes.definition.parameterNumber) &* 0x100_0000_01b3
        }
        if fingerprint != seen.fingerprint {
            (seen.fingerprint, seen.versionBehind) = (fingerprint, version)
        } else if let behind = seen.versionBehind {
            seen.versionBehind = nil
            let begun = segment.word(Segment.Header.loads).load()
            guard segment.word(Segment.Header.loadsFinished).load() != begun else { return }
            _ = segment.loadVersion.swap(behind, behind &+ 1)
        }
    }
}

extension LimitKind {
    /// Whether the parts that make a limit's identity are the same: kind, window and guard of a
    /// rolling limit, unit and zone of a calendar one.
    func hasShape(of other: LimitKind) -> Bool {
        switch (self, other) {
        case (.tokenBucket, .tokenBucket), (.concurrency, .concurrency): true
        case (.rollingWindow(_, let window, let guarding), .rollingWindow(_, let mine, let own)):
            window == mine && guarding == own
        case (.calendarWindow(_, let unit, let zone, _), .calendarWindow(_, let mine, let own, _)):
            unit == mine && zone == own
        default: false
        }
    }
}
