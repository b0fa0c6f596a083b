import CCounter
import Glibc

/// An address that a socket can be connected to: the bytes of a `sockaddr`.
struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    let family: Int32
    let bytes: [UInt8]
    let description: String
}

/// The system's calls on a stream socket that never blocks.
///
/// Unsafe pointers: each lives for one call alone and points into a value of this file.
enum RedisSocket {
    /// What a wait ended with.
    struct Readiness: Sendable {
        var isReadable = false
        var isWritable = false
        /// Nothing happened until the deadline.
        var isOver: Bool { !isReadable && !isWritable }
    }

    /// A socket of the family: non-blocking, closed on exec.
    static func open(_ family: Int32) throws(RedisFault) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { throw .noResources(operation: "socket", errno: errno) }
        guard family != AF_UNIX else { return descriptor }
        // Each is an improvement only: a system that refuses one still has the connection.
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 15)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 5)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        return descriptor
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Begins to connect; true when that was all.
    static func connect(_ descriptor: Int32, to address: SocketAddress) throws(RedisFault) -> Bool {
        let status = address.bytes.withUnsafeBytes { bytes -> Int32 in
            guard let start = bytes.baseAddress else { return -1 }
            return Glibc.connect(
                descriptor, start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        if status == 0 { return true }
        guard errno == EINPROGRESS || errno == EINTR else {
            throw .refused(address: address.description, errno: errno)
        }
        return false
    }

    /// How connecting ended, once the socket can be written to.
    static func finishConnecting(
        _ descriptor: Int32, to address: SocketAddress
    ) throws(RedisFault) {
        var status: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &status, &size)
        guard result == 0, status == 0 else {
            throw .refused(address: address.description, errno: result == 0 ? status : errno)
        }
    }

    /// Waits until the descriptor is ready, or has failed (then it counts as readable, and the next
    /// call on it tells), at most until the deadline.
    static func wait(
        _ descriptor: Int32, reading: Bool, writing: Bool, until deadline: Int64
    ) -> Readiness {
        let left = max(0, deadline.subtractingSaturating(CallDeadline.now()))
        let events = admission_poll(
            descriptor, (reading ? POLLIN : 0) | (writing ? POLLOUT : 0), left)
        let hasFailed = events & (POLLERR | POLLHUP | POLLNVAL) != 0
        return Readiness(
            isReadable: events & POLLIN != 0 || hasFailed,
            isWritable: events & POLLOUT != 0 || hasFailed)
    }

    /// Hands bytes to the system: how many it took, 0 where it has no room now.
    ///
    /// MSG_NOSIGNAL: a connection that the other side closed is an error, not a SIGPIPE for the
    /// program that this library is part of.
    static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) throws(RedisFault) -> Int {
        while true {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.send(
                    descriptor, bytes.baseAddress, bytes.count,
                    Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count >= 0 { return count }
            switch errno {
            case EAGAIN: return 0
            case EINTR: continue
            default: throw .broken(operation: "send", errno: errno)
            }
        }
    }

    /// Whether the other side has closed the connection, or sent what nobody asked for.
    static func isStale(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        let flags = Int32(MSG_PEEK | MSG_DONTWAIT)
        let count = recv(descriptor, &byte, 1, flags)
        return count >= 0 || (errno != EAGAIN && errno != EINTR)
    }
}

extension Int64 {
    /// The difference, or the end of the range.
    func subtractingSaturating(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }
}
