import Glibc

/// What the kernel tells of a process.
package enum ProcessState: Sendable, Hashable {
    /// No process has the pid, or it has ended and waits for its parent.
    case gone
    /// A process has the pid: clock ticks since boot at its start; 0 where nobody says.
    case running(startTime: UInt64)
}

/// Asking the kernel for a process: `/proc/<pid>/stat`, else whether a signal could be sent.
enum ProcessTable {
    /// - Parameter pid: as the caller's pid namespace counts.
    /// - Complexity: one file of one line read, about 10 µs.
    static func state(of pid: Int32) -> ProcessState {
        guard pid > 0 else { return .gone }
        if isOwn, let state = read("/proc/\(pid)/stat") { return state }
        // No /proc, one of another namespace, or one that hides other users' processes.
        if kill(pid, 0) == 0 || errno == EPERM { return .running(startTime: 0) }
        return .gone
    }

    /// Whether /proc counts pids as this process does: it may have been mounted outside.
    private static var isOwn: Bool {
        var target = [UInt8](repeating: 0, count: 32)
        let length = target.withUnsafeMutableBytes { bytes in
            bytes.assumingMemoryBound(to: CChar.self).baseAddress.map {
                readlink("/proc/self", $0, bytes.count)
            } ?? -1
        }
        guard length > 0, length < 32 else { return false }
        return String(decoding: target[..<length], as: UTF8.self) == "\(getpid())"
    }

    private static func read(_ path: String) -> ProcessState? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var line = [UInt8](repeating: 0, count: 1_024)
        let length = Glibc.read(descriptor, &line, line.count)
        // Behind open() the process may have gone: reading then fails with ESRCH.
        guard length > 0 else { return length < 0 && errno == ESRCH ? .gone : nil }
        return parse(line[..<length])
    }

    /// The line of proc(5): `pid (name) state …`, the 20th field the number of threads, the 22nd the
    /// start time. The name may hold blanks and brackets, so it is looked for from the end.
    static func parse(_ line: some BidirectionalCollection<UInt8>) -> ProcessState? {
        guard let bracket = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = line[line.index(after: bracket)...].split(separator: UInt8(ascii: " "))
        guard fields.count >= 20, let state = fields[0].first,
            let startTime = UInt64(String(decoding: fields[19], as: UTF8.self))
        else { return nil }
        let threads = Int(String(decoding: fields[17], as: UTF8.self)) ?? 1
        switch state {
        case UInt8(ascii: "X"), UInt8(ascii: "x"): return .gone
        // The first thread may have ended before the others: then the process lives.
        case UInt8(ascii: "Z") where threads <= 1: return .gone
        default: return .running(startTime: startTime)
        }
    }
}
