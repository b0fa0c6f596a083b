import Synchronization

/// An owner that was found dead, and how many leases came back from it.
package struct OwnerDeath: Sendable, Hashable {
    package var number: Int
    package var pid: Int32
    package var leases: Int
}

/// What a look at all owners found.
package struct OwnerLook: Sendable {
    /// Those that this caller was the first to find dead.
    package var deaths: [OwnerDeath] = []
    /// Leases freed, of whatever dead owner.
    package var freedLeases = 0
    /// Entries that can be taken again.
    package var freedEntries = 0
    /// Somebody lives, or not, where this process cannot see: others are to look too.
    package var metStrangers = false
}

/// Finding dead owners and giving back what they held.
///
/// Every step is one swap that anyone may do and nobody does twice: mark the entry, free the slots,
/// free the entry. A caller that dies in between leaves a dead entry, which the next look sweeps
/// again. Lock-free. Cost: one line of /proc an owner; O(keys) where somebody is dead.
extension Segment {
    /// How long an owner is silent that is given up where nobody sees its process: this long and
    /// the longest lease.
    static let ownerSilence: Int64 = 600_000_000_000

    private enum Judgement {
        case alive
        case dead
        /// Not to be seen from here.
        case stranger
        /// Not to be seen, or alive, and without a sign of life for long.
        case silent
    }

    private func judge(
        _ entry: OwnerEntry, by process: ProcessFacts, _ system: SystemFacts, now: Int64
    ) -> Judgement {
        let isAlive = isAlive(entry, by: process, system)
        if isAlive == false { return .dead }
        if isAlive == true, entry.pid == process.pid, entry.startTime == process.startTime {
            return .alive
        }
        if isSilent(entry, now: now) { return .silent }
        return isAlive == nil ? .stranger : .alive
    }

    /// Whether an owner's process lives; nil where it is not to be seen from here. Changes nothing.
    func isAlive(
        _ entry: OwnerEntry, by process: ProcessFacts, _ system: SystemFacts
    ) -> Bool? {
        guard entry.isWhole else { return nil }
        if entry.boot != process.boot, entry.boot != 0, process.boot != 0 { return false }
        // 0: nobody says which; then nobody is seen.
        guard entry.pidNamespace == process.pidNamespace, entry.pidNamespace != 0 else {
            return nil
        }
        if entry.pid == process.pid, entry.startTime == process.startTime { return true }
        return system.isAlive(pid: entry.pid, startTime: entry.startTime)
    }

    private func isSilent(_ entry: OwnerEntry, now: Int64) -> Bool {
        if entry.heartbeat > now &+ 1_000_000_000 {
            // Ahead of time: no sign of life. From now on it counts.
            _ = ownerWord(entry.number, 32).swap(
                UInt64(bitPattern: entry.heartbeat), UInt64(bitPattern: now))
            return false
        }
        let longest = Int64(min(word(Header.longestLease).load(), 1 << 60))
        return now &- max(0, entry.heartbeat) > Self.ownerSilence + longest
    }

    /// Looks at every owner, and gives back what the dead ones held.
    ///
    /// - Parameters:
    ///   - process: the caller.
    ///   - mayTakeClaimed: free also entries that are being written; who writes one takes another.
    func lookAtOwners(
        by process: ProcessFacts, _ system: SystemFacts, now: Int64, mayTakeClaimed: Bool = false
    ) -> OwnerLook {
        var look = OwnerLook()
        var dead = OwnerSet()
        var silent = OwnerSet()
        for entry in owners() {
            switch entry.state {
            case .claimed:
                if mayTakeClaimed || !system.isAlive(pid: entry.pid, startTime: 0) {
                    free(entry, &look)
                }
            case .live:
                switch judge(entry, by: process, system, now: now) {
                case .alive: break
                case .stranger: look.metStrangers = true
                case .silent: if turn(entry, .silent) { silent.insert(entry.number) }
                case .dead:
                    if turn(entry, .dead) {
                        look.deaths.append(
                            OwnerDeath(number: entry.number, pid: entry.pid, leases: 0))
                    }
                    dead.insert(entry.number)
                }
            case .dead: dead.insert(entry.number)
            case .silent: if isSilent(entry, now: now) { silent.insert(entry.number) }
            case .free: break
            case nil: if turn(entry, .dead) { dead.insert(entry.number) }
            }
        }
        if !dead.isEmpty { freeLeases(of: dead, now: now, &look) }
        if !silent.isEmpty { freeSilent(silent, now: now, &look) }
        return look
    }

    private func turn(_ entry: OwnerEntry, _ state: OwnerEntry.State) -> Bool {
        // Sequentially consistent: a claim behind this finds the mark, one before it is swept.
        ownerWord(entry.number).swapSequential(
            entry.word, OwnerEntry.word(entry.word, turned: state))
    }

    private func free(_ entry: OwnerEntry, _ look: inout OwnerLook) {
        if ownerWord(entry.number).swap(entry.word, OwnerEntry.freed(entry.word)) {
            look.freedEntries += 1
        }
    }

    private func freeLeases(of dead: OwnerSet, now: Int64, _ look: inout OwnerLook) {
        // The entries as they are swept: one that somebody else frees and a third takes is not freed
        // again.
        let entries = owners().filter { dead.contains($0.number) && $0.state == .dead }
        var swept = OwnerSet()
        var words: [Int: UInt64] = [:]
        for entry in entries {
            swept.insert(entry.number)
            words[entry.number] = entry.word
        }
        guard !swept.isEmpty else { return }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        var freed: [Int: Int] = [:]
        forEachKey { key, definition in
            guard definition.kind == .concurrency else { return }
            LeaseArray(self, at: key.offset).free(of: swept, words, now: now) { owner in
                freed[owner, default: 0] += 1
            }
        }
        look.freedLeases = freed.values.reduce(0, +)
        word(Header.reclaimedLeases).increment(by: UInt64(look.freedLeases))
        for index in look.deaths.indices {
            look.deaths[index].leases = freed[look.deaths[index].number] ?? 0
        }
        for entry in entries { free(entry, &look) }
    }

    /// Frees the entries of silent owners of which no lease lives any more.
    private func freeSilent(_ silent: OwnerSet, now: Int64, _ look: inout OwnerLook) {
        let entries = owners().filter { silent.contains($0.number) && $0.state == .silent }
        var holders = OwnerSet()
        forEachKey { key, definition in
            guard definition.kind == .concurrency else { return }
            LeaseArray(self, at: key.offset).forEachHeld(now: now, leaseNanoseconds: 0) {
                holders.insert($0.owner)
            }
        }
        for entry in entries {
            if holders.contains(entry.number) {
                // Looked at again in a minute.
                let heartbeat = entry.heartbeat &+ 60_000_000_000
                _ = ownerWord(entry.number, 32).swap(
                    UInt64(bitPattern: entry.heartbeat), UInt64(bitPattern: heartbeat))
            } else {
                free(entry, &look)
            }
        }
    }
}
