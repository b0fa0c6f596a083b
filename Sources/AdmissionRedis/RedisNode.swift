import Admission
import Synchronization

/// One server of a store: its connection, and how it has done lately.
///
/// Threads: any. The connection is closed with the last reference, so that whoever still waits on a
/// node that a cluster has lost gets its reply.
final class RedisNode: Sendable {
    /// As events name it.
    let name: String
    /// Nil for a socket, and where sentinels say.
    let host: RedisHost?
    let pipeline: RedisPipeline
    /// Since when calls fail, monotonic ns; 0: they do not. Relaxed: who swaps it tells of it, and
    /// nothing else is read by it.
    private let failingSince = Atomic<Int64>(0)
    /// Whether the map that named this node may be wrong. Relaxed: a hint.
    private let isDoubtedWord = Atomic<Bool>(false)
    /// Whether its configuration was looked at. Relaxed: who swaps it looks.
    private let isLookedAt = Atomic<Bool>(false)

    init(_ endpoint: RedisEndpoint, options: RedisPipeline.Options) {
        name = "\(endpoint.address)"
        if case .host(let host) = endpoint.address { self.host = host } else { host = nil }
        var options = options
        // Sentinels replace a master within a second or two, and asking them is cheap.
        if endpoint.isMaster { options.circuit.limitBackoff(nanoseconds: 500_000_000) }
        pipeline = RedisPipeline(endpoint, options: options)
    }

    deinit { pipeline.close() }

    /// Notes that a call failed.
    ///
    /// - Returns: whether it is the first since one went well.
    func noteFailure() -> Bool {
        let now = CallDeadline.now()
        return failingSince.compareExchange(
            expected: 0, desired: now, ordering: .relaxed
        ).exchanged
    }

    /// Notes that the server answered.
    ///
    /// - Returns: since when calls had failed; nil where none had.
    @inline(__always)
    func noteSuccess() -> Int64? {
        guard failingSince.load(ordering: .relaxed) != 0 else { return nil }
        let since = failingSince.exchange(0, ordering: .relaxed)
        guard since != 0 else { return nil }
        // It may be another server by now, or one with another configuration.
        isLookedAt.store(false, ordering: .relaxed)
        return since
    }

    /// Takes over what a node owed that had its slots before: to tell that the store is back.
    func inheritFailure(of former: RedisNode) {
        let since = former.failingSince.load(ordering: .relaxed)
        guard since != 0 else { return }
        _ = failingSince.compareExchange(expected: 0, desired: since, ordering: .relaxed)
    }

    /// Whether the caller is the one who looks at the server's configuration.
    func beginLooking() -> Bool { !isLookedAt.exchange(true, ordering: .relaxed) }

    /// Somebody else has to look again.
    func giveUpLooking() { isLookedAt.store(false, ordering: .relaxed) }

    var isDoubted: Bool {
        get { isDoubtedWord.load(ordering: .relaxed) }
        set { if isDoubted != newValue { isDoubtedWord.store(newValue, ordering: .relaxed) } }
    }
}
