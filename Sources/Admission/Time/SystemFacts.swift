import CCounter
import Glibc

/// What a store asks of the system it runs on: which boot, which namespaces, which processes live.
///
/// The real answers by default; a test puts others in their place, to reboot or to move into
/// another container without doing so. Nothing is kept but the boot: a child forked into another
/// namespace gets its own answers. Off the hot path; any thread.
package struct SystemFacts: Sendable {
    /// Answers that stand in for the system's; nil: ask it.
    package struct StandIn: Sendable {
        package var bootIdentity: UInt64?
        package var pidNamespace: UInt64?
        package var timeNamespace: UInt64?
        package var process: (@Sendable (_ pid: Int32) -> ProcessState)?
        package var fileSystemType: UInt64?
        package var monotonicNanoseconds: Int64?
        package var wallNanoseconds: Int64?
        /// Nil from it: ask the system.
        package var reserve: (@Sendable (_ offset: Int, _ bytes: Int) -> Int32?)?
        /// Asked for each thread; false: there is none to be had.
        package var givesThread: (@Sendable () -> Bool)?
    }

    package var standIn = StandIn()

    package init() {}

    /// A number of this boot of the kernel; 0 where it does not say.
    package var bootIdentity: UInt64 { standIn.bootIdentity ?? Self.kernelBootIdentity }

    /// Inode of the namespace that this process' pid counts in; 0 where nobody says.
    package var pidNamespace: UInt64 {
        standIn.pidNamespace ?? Self.inode("/proc/self/ns/pid")
    }

    /// Inode of the namespace that its monotonic clock counts in; 0 before Linux 5.6.
    package var timeNamespace: UInt64 {
        standIn.timeNamespace ?? Self.inode("/proc/self/ns/time")
    }

    /// `CLOCK_MONOTONIC`.
    package var monotonicNanoseconds: Int64 {
        standIn.monotonicNanoseconds ?? KernelClock.monotonicNanoseconds()
    }

    /// `CLOCK_REALTIME`.
    package var wallNanoseconds: Int64 {
        standIn.wallNanoseconds ?? KernelClock.wallNanoseconds()
    }

    /// What became of a process of this pid namespace.
    package func state(of pid: Int32) -> ProcessState {
        standIn.process?(pid) ?? ProcessTable.state(of: pid)
    }

    /// Clock ticks since boot at which a process started; 0 where nobody says.
    package func startTime(of pid: Int32) -> UInt64 {
        if case .running(let startTime) = state(of: pid) { return startTime }
        return 0
    }

    /// Whether the process that started then still runs: not another one with its pid, not one that
    /// has ended and waits for its parent.
    ///
    /// - Parameter startTime: clock ticks since boot; 0: any process with the pid will do.
    package func isAlive(pid: Int32, startTime: UInt64) -> Bool {
        switch state(of: pid) {
        case .gone: false
        case .running(let found): startTime == 0 || found == 0 || found == startTime
        }
    }

    /// Starts a plain thread; false where the system refuses one.
    func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        if standIn.givesThread?() == false { return false }
        return DetachedThread.start(body)
    }

    private static let kernelBootIdentity: UInt64 = {
        let descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 64)
        let length = Glibc.read(descriptor, &text, text.count)
        return length > 0 ? bootIdentity(text[..<length]) : 0
    }()

    /// The two halves of a UUID's 32 hexadecimal digits, one laid over the other; 0: it is none.
    static func bootIdentity(_ text: some Collection<UInt8>) -> UInt64 {
        let digits = text.filter { Character(UnicodeScalar($0)).isHexDigit }
        guard digits.count == 32,
            let first = UInt64(String(decoding: digits[..<16], as: UTF8.self), radix: 16),
            let second = UInt64(String(decoding: digits[16...], as: UTF8.self), radix: 16)
        else { return 0 }
        return max(1, first ^ second)
    }

    private static func inode(_ path: String) -> UInt64 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : 0
    }
}

/// Whether a file system's mappings are shared by the processes of this host, and by them alone.
package enum FileSystemTrust: Sendable, Hashable {
    /// Tested, or the same page cache as one that was.
    case good
    /// Nothing speaks against it and nobody has tried.
    case unproven
    /// Other hosts write to it, or its mappings are not shared.
    case network
}

extension SystemFacts {
    /// Has the file system promise space in a descriptor's file.
    ///
    /// - Returns: 0, or the `errno`.
    package func reserve(_ descriptor: Int32, offset: Int, bytes: Int) -> Int32 {
        if let number = standIn.reserve?(offset, bytes) { return number }
        return admission_reserve(descriptor, offset, bytes) == 0 ? 0 : errno
    }

    /// Bytes that this process may give a file; more ends it by SIGXFSZ.
    var fileSizeLimit: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
            ? UInt64(limit.rlim_cur) : .max
    }

    /// The type number of the file system that a descriptor's file lies on; 0 where it is unknown.
    package func fileSystemType(of descriptor: Int32) -> UInt64 {
        standIn.fileSystemType ?? UInt64(admission_file_system_type(descriptor))
    }

    /// What a type number of statfs(2) is called: `0x1234` where it is not known.
    package func fileSystemName(_ type: UInt64) -> String {
        Self.fileSystems[UInt32(truncatingIfNeeded: type)]?.name
            ?? "0x" + String(type, radix: 16)
    }

    /// Whether a store may lie on file systems with that type number.
    package func fileSystemTrust(_ type: UInt64) -> FileSystemTrust {
        Self.fileSystems[UInt32(truncatingIfNeeded: type)]?.trust ?? .unproven
    }

    /// Numbers of statfs(2) and linux/magic.h.
    private static let fileSystems: [UInt32: (name: String, trust: FileSystemTrust)] = [
        0xef53: ("ext2, ext3 or ext4", .good), 0x5846_5342: ("xfs", .good),
        0x0102_1994: ("tmpfs", .good), 0x794c_7630: ("overlayfs", .good),
        0x8584_58f6: ("ramfs", .unproven), 0x9123_683e: ("btrfs", .unproven),
        0x2fc1_2fc1: ("zfs", .unproven), 0xf2f5_2010: ("f2fs", .unproven),
        0xca45_1a4e: ("bcachefs", .unproven), 0x4d44: ("vfat", .unproven),
        0x2011_bab0: ("exfat", .unproven), 0x5265_4973: ("reiserfs", .unproven),
        0x3153_464a: ("jfs", .unproven), 0x6573_5546: ("fuse", .unproven),
        0x6a65_6a63: ("virtiofs", .network), 0x6969: ("NFS", .network),
        0xff53_4d42: ("CIFS", .network), 0xfe53_4d42: ("SMB2", .network),
        0x517b: ("SMB", .network), 0x0102_1997: ("9p", .network),
        0x00c3_6400: ("Ceph", .network), 0x5346_414f: ("OpenAFS", .network),
        0x6b41_4653: ("AFS", .network), 0x0bd0_0bd0: ("Lustre", .network),
        0x0116_1970: ("GFS2", .network), 0x7461_636f: ("OCFS2", .network),
        0x7375_7245: ("Coda", .network), 0x564c: ("NCP", .network),
        0x4750_4653: ("GPFS", .network), 0x1983_0326: ("BeeGFS", .network),
        0x2003_0528: ("OrangeFS", .network), 0xaad7_aaea: ("PanFS", .network),
        0x786f_4256: ("vboxsf", .network), 0xbacb_acbc: ("vmhgfs", .network),
    ]
}
