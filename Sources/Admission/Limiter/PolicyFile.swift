import Glibc

/// A policy file that is watched: what it held when it was last looked at.
///
/// A change is found by inode, size and time, then by content. A document that is refused is told
/// once, and only when it was met twice: who saves a file may be in the middle of it.
struct PolicyFile: Sendable {
    let path: String
    /// Hash of the bytes that were put in force, or found to be no document.
    private var known: UInt64
    /// Hash of bytes that were refused at the last look; met again, they are told.
    private var suspect: UInt64?
    private var stamp: Stamp?
    /// The document in the file is not the one in force: it was refused.
    private(set) var isBroken = false

    /// What tells of a change without reading.
    private struct Stamp: Sendable, Hashable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modifiedAt: Int64
        var changedAt: Int64

        init?(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modifiedAt = Self.nanoseconds(status.st_mtim)
            changedAt = Self.nanoseconds(status.st_ctim)
        }

        private static func nanoseconds(_ time: timespec) -> Int64 {
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
        }

        /// Whether a later change must show: file times are as coarse as the kernel's tick.
        func isSettled(wall: Int64) -> Bool {
            wall &- max(modifiedAt, changedAt) > 100_000_000
        }
    }

    /// - Parameter bytes: what the document in force was read from.
    init(path: String, bytes: [UInt8]) {
        self.path = path
        known = Self.hash(bytes)
    }

    /// What a look found.
    enum Finding {
        /// Nothing to do.
        case none
        case document(PolicyDocument)
        /// To be told, once.
        case refused(PolicyError)
    }

    /// Looks at the file. One system call where it did not change.
    mutating func look() -> Finding {
        let wall = KernelClock.wallNanoseconds()
        let found = Stamp(path: path)
        if let found, found == stamp { return .none }
        // Before the bytes are read: a change in between shows at the next look.
        stamp = found.flatMap { $0.isSettled(wall: wall) ? $0 : nil }
        do throws(PolicyError) {
            let bytes = try FileBytes.read(path: path, maximum: PolicyDocument.maximumBytes)
            let hash = Self.hash(bytes)
            guard hash != known else {
                suspect = nil
                return .none
            }
            do throws(PolicyError) {
                let document = try PolicyDocument(json: bytes)
                (known, suspect) = (hash, nil)
                return .document(document)
            } catch {
                return meet(error, hash: hash)
            }
        } catch {
            return meet(error, hash: 0)
        }
    }

    private mutating func meet(_ error: PolicyError, hash: UInt64) -> Finding {
        guard hash != known else { return .none }
        guard suspect == hash else {
            suspect = hash
            stamp = nil
            return .none
        }
        (known, suspect) = (hash, nil)
        isBroken = true
        return .refused(error)
    }

    /// Notes what became of a document that `look` gave.
    mutating func note(isInForce: Bool) { isBroken = !isInForce }

    /// FNV-1a, never 0: that is a file which cannot be read.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        max(
            1,
            bytes.reduce(0xcbf2_9ce4_8422_2325) { hash, byte in
                (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            })
    }
}

extension LimiterCore {
    /// Watches the file that the document in force was read from.
    func watchPolicy(path: String, bytes: [UInt8]) {
        // As the working directory is now. Links in it are followed at each look: they may move.
        let path = SegmentPlace.absolute(path)
        policyFile.withLock { $0 = PolicyFile(path: path, bytes: bytes) }
        if beatsFromOpening { startHeartbeat(ProcessIdentity.current()) }
    }

    /// Reloads the policy where its file changed; a broken edit keeps the one in force and is told once.
    func pollPolicy() {
        guard !isClosed else { return }
        policyFile.withLock { file in
            guard var watched = file else { return }
            switch watched.look() {
            case .none: break
            case .refused(let error): report(.reloadRefused, "\(LimiterError(error))")
            case .document(let document):
                do throws(LimiterError) {
                    // Tells of itself, and of a refusal.
                    try reload(document)
                    watched.note(isInForce: true)
                } catch {
                    watched.note(isInForce: false)
                }
            }
            file = watched
        }
    }

    /// Whether the watched file holds a document that was refused.
    var isPolicyBroken: Bool { policyFile.withLock { $0?.isBroken ?? false } }
}
