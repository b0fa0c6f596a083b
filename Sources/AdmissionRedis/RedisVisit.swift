import Admission

/// An operator's visit to a server: questions one after the other, in no hurry.
struct RedisVisit {
    /// Without its password.
    let url: String
    let isClockManual: Bool
    private let pipeline: RedisPipeline

    /// Questions under way at a time, so that a large store takes few round trips.
    private static let batch = 256

    init(_ text: String) throws(StoreError) {
        let parsed = try RedisURL(text)
        url = parsed.description
        isClockManual = parsed.isClockManual
        guard let endpoint = parsed.endpoint else {
            throw .invalidURL(
                url: url, reason: "one server at a time is looked into: redis: or redis+unix:")
        }
        pipeline = RedisPipeline(endpoint)
    }

    func close() { pipeline.close() }

    func ask(_ command: RedisCommand) throws(StoreError) -> RedisReply {
        let replies = try ask([command])
        return replies[0]
    }

    /// - Throws: what any of the replies says that is an error.
    func ask(_ commands: [RedisCommand]) throws(StoreError) -> [RedisReply] {
        let replies = try answers(commands)
        for case .error(let error) in replies { throw storeError(error) }
        return replies
    }

    /// The replies, errors of the server's among them.
    func answers(_ commands: [RedisCommand]) throws(StoreError) -> [RedisReply] {
        var replies: [RedisReply] = []
        do throws(RedisError) {
            for start in stride(from: 0, to: commands.count, by: Self.batch) {
                let deadline = CallDeadline.after(nanoseconds: RedisStore.patientNanoseconds)
                let part = commands[start..<min(commands.count, start + Self.batch)]
                let pending = try part.map { (command) throws(RedisError) in
                    try pipeline.submit(command)
                }
                for one in pending { replies.append(try pipeline.wait(for: one, until: deadline)) }
            }
        } catch {
            throw storeError(error)
        }
        return replies
    }

    func call(_ script: RedisScript, _ command: RedisCommand) throws(StoreError) -> RedisReply {
        let reply: RedisReply
        do throws(RedisError) {
            reply = try script.call(
                command, on: pipeline, until: .after(nanoseconds: RedisStore.patientNanoseconds))
        } catch {
            throw storeError(error)
        }
        if case .error(let error) = reply { throw storeError(error) }
        return reply
    }

    /// The names of the store's keys, sorted, each once; those that came or went meanwhile perhaps.
    ///
    /// - Complexity: O(keys of the database), of any program: SCAN looks at each, a thousand a time,
    ///   between which the server serves others.
    func keys() throws(StoreError) -> [[UInt8]] {
        var found: Set<[UInt8]> = []
        var cursor = "0"
        repeat {
            let reply = try ask(
                RedisCommand("SCAN", cursor, "MATCH", "admission:*", "COUNT", "1000"))
            guard case .array(let parts) = reply, parts.count == 2, let next = parts[0].text,
                case .array(let names) = parts[1]
            else { throw StoreError.corrupted(path: url, what: "the reply to SCAN") }
            for case .bytes(let name) in names { found.insert(name) }
            cursor = next
        } while cursor != "0"
        return found.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func storeError(_ error: RedisError) -> StoreError {
        switch error.fault {
        case .wrongPassword, .passwordNeeded: .denied(url: url, reason: "\(error.fault)")
        case .turnedAway(let server): storeError(server)
        default: .refused(url: url, isFull: false, reason: "\(error.fault)")
        }
    }

    private func storeError(_ error: RedisServerError) -> StoreError {
        switch error.code {
        case .wrongType: .foreign(path: url, found: error.message)
        case .noPermission, .wrongPassword, .passwordNeeded, .denied:
            .denied(url: url, reason: error.message)
        default: .refused(url: url, isFull: false, reason: error.message)
        }
    }
}

extension RedisScripts {
    /// The operator's scripts, which no limiter needs.
    static func visiting(isClockManual: Bool) -> (inspect: RedisScript, reset: RedisScript) {
        let clock =
            isClockManual ? PackageResources.clock_manual_lua : PackageResources.clock_time_lua
        return (
            compose([clock, PackageResources.inspect_lua]),
            compose([clock, PackageResources.reset_lua])
        )
    }
}
