/// A Lua script, and the name that a server caches it under.
package struct RedisScript: Sendable, Hashable {
    package let source: [UInt8]
    /// SHA-1 of the source, in hexadecimal digits.
    package let digest: [UInt8]
    private let load: RedisCommand

    package init(_ source: [UInt8]) {
        self.source = source
        digest = ScriptDigest.hexadecimal(of: source)
        load = RedisCommand([Array("SCRIPT".utf8), Array("LOAD".utf8), source])
    }

    package init(_ source: String) { self.init(Array(source.utf8)) }

    /// The constant part of calls with the same keys.
    ///
    /// - Parameters:
    ///   - keys: KEYS, in their order.
    ///   - arguments: the first of ARGV, the same in each call.
    ///   - variableCount: how many of ARGV follow with each call.
    package func prepared(
        keys: [[UInt8]], arguments: [[UInt8]] = [], variableCount: Int = 0
    ) -> RedisCommand.Prepared {
        let front = [Array("EVALSHA".utf8), digest, Array("\(keys.count)".utf8)]
        return RedisCommand.Prepared(front + keys + arguments, variableCount: variableCount)
    }

    /// Calls it, and loads it first where the server has not got it, all before one deadline.
    ///
    /// Only NOSCRIPT is answered by another try: then nothing ran. A server whose cache is emptied
    /// again and again gets two of them.
    ///
    /// - Parameter command: from `prepared` of this script.
    /// - Returns: the script's reply, or the server's error.
    package func call(
        _ command: RedisCommand, on pipeline: RedisPipeline, until deadline: CallDeadline
    ) throws(RedisError) -> RedisReply {
        var reply = try pipeline.call(command, until: deadline)
        for _ in 0..<2 {
            guard case .error(let error) = reply, error.code == .noScript else { break }
            let loaded: RedisReply
            do {
                loaded = try pipeline.call(load, until: deadline)
            } catch {
                // Loading alone is lost, if anything: the call itself was refused.
                throw .notSent(error.fault)
            }
            if case .error = loaded { return loaded }
            reply = try pipeline.call(command, until: deadline)
        }
        return reply
    }
}
