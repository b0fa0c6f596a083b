import Glibc

/// Whether a file system keeps what a shared mapping needs: one page for all processes of the host,
/// and reserved space that is never refused later.
package enum FileSystemFitness: Sendable, Hashable {
    /// Tried, and known to.
    case proven(name: String)
    /// Not known to fail; an event tells of it.
    case unproven(name: String)
    /// Other hosts may write to it, or mappings are not shared: refused.
    case network(name: String)
}

/// What a store asks of the host, in one value so that tests can put another host in its place.
package struct SystemFacts: Sendable {
    /// Of this boot of the kernel; 0 where it cannot be asked.
    package var bootIdentity: UInt64
    /// Inode of the process's time namespace; 0 where the kernel has none or it cannot be asked.
    package var timeNamespace: UInt64
    /// From the magic number of `statfs(2)`.
    package var fileSystem: @Sendable (Int) -> FileSystemFitness
    /// `CLOCK_MONOTONIC`.
    package var monotonicNanoseconds: @Sendable () -> Int64
    /// `CLOCK_REALTIME`.
    package var wallNanoseconds: @Sendable () -> Int64

    /// This host.
    package static let current = SystemFacts(
        bootIdentity: bootHash(), timeNamespace: inode(of: "/proc/self/ns/time"),
        fileSystem: fitness, monotonicNanoseconds: { KernelClock.monotonicNanoseconds() },
        wallNanoseconds: { KernelClock.wallNanoseconds() })

    /// The inode that a path leads to, 0 where it cannot be asked.
    package static func inode(of path: String) -> UInt64 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    private static func bootHash() -> UInt64 {
        let descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes[..<count] { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return max(1, hash)
    }

    private static func fitness(_ type: Int) -> FileSystemFitness {
        if let name = proven[type] { return .proven(name: name) }
        if let name = network[type] { return .network(name: name) }
        return .unproven(name: "file system 0x" + String(type, radix: 16))
    }

    private static let proven: [Int: String] = [
        0xef53: "ext4", 0x5846_5342: "xfs", 0x0102_1994: "tmpfs", 0x794c_7630: "overlayfs",
    ]

    private static let network: [Int: String] = [
        0x6969: "NFS", 0xff53_4d42: "CIFS", 0xfe53_4d42: "SMB2", 0x517b: "SMB",
        0x0102_1997: "9p", 0x00c3_6400: "Ceph", 0x5346_414f: "AFS", 0x6b41_4653: "AFS",
        0x0bd0_0bd0: "Lustre", 0x0116_1970: "GFS2", 0x7461_636f: "OCFS2", 0x7375_7245: "Coda",
        0x564c: "NCP", 0x1983_0326: "BeeGFS", 0x4750_4653: "GPFS",
    ]
}
