import Glibc

/// A host's addresses, looked up by a thread of its own: the system's resolver takes no deadline.
///
/// The one place where a thread is needed. It ends with its answer; who asks meanwhile waits until a
/// deadline and may come back. Names that are addresses need no thread. One asks at a time.
final class HostLookup: @unchecked Sendable {
    // Unchecked: `answer` is written once, before it is posted that it is there.
    private let host: RedisHost
    private let spot = ParkingSpot()
    private var answer: Result<[SocketAddress], RedisFault> = .success([])

    /// Begins the lookup.
    init(_ host: RedisHost) throws(RedisFault) {
        self.host = host
        if case .success(let addresses) = Self.resolve(host, flags: AI_NUMERICHOST) {
            answer = .success(addresses)
            spot.post(1)
            return
        }
        try start()
    }

    /// The addresses, or nil when the deadline passed first.
    func addresses(until deadline: Int64) throws(RedisFault) -> [SocketAddress]? {
        while spot.value == 0 {
            guard CallDeadline.now() < deadline else { return nil }
            spot.park(until: deadline)
        }
        return try answer.get()
    }

    private func start() throws(RedisFault) {
        var thread = pthread_t()
        // The thread's own reference: it may outlive everybody who asked.
        let argument = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let lookup = Unmanaged<HostLookup>.fromOpaque(argument).takeRetainedValue()
                lookup.answer = HostLookup.resolve(lookup.host, flags: 0)
                lookup.spot.post(1)
                return nil
            }, argument.toOpaque())
        guard status == 0 else {
            argument.release()
            throw .noResources(operation: "pthread_create", errno: status)
        }
        pthread_detach(thread)
    }

    /// Owner of the list: the resolver's, freed here; the addresses are copies.
    private static func resolve(
        _ host: RedisHost, flags: Int32
    ) -> Result<[SocketAddress], RedisFault> {
        var hints = addrinfo()
        hints.ai_flags = flags | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host.name, "\(host.port)", &hints, &list)
        guard status == 0 else {
            let reason =
                status == EAI_SYSTEM ? "errno \(errno)" : String(cString: gai_strerror(status))
            return .failure(.unresolvable(host: host.name, reason: reason))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next, addresses.count < 16 {
            if let address = entry.pointee.ai_addr {
                let bytes = UnsafeRawBufferPointer(
                    start: address, count: Int(entry.pointee.ai_addrlen))
                addresses.append(
                    SocketAddress(
                        family: entry.pointee.ai_family, bytes: Array(bytes), description: "\(host)"
                    ))
            }
            next = entry.pointee.ai_next
        }
        return .success(addresses)
    }
}
