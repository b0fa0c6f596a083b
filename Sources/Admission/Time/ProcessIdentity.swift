import Glibc
import Synchronization

/// A number that names this process and changes across fork().
///
/// It lives on a page that the kernel wipes in a forked child (`MADV_WIPEONFORK`, Linux 4.14), so
/// that asking costs one load and no system call, and a child knows itself at its first question.
/// The number is never 0. It does not name a process to others: pids are reused.
package enum ProcessIdentity {
    /// The wiped word, for a hot path that keeps it: 0 means that the process forked since anyone
    /// asked; call `current()` then.
    package static let word: SharedWord = makePage()

    /// This process's identity. Any thread.
    @inline(__always)
    package static func current() -> UInt64 {
        // Relaxed: the value depends on nothing else, and every thread would store the same one.
        let value = word.loadRelaxed()
        return value != 0 ? value : renew()
    }

    @inline(never)
    package static func renew() -> UInt64 {
        let value = UInt64(UInt32(bitPattern: getpid())) | 1 << 32
        word.storeRelaxed(value)
        return value
    }

    private static func makePage() -> SharedWord {
        let size = Int(sysconf(Int32(_SC_PAGESIZE)))
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let mapped = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let mapped, mapped != MAP_FAILED else {
            // Without the page a child would take itself for its parent: nothing can be decided.
            preconditionFailure("no memory for the process identity: errno \(errno)")
        }
        let wipeOnFork: Int32 = 18
        let status = madvise(mapped, size, wipeOnFork)
        precondition(status == 0, "MADV_WIPEONFORK needs Linux 4.14 or newer: errno \(errno)")
        return SharedWord(mapped.bindMemory(to: Atomic<UInt64>.self, capacity: 1))
    }
}
