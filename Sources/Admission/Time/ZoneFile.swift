import Glibc

/// One file of the time-zone database, as bytes.
struct ZoneFile: Sendable {
    let path: String
    let bytes: [UInt8]

    /// Where systems keep the database; the first directory that has the zone counts.
    static let systemDirectories = [
        "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo",
    ]

    /// Reads `directory`/`name`; a nil directory stands for `TZDIR` or the system's directories.
    init(named name: String, directory: String?) throws(ZoneError) {
        if let reason = Self.refusal(ofName: name) {
            throw ZoneError(name: name, path: "", reason: reason)
        }
        var missing: ZoneError?
        for directory in Self.directories(directory) {
            let path = "\(directory)/\(name)"
            do {
                bytes = try Self.read(path)
                self.path = path
                return
            } catch {
                let failure = ZoneError(name: name, path: path, reason: error.reason)
                // Only a missing file lets the search go on; the first path is reported.
                guard error.isMissing else { throw failure }
                missing = missing ?? failure
            }
        }
        throw missing ?? ZoneError(name: name, path: "", reason: "no directory to look in")
    }

    private static func directories(_ directory: String?) -> [String] {
        if let directory { return [directory] }
        if let value = getenv("TZDIR"), value.pointee != 0 { return [String(cString: value)] }
        return systemDirectories
    }

    /// Why a name is not looked up at all, or nil.
    private static func refusal(ofName name: String) -> String? {
        let bytes = Array(name.utf8)
        if bytes.isEmpty { return "the name is empty" }
        if bytes.count > 255 { return "the name has \(bytes.count) bytes, more than 255" }
        if bytes.contains(0) { return "the name contains a NUL byte" }
        if bytes[0] == UInt8(ascii: "/") { return "the name begins with `/`" }
        let dot = UInt8(ascii: ".")
        if zip(bytes, bytes.dropFirst()).contains(where: { $0 == dot && $1 == dot }) {
            return "the name contains `..`"
        }
        return nil
    }

    private struct Failure: Error {
        var reason: String
        var isMissing = false
    }

    private static func read(_ path: String) throws(Failure) -> [UInt8] {
        // A named pipe in the directory must not hold up the caller: O_NONBLOCK.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(of: "open", errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(of: "fstat", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(reason: "is not a regular file")
        }
        // One byte more than is accepted, so that the parser sees, and names, a longer file.
        let capacity = min(Int(status.st_size), TZifFile.maximumByteCount + 1)
        var bytes = [UInt8](repeating: 0, count: capacity)
        var count = 0
        while count < capacity {
            // The pointer lives for this call alone; count is below the buffer's size.
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(
                    descriptor, buffer.baseAddress.map { $0 + count }, capacity - count)
            }
            if got == 0 { break }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { throw failure(of: "read", errno) }
            count += got
        }
        bytes.removeSubrange(count...)
        return bytes
    }

    private static func failure(of call: String, _ code: Int32) -> Failure {
        switch code {
        case ENOENT, ENOTDIR:
            Failure(reason: "is not in the time-zone database (no such file)", isMissing: true)
        case EACCES: Failure(reason: "may not be read (permission denied)")
        default: Failure(reason: "\(call) failed with errno \(code)")
        }
    }
}
