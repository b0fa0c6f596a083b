import Foundation

/// A listening socket on a free loopback port.
final class LoopbackListener: Sendable {
    let descriptor: Int32
    let port: UInt16

    /// - Parameter backlog: connections that the system accepts before the program does.
    init(backlog: Int32 = 128) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, size)
                _ = listen(descriptor, backlog)
                _ = getsockname(descriptor, $0, &size)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    /// A port on which nobody listens at the moment.
    static func freePort() -> UInt16 { LoopbackListener().port }
}
