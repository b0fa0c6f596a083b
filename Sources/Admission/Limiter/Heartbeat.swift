import Glibc
import Synchronization

/// The one plain thread of a process that renews leases, so that a live holder keeps its slots.
///
/// Started with the first open lease and again in a forked child, which inherits no thread. It
/// beats at a third of the shortest lease of all limiters in it and renews only permits that are
/// open, up to their longest hold. No Dispatch, no Swift concurrency: it works in any host.
///
/// Lock: the members' mutex is held while a member is renewed, so that removing one waits for its
/// renewal; a member's own lock is taken under it, never the other way round.
final class Heartbeat: Sendable {
    static let shared = Heartbeat()

    private struct Members {
        /// Process whose thread runs; 0 for none.
        var threadIdentity: UInt64 = 0
        /// Written to when the beat gets shorter or the last limiter goes; made with the thread.
        var wakeDescriptor: Int32 = -1
        var cores: [Unmanaged<LimiterCore>] = []
        var beatNanoseconds = Heartbeat.longestBeat
    }

    private let members = ForkableLock(Members(), rank: .heartbeat)

    private static let longestBeat: Int64 = 1_000_000_000

    private init() {}

    /// Begins to renew a limiter's leases. Called with its first lease in a process.
    func add(_ core: LimiterCore, identity: UInt64) {
        let beat = min(Self.longestBeat, (core.shortestLease() ?? Self.longestBeat) / 3)
        members.withLock { members in
            let entry = Unmanaged.passUnretained(core)
            if !members.cores.contains(where: { $0.toOpaque() == entry.toOpaque() }) {
                members.cores.append(entry)
            }
            let isShorter = beat < members.beatNanoseconds
            members.beatNanoseconds = min(members.beatNanoseconds, beat)
            // A forked child: its parent's thread is not here, its parent's limiters are.
            if members.threadIdentity != identity {
                if Self.start(&members) { members.threadIdentity = identity }
            } else if isShorter {
                Self.wake(members)
            }
        }
    }

    /// Forgets a limiter; when this returns the thread does not touch it.
    func remove(_ core: LimiterCore) {
        members.withLock { members in
            let entry = Unmanaged.passUnretained(core).toOpaque()
            members.cores.removeAll { $0.toOpaque() == entry }
            if members.cores.isEmpty { Self.wake(members) }
        }
    }

    private static func wake(_ members: borrowing Members) {
        guard members.wakeDescriptor >= 0 else { return }
        var byte: UInt8 = 1
        _ = write(members.wakeDescriptor, &byte, 1)
    }

    /// Starts the thread with a pipe of its own; false where the system refuses either.
    private static func start(_ members: inout Members) -> Bool {
        var pipe: (read: Int32, write: Int32) = (-1, -1)
        let status = withUnsafeMutableBytes(of: &pipe) { bytes in
            Glibc.pipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        guard status == 0 else { return false }
        for descriptor in [pipe.read, pipe.write] {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 256 << 10)
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // Signals are the host's: none is delivered to this thread.
        pthread_sigmask(SIG_BLOCK, &all, &before)
        var thread = pthread_t()
        let created = pthread_create(
            &thread, &attributes,
            { argument in
                Heartbeat.shared.run(Int32(UInt(bitPattern: argument)))
                return nil
            }, UnsafeMutableRawPointer(bitPattern: UInt(pipe.read)))
        pthread_sigmask(SIG_SETMASK, &before, nil)
        pthread_attr_destroy(&attributes)
        guard created == 0 else {
            close(pipe.read)
            close(pipe.write)
            return false
        }
        members.wakeDescriptor = pipe.write
        return true
    }

    /// The thread: beats until the last limiter is gone.
    private func run(_ descriptor: Int32) {
        defer { close(descriptor) }
        while true {
            let beat = members.withLock { $0.beatNanoseconds }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, Int32(max(1, beat / 1_000_000)))
            var bytes: (UInt64, UInt64) = (0, 0)
            while read(descriptor, &bytes, 16) > 0 {}
            let isLast = members.withLock { members -> Bool in
                guard !members.cores.isEmpty else {
                    members.threadIdentity = 0
                    members.beatNanoseconds = Self.longestBeat
                    close(members.wakeDescriptor)
                    members.wakeDescriptor = -1
                    return true
                }
                for core in members.cores {
                    let core = core.takeUnretainedValue()
                    let now = core.store.clock.now()
                    core.renewAll(now: now, until: now)
                }
                return false
            }
            if isLast { return }
        }
    }
}
