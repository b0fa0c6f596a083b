import Glibc

/// One look at a policy file: what the file system says, and nothing that depends on a limiter.
struct PolicyLook: Sendable {
    enum Found: Sendable {
        /// As it was when the stamp was taken.
        case same
        case bytes([UInt8])
        case unreadable(PolicyError)
    }

    let found: Found
    /// What the file looked like before it was read; nil where a later change might not show.
    let stamp: Stamp?

    /// What tells of a change without reading.
    struct Stamp: Sendable, Hashable {
        private var device: UInt64
        private var inode: UInt64
        private var size: Int64
        private var modifiedAt: Int64
        private var changedAt: Int64

        init?(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modifiedAt = Self.nanoseconds(status.st_mtim)
            changedAt = Self.nanoseconds(status.st_ctim)
        }

        private static func nanoseconds(_ time: timespec) -> Int64 {
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
        }

        /// Whether a later change must show: file times are as coarse as the kernel's tick.
        fileprivate func isSettled(wall: Int64) -> Bool {
            wall &- max(modifiedAt, changedAt) > 100_000_000
        }
    }

    /// Looks at the file. One system call where it did not change.
    ///
    /// - Parameter stamp: of the look before; nil reads in any case.
    static func take(_ path: String, unless stamp: Stamp?) -> PolicyLook {
        let wall = KernelClock.wallNanoseconds()
        let now = Stamp(path: path)
        if let now, now == stamp { return PolicyLook(found: .same, stamp: stamp) }
        do throws(PolicyError) {
            let bytes = try FileBytes.read(path: path, maximum: PolicyDocument.maximumBytes)
            // The stamp from before the bytes were read: a change in between shows at the next look.
            let settled = now.flatMap { $0.isSettled(wall: wall) ? $0 : nil }
            return PolicyLook(found: .bytes(bytes), stamp: settled)
        } catch {
            // Without a stamp: what kept it from being read may pass and leave the file as it is.
            return PolicyLook(found: .unreadable(error), stamp: nil)
        }
    }
}
