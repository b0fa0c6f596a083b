import Glibc

/// How a segment in a file is to be opened.
package struct SegmentFileRequest: Sendable {
    package var path: String
    /// Keys that may live at once, where the file is made.
    package var keyCapacity: Int
    package var clockKind: SegmentClockKind
    /// Wall time at which a manual clock starts, where the file is made.
    package var startUnixNanoseconds: Int64
    /// Name or number of a group that shares the file; nil: its owner alone.
    package var group: String?
    /// An existing file alone is opened; a missing one is an error.
    package var mustExist: Bool

    package init(
        path: String, keyCapacity: Int = 1_048_576, clockKind: SegmentClockKind = .system,
        startUnixNanoseconds: Int64 = 0, group: String? = nil, mustExist: Bool = false
    ) {
        self.path = path
        self.keyCapacity = keyCapacity
        self.clockKind = clockKind
        self.startUnixNanoseconds = startUnixNanoseconds
        self.group = group
        self.mustExist = mustExist
    }
}

/// The file behind a segment: opened or made, extended, and watched for being taken away.
///
/// It is sparse and has its full size from the start, so that no read meets its end; space is
/// reserved before it is written, so that a full disk is an error and not a SIGBUS. Made under no
/// name (`O_TMPFILE`), filled, and linked to its path at once: who finds it finds it whole, and of
/// several makers one wins.
///
/// The mapping is what counts: the descriptor is needed for reserving alone, and a host program may
/// have closed it and its number be somebody else's, so it is looked at before each use.
///
/// Owner: its segment. Closed with the last reference. Threads: any.
final class SegmentFile: Sendable {
    let path: String
    /// Of this file when it was opened.
    let descriptor: Int32
    private let identity: FileIdentity
    /// Where nobody has tried stores: the file system's name, for an event.
    let unprovenFileSystem: String?

    /// Bytes that are reserved at a time.
    static let extent = 1 << 20

    private init(
        path: String, descriptor: Int32, status: stat, unprovenFileSystem: String?,
        system: SystemFacts
    ) {
        self.path = path
        self.descriptor = descriptor
        place = SegmentPlace(path)
        identity = FileIdentity(status)
        self.unprovenFileSystem = unprovenFileSystem
        self.system = system
    }

    deinit {
        if isOurs(descriptor) { close(descriptor) }
    }

    private let place: SegmentPlace
    private let system: SystemFacts

    /// Opens the file at a path; nil where there is none.
    ///
    /// - Parameter isReadOnly: nothing will be written to it, nor may be.
    static func open(
        _ path: String, isReadOnly: Bool = false, system: SystemFacts
    ) throws(StoreError) -> SegmentFile? {
        let access = isReadOnly ? O_RDONLY : O_RDWR
        // Not blocking: the path may name a pipe.
        let descriptor = Glibc.open(path, access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw fault(path, "open the file", errno)
        }
        do throws(StoreError) {
            return try adopt(path, descriptor, system: system)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func adopt(
        _ path: String, _ descriptor: Int32, system: SystemFacts
    ) throws(StoreError) -> SegmentFile {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw fault(path, "stat the file", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .foreign(path: path, found: "it is not a regular file")
        }
        let type = system.fileSystemType(of: descriptor)
        let name = system.fileSystemName(type)
        let trust = system.fileSystemTrust(type)
        guard trust != .network else { throw .networkFileSystem(path: path, name: name) }
        return SegmentFile(
            path: path, descriptor: descriptor, status: status,
            unprovenFileSystem: trust == .good ? nil : name, system: system)
    }

    /// Bytes of the file now.
    func size() throws(StoreError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Self.fault(path, "stat the file", errno)
        }
        return Int(status.st_size)
    }

    /// The first bytes of the file, fewer where it is shorter.
    func head(_ bytes: Int) throws(StoreError) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: bytes / 8)
        let count = pread(descriptor, &words, words.count * 8, 0)
        guard count >= 0 else { throw Self.fault(path, "read the file", errno) }
        return Array(words[..<(count / 8)])
    }

    /// Maps the file's first bytes, shared with every process that does.
    func map(
        _ bytes: Int, isReadOnly: Bool = false
    ) throws(StoreError) -> UnsafeMutableRawPointer {
        let access = isReadOnly ? PROT_READ : PROT_READ | PROT_WRITE
        let mapped = mmap(nil, bytes, access, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else {
            throw .outOfMemory(bytes: bytes, errno: errno)
        }
        #if ADMISSION_CRASH_POINTS
            CrashPoint.note(mapped, bytes: bytes)
        #endif
        return mapped
    }

    /// Whether a descriptor's number stands for this file now.
    private func isOurs(_ descriptor: Int32) -> Bool {
        FileIdentity(descriptor: descriptor) == identity
    }

    /// Has the file system promise space. Idempotent: what is reserved stays as it is.
    ///
    /// - Throws: `StoreError.replaced` where the descriptor was lost and the path names another file;
    ///   `diskFull`, `notPermitted`, `unavailable`.
    func reserve(_ offset: Int, bytes: Int) throws(StoreError) {
        if isOurs(descriptor) { return try reserve(offset, bytes: bytes, in: descriptor) }
        // For this once: a number that is kept can be lost again.
        let again = place.open(O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard again >= 0 else {
            if errno == ENOENT { throw .replaced(path: path) }
            throw Self.fault(path, "open the file again", errno)
        }
        defer { close(again) }
        guard isOurs(again) else { throw .replaced(path: path) }
        try reserve(offset, bytes: bytes, in: again)
    }

    private func reserve(
        _ offset: Int, bytes: Int, in descriptor: Int32
    ) throws(StoreError) {
        while true {
            let number = system.reserve(descriptor, offset: offset, bytes: bytes)
            switch number {
            case 0: return
            case EINTR: continue
            case ENOSPC, EDQUOT: throw .diskFull(path: path, neededBytes: bytes)
            default: throw Self.fault(path, "reserve space in the file", number)
            }
        }
    }

    /// Whether the path still names this file, whole. Truncated: its pages may be gone, whatever the
    /// path names.
    enum Place { case kept, replaced, truncated }

    func place(size: Int) -> Place {
        let named = place.look(for: identity)
        if let named, FileIdentity(named) == identity {
            return Int(named.st_size) < size ? .truncated : .kept
        }
        // The path says nothing of this file: it may have been cut before it lost its name.
        var own = stat()
        let isKnown = fstat(descriptor, &own) == 0 && FileIdentity(own) == identity
        if isKnown, Int(own.st_size) < size { return .truncated }
        if named == nil { return .kept }
        // Without a descriptor nobody can say: as if the pages were gone.
        return isKnown ? .replaced : .truncated
    }

    static func fault(_ path: String, _ operation: String, _ number: Int32) -> StoreError {
        switch number {
        case EACCES, EPERM, EROFS:
            .notPermitted(path: path, operation: operation, errno: number)
        case ENOSPC, EDQUOT: .diskFull(path: path, neededBytes: Segment.Header.bytes)
        default: .unavailable(path: path, operation: operation, errno: number)
        }
    }
}

/// Making a file.
extension SegmentFile {
    /// Makes the file, filled by `fill`, and links it to its path.
    ///
    /// - Returns: nil where another process was first.
    static func create(
        _ request: SegmentFileRequest, system: SystemFacts, size: Int,
        fill: (SegmentFile) throws(StoreError) -> Void
    ) throws(StoreError) -> SegmentFile? {
        let (descriptor, name) = try unnamed(besides: request.path)
        defer { if let name { unlink(name) } }
        let file: SegmentFile
        do throws(StoreError) {
            file = try adopt(request.path, descriptor, system: system)
        } catch {
            close(descriptor)
            throw error
        }
        try give(descriptor, to: request)
        let limit = system.fileSizeLimit
        guard UInt64(size) <= limit else {
            let operation = "set the file's size to \(size), above RLIMIT_FSIZE of \(limit) bytes"
            throw fault(request.path, operation, EFBIG)
        }
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw fault(request.path, "set the file's size", errno)
        }
        try file.reserve(0, bytes: Segment.Header.bytes)
        try fill(file)
        // Before it has a name: a crash of the host must not leave a file of zeros there.
        guard fsync(descriptor) == 0 else { throw fault(request.path, "sync", errno) }
        return try link(descriptor, name, to: request.path) ? file : nil
    }

    /// A new file without a name in the path's directory, or where the file system has no such
    /// thing, under a name of its own.
    private static func unnamed(
        besides path: String
    ) throws(StoreError) -> (descriptor: Int32, name: String?) {
        let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = end.map { String(path[...$0]) } ?? "."
        // Glibc's O_TMPFILE is a macro that is not imported.
        let unnamed = O_DIRECTORY | 0o20_000_000
        let descriptor = Glibc.open(directory, O_RDWR | O_CLOEXEC | unnamed, 0o600)
        if descriptor >= 0 {
            if access("/proc/self/fd/\(descriptor)", F_OK) == 0 { return (descriptor, nil) }
            close(descriptor)
        } else if errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL {
            throw fault(path, "make a file in its directory", errno)
        }
        let name = "\(path).new-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let named = Glibc.open(name, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, 0o600)
        guard named >= 0 else { throw fault(path, "make a file in its directory", errno) }
        return (named, name)
    }

    /// Links a new file to its path; false where another one has it.
    private static func link(
        _ descriptor: Int32, _ name: String?, to path: String
    ) throws(StoreError) -> Bool {
        let status =
            if let name {
                Glibc.link(name, path)
            } else {
                linkat(
                    AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW)
            }
        if status == 0 { return true }
        guard errno == EEXIST else { throw fault(path, "name the new file", errno) }
        return false
    }

    /// Sets who may open the file, whatever the process's umask.
    private static func give(
        _ descriptor: Int32, to request: SegmentFileRequest
    ) throws(StoreError) {
        var mode: mode_t = 0o600
        if let group = request.group {
            guard let number = groupNumber(group) else {
                throw .invalidURL(
                    url: "file:\(request.path)?group=\(group)", reason: "no such group")
            }
            guard fchown(descriptor, uid_t.max, number) == 0 else {
                throw fault(request.path, "give the file to group \(group)", errno)
            }
            mode = 0o660
        }
        guard fchmod(descriptor, mode) == 0 else {
            throw fault(request.path, "set the file's mode", errno)
        }
    }

    private static func groupNumber(_ name: String) -> gid_t? {
        if let number = gid_t(name) { return number }
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var bytes = [CChar](repeating: 0, count: 64 << 10)
        guard getgrnam_r(name, &entry, &bytes, bytes.count, &found) == 0, found != nil else {
            return nil
        }
        return entry.gr_gid
    }
}
