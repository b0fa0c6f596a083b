import Glibc

/// One attempt to connect to a server, carried on by whoever has time.
///
/// A caller's deadline may be shorter than a connection takes: the attempt stays, and the next
/// caller goes on with it. It asks the sentinels where there are any, looks the host up and
/// tries its addresses one after the other.
///
/// Not for two threads at a time: whoever drives the pipeline has it.
final class RedisDialer {
    private let endpoint: RedisEndpoint
    /// Who is asked for the address; nil where the endpoint has one.
    private let sentinels: SentinelLookup?
    private var lookup: HostLookup?
    private var addresses: ArraySlice<SocketAddress>?
    private var addressCount: Int64 = 1
    private var current: Attempt?
    private var lastFault: RedisFault?
    private let limitNanoseconds: Int64

    private struct Attempt {
        let descriptor: Int32
        let address: SocketAddress
        /// When the next address has its turn.
        let until: Int64
    }

    /// - Parameter limitNanoseconds: for all addresses together; each has an equal part of it.
    init(
        _ endpoint: RedisEndpoint, sentinels: SentinelLookup? = nil, limitNanoseconds: Int64
    ) {
        self.endpoint = endpoint
        self.sentinels = sentinels
        self.limitNanoseconds = limitNanoseconds
    }

    deinit { abandon() }

    /// In a forked child: lets go of the socket, and of the rest for good, since a thread of the
    /// parent may have been inside of it when the child was made.
    func leaveToParent() {
        _ = Unmanaged.passRetained(self)
        abandon()
    }

    /// How far it is.
    var stage: RedisStage { addresses == nil ? .resolving : .connecting }

    private func abandon() {
        if let current { close(current.descriptor) }
        current = nil
    }

    /// Goes on until the deadline.
    ///
    /// - Returns: a connected socket, which is the caller's then; nil when the deadline passed.
    /// - Throws: why no address of the server can be connected to.
    func advance(until deadline: Int64) throws(RedisFault) -> Int32? {
        if addresses == nil {
            guard let found = try resolve(until: deadline) else { return nil }
            addresses = found[...]
            addressCount = Int64(max(1, found.count))
        }
        while true {
            do throws(RedisFault) {
                if let current {
                    guard try isConnected(current, until: deadline) else { return nil }
                    self.current = nil
                    return current.descriptor
                }
                guard let address = addresses?.popFirst() else {
                    throw lastFault
                        ?? RedisFault.unresolvable(
                            host: "\(endpoint.address)", reason: "no address")
                }
                let descriptor = try RedisSocket.open(address.family)
                current = Attempt(
                    descriptor: descriptor, address: address,
                    until: CallDeadline.now() + limitNanoseconds / addressCount)
                guard try RedisSocket.connect(descriptor, to: address) else { continue }
                current = nil
                return descriptor
            } catch {
                abandon()
                lastFault = error
                if addresses?.isEmpty ?? true { throw error }
            }
        }
    }

    private func isConnected(
        _ attempt: Attempt, until deadline: Int64
    ) throws(RedisFault) -> Bool {
        let readiness = RedisSocket.wait(
            attempt.descriptor, reading: false, writing: true,
            until: min(deadline, attempt.until))
        if readiness.isWritable {
            try RedisSocket.finishConnecting(attempt.descriptor, to: attempt.address)
            return true
        }
        guard attempt.until <= deadline else { return false }
        throw .timedOut(.connecting)
    }

    private func resolve(until deadline: Int64) throws(RedisFault) -> [SocketAddress]? {
        switch endpoint.address {
        case .unixSocket(let path): return [try Self.address(ofSocketAt: path)]
        case .host(let host): return try resolve(host, until: deadline)
        case .master:
            if let lookup { return try lookup.addresses(until: deadline) }
            guard let host = try sentinels?.master(until: deadline) else { return nil }
            return try resolve(host, until: deadline)
        }
    }

    private func resolve(
        _ host: RedisHost, until deadline: Int64
    ) throws(RedisFault) -> [SocketAddress]? {
        if let lookup { return try lookup.addresses(until: deadline) }
        let lookup = try HostLookup(host)
        self.lookup = lookup
        return try lookup.addresses(until: deadline)
    }

    private static func address(ofSocketAt path: String) throws(RedisFault) -> SocketAddress {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        let bytes = Array(path.utf8)
        guard bytes.count < room else {
            throw .pathTooLong(bytes: bytes.count, accepted: room - 1)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return SocketAddress(
            family: AF_UNIX, bytes: withUnsafeBytes(of: address) { Array($0) }, description: path)
    }
}
