import Glibc

/// Reads a whole file, up to a bound.
///
/// Regular files alone, links followed: a pipe, a terminal or a device may have nothing to say yet, or
/// never come to an end, and says another thing each time that it is read.
enum FileBytes {
    /// - Parameters:
    ///   - path: Relative to the working directory.
    ///   - maximum: The most bytes accepted; the file is not read further than one beyond.
    /// - Throws: `PolicyError`: `unreadable` with the system's reason or what stands there instead of
    ///   a file, or `tooLarge`.
    static func read(path: String, maximum: Int) throws(PolicyError) -> [UInt8] {
        guard !path.utf8.contains(0) else {
            throw PolicyError(.unreadable, message: "\(path.quoted) has a NUL character")
        }
        // Not blocking: opening a pipe would wait for its writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw unreadable(path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable(path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw PolicyError(
                .unreadable,
                message: "\(path.quoted) is no file but \(kindName(status.st_mode)); accepted: a "
                    + "regular file, or a link to one")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= maximum {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes += chunk[..<count]
            } else if count == 0 {
                return bytes
            } else if errno != EINTR {
                throw unreadable(path)
            }
        }
        throw PolicyError(
            .tooLarge, message: "\(path.quoted) is longer than \(maximum) bytes, the most accepted")
    }

    private static func kindName(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a directory"
        case S_IFIFO: "a pipe"
        default: "a device"
        }
    }

    private static func unreadable(_ path: String) -> PolicyError {
        let number = errno
        let reason = strerror(number).map { String(cString: $0) } ?? "error"
        return PolicyError(
            .unreadable, message: "\(path.quoted) cannot be read: \(reason) (errno \(number))")
    }
}
