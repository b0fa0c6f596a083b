import Glibc

/// Where a file was opened: its path from the root, and the directory that it lay in.
///
/// A process that changes its working directory or its root (a daemon) must not take the file for
/// deleted, for that would be told to all others: what the path does not lead to any more may still
/// lie in the directory.
final class SegmentPlace: Sendable {
    private let path: String
    private let name: String
    private let directory: Int32

    init(_ path: String) {
        let path = Self.absolute(path)
        let parent: String
        if let end = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            parent = String(path[...end])
            name = String(path[path.utf8.index(after: end)...])
        } else {
            (parent, name) = (".", path)
        }
        self.path = path
        // Glibc's O_PATH is a macro that is not imported: only to look names up in it.
        directory = open(parent, 0o10_000_000 | O_DIRECTORY | O_CLOEXEC)
    }

    deinit {
        if directory >= 0 { close(directory) }
    }

    /// What lies at the place now; nil where nobody can say. All zeros: nothing.
    func look(for inode: UInt64, on device: UInt64) -> stat? {
        var named = stat()
        if stat(path, &named) == 0 { return named }
        guard errno == ENOENT || errno == ENOTDIR else { return nil }
        guard directory >= 0, fstatat(directory, name, &named, 0) == 0,
            UInt64(named.st_ino) == inode, UInt64(named.st_dev) == device
        else { return stat() }
        return named
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
