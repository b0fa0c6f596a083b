import Glibc

/// Which file something is, whatever leads to it.
///
/// A descriptor's number does not say so for ever: a host program that becomes a daemon may close
/// every descriptor that it has, ours too, and the number is then given to the next file or socket
/// that anybody opens.
struct FileIdentity: Sendable, Hashable {
    private let device: UInt64
    private let inode: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// Of what a descriptor's number stands for now; nil: for nothing.
    init?(descriptor: Int32) {
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }
}
