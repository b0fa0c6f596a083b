import Admission

/// Which server a call goes to: the only one there is, or the one that has the slot of its keys.
enum RedisRoutes: Sendable {
    case one(RedisNode)
    case cluster(RedisCluster)

    /// Why a call has no reply, and from whom.
    struct Failure: Error {
        let error: RedisError
        let node: RedisNode
    }

    /// Opens no connection.
    ///
    /// - Parameter options: of the connection to each server.
    init(_ url: RedisURL, options: RedisPipeline.Options = RedisPipeline.Options()) {
        if let endpoint = url.endpoint {
            self = .one(RedisNode(endpoint, options: options))
        } else {
            self = .cluster(RedisCluster(url, options: options))
        }
    }

    /// Calls a script on the server that has the slot.
    ///
    /// - Parameter slot: of all keys of the call, 0 ..< 16384.
    @inline(__always)
    func call(
        _ script: RedisScript, _ command: RedisCommand, slot: Int, until deadline: CallDeadline
    ) throws(Failure) -> (reply: RedisReply, node: RedisNode) {
        switch self {
        case .one(let node):
            do throws(RedisError) {
                return (try script.call(command, on: node.pipeline, until: deadline), node)
            } catch {
                throw Failure(error: error, node: node)
            }
        case .cluster(let cluster):
            return try cluster.call(script, command, slot: slot, until: deadline)
        }
    }

    /// The servers that are known at the moment; a cluster's may be none before the first call.
    var nodes: [RedisNode] {
        switch self {
        case .one(let node): [node]
        case .cluster(let cluster): cluster.nodes
        }
    }
}
