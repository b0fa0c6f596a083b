import Glibc

/// Where a file was opened: its path from the root, and the directory that it lay in.
///
/// A process that changes its working directory or its root (a daemon) must not take the file for
/// deleted, for that would be told to all others: what the path does not lead to any more may still
/// lie in the directory. A daemon may close every descriptor too: where the directory's number is
/// not the directory's any more, nothing is asked of it.
final class SegmentPlace: Sendable {
    private let path: String
    private let parent: String
    private let name: String
    private let directory: Int32
    /// Nil where the directory could not be opened.
    private let directoryIdentity: FileIdentity?

    init(_ path: String) {
        let path = Self.absolute(path)
        if let end = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            parent = String(path[...end])
            name = String(path[path.utf8.index(after: end)...])
        } else {
            (parent, name) = (".", path)
        }
        self.path = path
        // Glibc's O_PATH is a macro that is not imported: only to look names up in it.
        directory = Glibc.open(parent, 0o10_000_000 | O_DIRECTORY | O_CLOEXEC)
        directoryIdentity = FileIdentity(descriptor: directory)
    }

    deinit {
        if isDirectoryOurs { close(directory) }
    }

    private var isDirectoryOurs: Bool {
        directoryIdentity != nil && FileIdentity(descriptor: directory) == directoryIdentity
    }

    /// What lies at the place now; nil where nobody can say. All zeros: nothing.
    func look(for identity: FileIdentity) -> stat? {
        var named = stat()
        if stat(path, &named) == 0 { return named }
        guard errno == ENOENT || errno == ENOTDIR else { return nil }
        guard isDirectoryOurs else {
            guard let directoryIdentity else { return stat() }
            // The path is believed where it still leads through the directory.
            let isThere = stat(parent, &named) == 0 && FileIdentity(named) == directoryIdentity
            return isThere ? stat() : nil
        }
        guard fstatat(directory, name, &named, 0) == 0, FileIdentity(named) == identity else {
            return stat()
        }
        return named
    }

    /// Opens what lies at the place.
    ///
    /// - Returns: -1 with `errno` where that cannot be.
    func open(_ flags: Int32) -> Int32 {
        let descriptor = Glibc.open(path, flags)
        guard descriptor < 0, errno == ENOENT || errno == ENOTDIR else { return descriptor }
        guard isDirectoryOurs else {
            errno = ENOENT
            return -1
        }
        return openat(directory, name, flags)
    }

    /// A path from the root, as the working directory is now. Links in it stay links.
    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        var bytes = [CChar](repeating: 0, count: 4_096)
        guard getcwd(&bytes, bytes.count) != nil else { return path }
        let directory = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: directory, as: UTF8.self) + "/" + path
    }
}
