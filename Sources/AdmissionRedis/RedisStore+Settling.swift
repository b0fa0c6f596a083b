import Admission

/// Settling and renewing.
extension RedisStore {
    func settle(_ plan: RemotePlan, _ settlement: RemoteSettlement) -> RemoteSettled {
        let redis = redisPlan(plan)
        if settlement.freesLeases {
            leases.withLock { $0.forget(settlement.lease) }
        }
        return isOutageOpen
            ? settleThroughOutage(redis, settlement) : settleByServer(redis, settlement)
    }

    func settleByServer(_ redis: RedisPlan, _ settlement: RemoteSettlement) -> RemoteSettled {
        if !redis.holdings.isEmpty, settlement.lease == 0, !keeper.isClosed {
            return settleFromSlices(redis, settlement)
        }
        return settleDirectly(redis, settlement, until: deadline)
    }

    /// Settles by a call to the server.
    ///
    /// - Parameter background: the connection, where nobody waits.
    func settleDirectly(
        _ redis: RedisPlan, _ settlement: RemoteSettlement, until deadline: CallDeadline,
        on background: RedisRoutes? = nil
    ) -> RemoteSettled {
        do throws(Fault) {
            let (first, later) = settlement.calls
            var plan = redis
            var answer = try send(first, plan, until: deadline, on: background)
            if answer.outcome == .newer {
                // Nothing was booked. The permit is of an older document: its limits that stay are told
                // under the parameters in force.
                guard let following = try? following(redis) else { return .unknown }
                plan = following
                answer = try send(first, plan, until: deadline, on: background)
            }
            guard answer.outcome == .admitted else { return .unknown }
            let settled = settled(answer, settlement, plan)
            for call in later {
                let answer = try send(call, plan, until: deadline, on: background)
                guard answer.outcome == .admitted else { return .unknown }
            }
            return settled
        } catch {
            return .unknown
        }
    }

    private func send(
        _ settlement: RemoteSettlement, _ plan: RedisPlan, until deadline: CallDeadline,
        on background: RedisRoutes?
    ) throws(Fault) -> RedisAnswer {
        var seen: [Int64] = []
        var births: [Int64] = []
        var arguments = [RedisLeases.member(settlement.lease)]
        for scope in plan.scopes {
            let (changes, birth) = changes(settlement, scope, plan)
            let known = scope.memory.known
            seen.append(known.birth == birth ? known.seen : 0)
            births.append(birth)
            arguments.append(
                scope.ask(changes, birth: birth, frees: settlement.freesLeases))
        }
        let call = RedisCall(
            form: plan.settle, plan: plan, births: births, seen: seen, arguments: arguments)
        return try answer(call, until: deadline, on: background)
    }

    /// What a settlement does to each step of a scope, and the life that it is about: the newest in
    /// which anything of it was charged; what was charged in an earlier one is gone.
    private func changes(
        _ settlement: RemoteSettlement, _ scope: RedisScope, _ plan: RedisPlan
    ) -> ([RedisChange], birth: Int64) {
        let entries = settlement.entries.filter { scope.steps.contains($0.limit) }
        let current = scope.memory.known.birth
        let births = entries.filter { $0.amount < 0 }
            .map { scope.memory.birth(ofLife: $0.place >> 56) }
        let birth = births.contains(current) ? current : births.last ?? current
        var changes = [RedisChange](repeating: RedisChange(), count: plan.limits.count)
        for entry in entries {
            if entry.amount > 0 {
                changes[entry.limit].more = changes[entry.limit].more.addingSaturated(entry.amount)
            } else if scope.memory.birth(ofLife: entry.place >> 56) == birth {
                changes[entry.limit].back += -entry.amount
                changes[entry.limit].place = Int64(entry.place & 0xff_ffff_ffff_ffff)
            }
        }
        return (changes, birth)
    }

    private func settled(
        _ answer: RedisAnswer, _ settlement: RemoteSettlement, _ plan: RedisPlan
    ) -> RemoteSettled {
        let places = places(answer, plan, fields(answer, plan))
        let lived =
            settlement.freesLeases
            ? answer.rest.allSatisfy { $0 == 1 }
            : settlement.lease == 0
                || leases.withLock { $0.lives(settlement.lease, at: answer.now) }
        return .settled(places: settlement.entries.map { places[$0.limit] }, leasesLived: lived)
    }

    func renew(_ renewals: [RemoteRenewal]) -> [Bool?] {
        var results = [Bool?](repeating: nil, count: renewals.count)
        // A call reaches one shard.
        var shards: [[UInt8]: [Int]] = [:]
        for (index, renewal) in renewals.enumerated() {
            shards[redisPlan(renewal.plan).shard.key, default: []].append(index)
        }
        let deadline = deadline
        for indices in shards.values {
            for start in stride(from: 0, to: indices.count, by: RedisLeases.batch) {
                let part = indices[start..<min(start + RedisLeases.batch, indices.count)]
                renew(part.map { ($0, renewals[$0]) }, until: deadline, into: &results)
            }
        }
        if isOutageOpen {
            for index in results.indices where results[index] == nil {
                if renewAlone(renewals[index]) { results[index] = true }
            }
        }
        return results
    }

    private func renew(
        _ renewals: [(index: Int, RemoteRenewal)], until deadline: CallDeadline,
        into results: inout [Bool?]
    ) {
        let slot = renewals.first.map { redisPlan($0.1.plan).shard.slot }
        var keys: [[UInt8]] = []
        var positions: [[UInt8]: Int64] = [:]
        var words: [Int64] = []
        var members: [UInt8] = []
        var named: [(index: Int, lease: UInt64, step: Int)] = []
        for (index, renewal) in renewals {
            let plan = redisPlan(renewal.plan)
            for set in plan.leaseSets {
                guard let kept = leases.withLock({ $0.kept(renewal.lease, step: set.step) })
                else { continue }
                if positions[set.leases] == nil {
                    keys += [set.state, set.leases]
                    positions[set.leases] = Int64(keys.count / 2)
                }
                let length = set.limit.parameters[1].addingSaturated(
                    RedisWords.microsecondsUp(renewal.aheadNanoseconds))
                words += [positions[set.leases] ?? 0, kept.expiry, length, kept.last]
                members += RedisLeases.member(renewal.lease)
                named.append((index, renewal.lease, set.step))
            }
        }
        guard !named.isEmpty, let slot else { return }
        let command = scripts.renew.prepared(keys: keys, variableCount: 2)
            .command([RedisWords.pack(words), members])
        guard let reply = try? call(scripts.renew, command, slot: slot, until: deadline),
            case .bytes(let bytes) = reply, let expiries = RedisWords.unpack(bytes),
            expiries.count == named.count + 1
        else { return }
        for (lease, expiry) in zip(named, expiries.dropFirst()) {
            results[lease.index] = (results[lease.index] ?? true) && expiry > 0
            leases.withLock { $0.renew(lease.lease, step: lease.step, expiry: expiry) }
        }
    }
}

extension RemoteSettlement {
    /// Itself in calls that give back to one place of each limit: what was charged and what was added
    /// later may lie in two windows.
    fileprivate var calls: (first: RemoteSettlement, later: [RemoteSettlement]) {
        var first = self
        first.entries = []
        var later: [RemoteSettlement] = []
        for entry in entries {
            let isSecond = first.entries.contains {
                $0.limit == entry.limit && $0.amount < 0 && entry.amount < 0
                    && $0.place != entry.place
            }
            if isSecond {
                later.append(RemoteSettlement(entries: [entry], lease: 0, freesLeases: false))
            } else {
                first.entries.append(entry)
            }
        }
        return (first, later)
    }
}

/// The leases of this process's open permits: what a renewal says of them.
struct RedisLeases: Sendable {
    struct Kept: Sendable {
        var plan: RedisPlan
        var step: Int
        /// Steady us of the server.
        var expiry: Int64
        /// No renewal goes farther.
        var last: Int64
    }

    /// Leases that one call renews.
    static let batch = 512

    private var byLease: [UInt64: [Kept]] = [:]

    mutating func keep(_ lease: UInt64, _ plan: RedisPlan, expiries: [Int64], now: Int64) {
        byLease[lease] = plan.limits.indices.compactMap { step in
            guard case .concurrency(_, _, let longest) = plan.limits[step].limit.kind else {
                return nil
            }
            return Kept(
                plan: plan, step: step, expiry: expiries[step],
                last: now.addingSaturated(RedisWords.microsecondsUp(longest)))
        }
    }

    mutating func forget(_ lease: UInt64) { byLease[lease] = nil }

    /// The plan by which a lease was given out.
    func plan(_ lease: UInt64) -> RedisPlan? { byLease[lease]?.first?.plan }

    func kept(_ lease: UInt64, step: Int) -> Kept? { byLease[lease]?.first { $0.step == step } }

    func lives(_ lease: UInt64, at now: Int64) -> Bool {
        byLease[lease]?.allSatisfy { $0.expiry > now } ?? false
    }

    /// Leases of one limit of a scope that live, of those that are asked for.
    func count(
        _ name: OutageLedger.Name, at now: Int64, where isWanted: (UInt64) -> Bool
    ) -> Int64 {
        var count: Int64 = 0
        for (lease, kept) in byLease where isWanted(lease) {
            let isHere = kept.contains {
                $0.expiry > now && OutageLedger.name($0.plan, step: $0.step) == name
            }
            if isHere { count += 1 }
        }
        return count
    }

    mutating func renew(_ lease: UInt64, step: Int, expiry: Int64) {
        guard let index = byLease[lease]?.firstIndex(where: { $0.step == step }) else { return }
        byLease[lease]?[index].expiry = expiry
    }

    /// A lease's name in the sets of the server: which process it is of, and its permit there.
    static func member(_ lease: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        for word in [ProcessIdentity.current() ^ ProcessSeed.value, lease] {
            for place in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(place))))
            }
        }
        return bytes
    }
}

/// Tells processes of all hosts apart, together with the identity that fork() changes.
private enum ProcessSeed {
    static let value = UInt64.random(in: 0 ... .max)
}
