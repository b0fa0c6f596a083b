import Admission

/// Calling the server, and what its failures mean.
extension RedisStore {
    /// Why a call has no answer to be used.
    enum Fault: Error {
        /// Nobody answered in time.
        case unreachable(retryAfterNanoseconds: Int64?)
        case refused(StoreError)
    }

    /// Calls a script and notes how that went.
    ///
    /// - Parameter slot: of all its keys.
    func call(
        _ script: RedisScript, _ command: RedisCommand, slot: Int, until deadline: CallDeadline,
        on background: RedisRoutes? = nil
    ) throws(Fault) -> RedisReply {
        let (reply, node): (RedisReply, RedisNode)
        do {
            (reply, node) = try (background ?? routes).call(
                script, command, slot: slot, until: deadline)
        } catch {
            // Whether callers are served is told by their own calls.
            if background == nil { noteFailure(error.error, of: error.node) }
            throw .unreachable(retryAfterNanoseconds: Self.retryAfter(error.error.fault))
        }
        guard case .error(let error) = reply else {
            if background == nil { noteSuccess(of: node) }
            return reply
        }
        switch error.code {
        case .tryAgain:
            // The slot is on its way to another node until after the deadline; both nodes are well.
            throw .unreachable(retryAfterNanoseconds: nil)
        case .loading, .readOnly, .masterDown, .clusterDown, .busy, .tooFewReplicas, .misconfigured,
            .moved, .ask:
            noteFailure(.notSent(.turnedAway(error)), of: node)
            throw .unreachable(retryAfterNanoseconds: nil)
        default:
            noteSuccess(of: node)
            throw .refused(storeError(error))
        }
    }

    /// The same where it is an error that nobody answers.
    func patientCall(
        _ script: RedisScript, _ command: RedisCommand, slot: Int, until deadline: CallDeadline
    ) throws(StoreError) -> RedisReply {
        let reply: RedisReply
        do throws(RedisRoutes.Failure) {
            reply = try routes.call(script, command, slot: slot, until: deadline).reply
        } catch {
            throw storeError(error.error)
        }
        if case .error(let error) = reply { throw storeError(error) }
        return reply
    }

    /// A plain command of somebody who is in no hurry.
    func patientCall(
        _ command: RedisCommand, on node: RedisNode
    ) throws(StoreError) -> RedisReply {
        let reply: RedisReply
        do throws(RedisError) {
            reply = try node.pipeline.call(
                command, until: .after(nanoseconds: Self.patientNanoseconds))
        } catch {
            throw storeError(error)
        }
        if case .error(let error) = reply { throw storeError(error) }
        return reply
    }

    private static func retryAfter(_ fault: RedisFault) -> Int64? {
        guard case .circuitOpen(let until, _) = fault else { return nil }
        return max(0, until - CallDeadline.now())
    }

    private func noteFailure(_ error: RedisError, of node: RedisNode) {
        // An open circuit tells of a failure that was noted.
        if case .circuitOpen = error.fault { return }
        guard node.noteFailure() else { return }
        state.withLock { $0.note(.lost(reason: "\(url): \(node.name): \(error)")) }
    }

    private func noteSuccess(of node: RedisNode) {
        guard let since = node.noteSuccess() else { return }
        let outage = CallDeadline.now() - since
        state.withLock { $0.note(.back(outageNanoseconds: outage)) }
    }

    /// What a reply tells beside its answer.
    func note(_ answer: RedisAnswer, _ plan: RedisPlan) {
        let now = CallDeadline.now()
        plan.shard.noteSteady(answer.steadyNanoseconds)
        state.withLock { state in
            (state.wall, state.wallAsOf) = (answer.wall, now)
            state.steady = max(state.steady, answer.now)
            guard !answer.events.isEmpty else { return }
            let shard = plan.shard.name
            let found: [(RedisAnswer.Events, RemoteNote)] = [
                (.stateLost, .stateLost(shard: "\(url): counters of shard \"\(shard)\" are gone")),
                (.steppedBack, .stateLost(shard: "\(url): the server's clock stepped back")),
                (.cellsLost, .stateLost(shard: "\(url): a window of shard \"\(shard)\" is gone")),
                (.leasesLost, .stateLost(shard: "\(url): leases of shard \"\(shard)\" are gone")),
                (.damagedWindow, .stateLost(shard: "\(url): a calendar window lay ahead of time")),
            ]
            for (event, note) in found where answer.events.contains(event) { state.note(note) }
        }
    }

    func takeNotes() -> [RemoteNote] {
        state.withLock { state in
            defer { state.notes = [] }
            return state.notes
        }
    }

    /// A server's refusal in the words of stores.
    func storeError(_ error: RedisServerError) -> StoreError {
        switch error.code {
        case .wrongType: .foreign(path: url, found: error.message)
        case .outOfMemory: .refused(url: url, isFull: true, reason: error.message)
        case .noPermission, .wrongPassword, .passwordNeeded, .denied:
            .denied(url: url, reason: error.message)
        case .other("ADMISSION_DAMAGED"): .corrupted(path: url, what: error.message)
        case .crossSlot:
            .refused(
                url: url, isFull: false,
                reason: "the keys of one call lie in several slots: \(error.message)")
        case .moved, .ask:
            .refused(
                url: url, isFull: false,
                reason: "a node of a cluster, which redis+cluster:// reaches: \(error.message)")
        default: .refused(url: url, isFull: false, reason: error.message)
        }
    }

    func storeError(_ error: RedisError) -> StoreError {
        switch error.fault.cause {
        case .wrongPassword, .passwordNeeded: .denied(url: url, reason: "\(error.fault)")
        case .turnedAway(let server): storeError(server)
        default: .refused(url: url, isFull: false, reason: "\(error.fault)")
        }
    }
}
