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
    func call(
        _ script: RedisScript, _ command: RedisCommand, until deadline: CallDeadline
    ) throws(Fault) -> RedisReply {
        let reply: RedisReply
        do {
            reply = try script.call(command, on: pipeline, until: deadline)
        } catch {
            noteFailure(error)
            throw .unreachable(retryAfterNanoseconds: Self.retryAfter(error.fault))
        }
        guard case .error(let error) = reply else {
            noteSuccess()
            return reply
        }
        switch error.code {
        case .loading, .readOnly, .masterDown, .clusterDown, .busy, .tooFewReplicas, .misconfigured,
            .moved, .ask, .tryAgain:
            noteFailure(.notSent(.turnedAway(error)))
            throw .unreachable(retryAfterNanoseconds: nil)
        default:
            noteSuccess()
            throw .refused(storeError(error))
        }
    }

    /// The same where it is an error that nobody answers.
    func patientCall(
        _ script: RedisScript, _ command: RedisCommand, until deadline: CallDeadline
    ) throws(StoreError) -> RedisReply {
        let reply: RedisReply
        do throws(RedisError) {
            reply = try script.call(command, on: pipeline, until: deadline)
        } catch {
            throw storeError(error)
        }
        if case .error(let error) = reply { throw storeError(error) }
        return reply
    }

    /// A plain command of somebody who is in no hurry.
    func patientCall(_ command: RedisCommand) throws(StoreError) -> RedisReply {
        let reply: RedisReply
        do throws(RedisError) {
            reply = try pipeline.call(
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

    private func noteFailure(_ error: RedisError) {
        // An open circuit tells of a failure that was noted.
        if case .circuitOpen = error.fault { return }
        let now = CallDeadline.now()
        state.withLock { state in
            guard state.failingSince == 0 else { return }
            state.failingSince = now
            state.note(.lost(reason: "\(url): \(error)"))
        }
    }

    private func noteSuccess() {
        let now = CallDeadline.now()
        state.withLock { state in
            guard state.failingSince != 0 else { return }
            state.note(.back(outageNanoseconds: now - state.failingSince))
            state.failingSince = 0
        }
    }

    /// What a reply tells beside its answer.
    func note(_ answer: RedisAnswer, _ plan: RedisPlan) {
        let now = CallDeadline.now()
        state.withLock { state in
            (state.wall, state.wallAsOf) = (answer.wall, now)
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
        default: .refused(url: url, isFull: false, reason: error.message)
        }
    }

    func storeError(_ error: RedisError) -> StoreError {
        switch error.fault {
        case .wrongPassword, .passwordNeeded: .denied(url: url, reason: "\(error.fault)")
        case .turnedAway(let server): storeError(server)
        default: .refused(url: url, isFull: false, reason: "\(error.fault)")
        }
    }
}
