import Admission
import Synchronization

/// The nodes of a cluster, each with a connection and a circuit of its own, and which of them has
/// which slot.
///
/// The map comes from `CLUSTER SLOTS` of any node. A call that was answered with MOVED, ASK or
/// TRYAGAIN did not run: it follows, before its deadline. What is wrong with the map is seen by the
/// answers to calls; the map is read again together with a later call to a node that answers, or
/// in front of one whose node failed, at most once in a tenth of a second.
///
/// What it does not do: read from replicas, send anything again whose reply was lost.
///
/// Threads: any; there is none of its own. Progress: blocking, by one lock that is held for a lookup
/// in a table. No node is made or ended inside of it. Works after fork().
final class RedisCluster: Sendable {
    private let url: RedisURL
    private let seeds: [RedisHost]
    private let options: RedisPipeline.Options
    private let state = ForkableLock(State(), rank: .redisMemory)
    /// Whether a slot was found elsewhere than the map says. Relaxed: who reads the map clears it.
    private let isStale = Atomic<Bool>(false)

    private struct State {
        var nodes: [RedisHost: RedisNode] = [:]
        /// For each slot its master; the index in `masters`, from 1, and 0 for none.
        var owners: [UInt16] = []
        var masters: [RedisNode] = []
        /// When the map may be read again.
        var nextReading: Int64 = 0
        /// Who is asked first for the map when a node has failed, so that all have their turn.
        var turn = 0

        func owner(of slot: Int) -> RedisNode? {
            guard slot < owners.count, owners[slot] > 0 else { return nil }
            return masters[Int(owners[slot]) - 1]
        }

        /// A slot that was found elsewhere. At the bound the map stays as it is.
        mutating func move(_ slot: Int, to node: RedisNode) {
            guard slot < owners.count else { return }
            var index = masters.firstIndex { $0 === node }
            if index == nil, masters.count < RedisSlotMap.nodesBound {
                masters.append(node)
                index = masters.count - 1
            }
            if let index { owners[slot] = UInt16(index + 1) }
        }

        /// Whether the caller may read the map now.
        mutating func beginReading(now: Int64) -> Bool {
            guard now >= nextReading else { return false }
            nextReading = now.addingSaturated(RedisCluster.readingNanoseconds)
            return true
        }
    }

    /// The map is read no more often.
    private static let readingNanoseconds: Int64 = 100_000_000
    private static let mapCommand = RedisCommand("CLUSTER", "SLOTS")
    /// Redirections in a row that one call follows.
    static let redirectionsBound = 8
    /// Nodes that one call asks for the map.
    private static let askedBound = 8

    init(_ url: RedisURL, options: RedisPipeline.Options = RedisPipeline.Options()) {
        self.url = url
        self.options = options
        if case .cluster(let hosts) = url.place { seeds = hosts } else { seeds = [] }
    }

    var nodes: [RedisNode] { state.withLock { Array($0.nodes.values) } }

    /// Calls a script where the slot is.
    ///
    /// - Returns: the reply, and who gave it; the redirection itself where it could not be followed
    ///   in time, or led in circles.
    func call(
        _ script: RedisScript, _ command: RedisCommand, slot: Int, until deadline: CallDeadline
    ) throws(RedisRoutes.Failure) -> (reply: RedisReply, node: RedisNode) {
        var node = try owner(of: slot, until: deadline)
        var reading = beginReading(from: node)
        var isAsking = false
        var redirections = 0
        var pause = Pause()
        while true {
            let reply: RedisReply
            do throws(RedisError) {
                reply = try script.call(
                    isAsking ? command.asking : command, on: node.pipeline, until: deadline)
            } catch {
                node.isDoubted = true
                finish(reading, until: deadline)
                throw RedisRoutes.Failure(error: error, node: node)
            }
            // Its reply came with that of the call.
            finish(reading, until: deadline)
            reading = nil
            guard case .error(let error) = reply else {
                node.isDoubted = false
                return (reply, node)
            }
            switch error.code {
            case .moved(let moved, let address):
                guard let next = self.node(at: address, from: node) else { return (reply, node) }
                isStale.store(true, ordering: .relaxed)
                state.withLock { $0.move(moved, to: next) }
                (node, isAsking, redirections) = (next, false, redirections + 1)
            case .ask(_, let address):
                guard let next = self.node(at: address, from: node) else { return (reply, node) }
                (node, isAsking, redirections) = (next, true, redirections + 1)
            case .tryAgain:
                guard pause.wait(until: deadline) else { return (reply, node) }
                node = try owner(of: slot, until: deadline)
                (isAsking, redirections) = (false, 0)
            case .clusterDown:
                node.isDoubted = true
                return (reply, node)
            default: return (reply, node)
            }
            guard redirections <= Self.redirectionsBound else { return (reply, node) }
        }
    }

    /// Reads the map from whoever answers first: the nodes that are known, then those of the URL.
    ///
    /// - Throws: why the last of them did not.
    func readMap(until deadline: CallDeadline) throws(RedisRoutes.Failure) {
        var failure: RedisRoutes.Failure?
        let candidates = candidates()
        for (index, node) in candidates.enumerated() {
            let now = CallDeadline.now()
            let left = deadline.nanoseconds.subtractingSaturating(now)
            let share = now.addingSaturated(left / Int64(candidates.count - index))
            do throws(RedisError) {
                let reply = try node.pipeline.call(
                    Self.mapCommand, until: CallDeadline(nanoseconds: share))
                if take(reply, from: node) { return }
                throw Self.noMap(reply)
            } catch {
                node.isDoubted = true
                failure = RedisRoutes.Failure(error: error, node: node)
            }
        }
        if let failure { throw failure }
    }

    // MARK: Finding a node

    private func owner(
        of slot: Int, until deadline: CallDeadline
    ) throws(RedisRoutes.Failure) -> RedisNode {
        let (found, isReading) = state.withLock { state in
            let node = state.owner(of: slot)
            guard node?.isDoubted ?? true else { return (node, false) }
            return (node, state.beginReading(now: CallDeadline.now()))
        }
        if let found, !isReading { return found }
        var failure: RedisRoutes.Failure?
        if isReading {
            do throws(RedisRoutes.Failure) {
                try readMap(until: deadline)
            } catch {
                failure = error
            }
        }
        // One that failed is asked all the same where nobody names another one.
        if let owner = state.withLock({ $0.owner(of: slot) }) { return owner }
        throw RedisRoutes.Failure(
            error: .notSent(.slotUnserved(slot, last: failure?.error.fault)),
            node: failure?.node ?? candidates()[0])
    }

    /// Whom to ask for the map: first the nodes that answered last; one at least.
    private func candidates() -> ArraySlice<RedisNode> {
        let (known, turn) = state.withLock { state in
            state.turn &+= 1
            return (state.nodes, state.turn)
        }
        let nodes = known.values.sorted { $0.name < $1.name }
        let start = nodes.isEmpty ? 0 : turn % nodes.count
        let inTurn = nodes[start...] + nodes[..<start]
        let others = seeds.filter { known[$0] == nil }.map { self.node(to: $0) }
        return
            (inTurn.filter { !$0.isDoubted } + inTurn.filter(\.isDoubted) + others)
            .prefix(Self.askedBound)
    }

    private func node(to host: RedisHost) -> RedisNode {
        RedisNode(url.endpoint(.host(host)), options: options)
    }

    /// The node that a redirection names; nil for no address and above the bound of nodes.
    private func node(at address: String, from node: RedisNode) -> RedisNode? {
        guard let asked = node.host, let host = RedisHost(redirection: address, asked: asked) else {
            return nil
        }
        if let known = state.withLock({ $0.nodes[host] }) { return known }
        let made = self.node(to: host)
        return state.withLock { state in
            if let known = state.nodes[host] { return known }
            guard state.nodes.count < RedisSlotMap.nodesBound else { return nil }
            state.nodes[host] = made
            return made
        }
    }

    // MARK: The map

    /// The map on its way behind a call's own command.
    private struct Reading {
        let node: RedisNode
        let pending: PendingReply
    }

    /// Asks the node for the map, where that is due, together with what it is asked next.
    private func beginReading(from node: RedisNode) -> Reading? {
        guard isStale.load(ordering: .relaxed),
            state.withLock({ $0.beginReading(now: CallDeadline.now()) })
        else { return nil }
        isStale.store(false, ordering: .relaxed)
        guard let pending = try? node.pipeline.submit(Self.mapCommand) else {
            isStale.store(true, ordering: .relaxed)
            return nil
        }
        return Reading(node: node, pending: pending)
    }

    private func finish(_ reading: Reading?, until deadline: CallDeadline) {
        guard let reading else { return }
        let reply = try? reading.node.pipeline.wait(for: reading.pending, until: deadline)
        guard let reply, take(reply, from: reading.node) else {
            isStale.store(true, ordering: .relaxed)
            return
        }
    }

    /// Takes the map over; nodes that it does not name are let go.
    private func take(_ reply: RedisReply, from node: RedisNode) -> Bool {
        guard let asked = node.host, let map = RedisSlotMap(reply, asked: asked) else {
            return false
        }
        let known = state.withLock { $0.nodes }
        var made: [RedisHost: RedisNode] = [asked: node]
        for host in map.hosts where known[host] == nil && made[host] == nil {
            made[host] = self.node(to: host)
        }
        let named = Set(map.hosts)
        let (former, current) = state.withLock { state in
            let former = state
            for host in map.hosts where state.nodes[host] == nil { state.nodes[host] = made[host] }
            state.masters = map.hosts.compactMap { state.nodes[$0] }
            state.nodes = state.nodes.filter { named.contains($0.key) }
            state.owners = map.owners
            return (former, state)
        }
        for node in former.masters where !current.masters.contains(where: { $0 === node }) {
            let slot = former.owners.firstIndex { $0 > 0 && former.masters[Int($0) - 1] === node }
            slot.flatMap { current.owner(of: $0) }?.inheritFailure(of: node)
        }
        // What was let go ends with `former`, outside of the lock.
        return true
    }

    private static func noMap(_ reply: RedisReply) -> RedisError {
        if case .error(let error) = reply { return .notSent(.turnedAway(error)) }
        return .notSent(.protocolError("no map of a cluster's slots, or an empty one"))
    }
}

/// How long a call waits while its slot is under way from node to node: longer each time.
private struct Pause {
    private var nanoseconds: Int64 = 500_000
    private static let longest: Int64 = 8_000_000

    /// - Returns: false, at once, where too little time would be left: a call that is sent on its last
    ///   microsecond loses its reply.
    mutating func wait(until deadline: CallDeadline) -> Bool {
        let end = CallDeadline.after(nanoseconds: nanoseconds)
        guard deadline.nanoseconds.subtractingSaturating(end.nanoseconds) > nanoseconds else {
            return false
        }
        let spot = ParkingSpot()
        while CallDeadline.now() < end.nanoseconds { spot.park(until: end.nanoseconds) }
        nanoseconds = min(2 * nanoseconds, Self.longest)
        return true
    }
}
