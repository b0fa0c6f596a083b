import Glibc

/// A policy file that is watched: what it held when it was last looked at.
///
/// A change is found by inode, size and time, then by content. A document that is refused is told
/// once, and only when it was met twice: who saves a file may be in the middle of it. One that was
/// refused for what may pass (the store has no room, a zone is not installed, the file cannot be read)
/// is tried again at each look, and told again when the reason is another.
struct PolicyFile: Sendable {
    let path: String
    /// Hash of the bytes that were put in force last.
    private var inForce: UInt64
    /// Hash of bytes that were refused at the last look; met again, they are told.
    private var suspect: UInt64?
    private var stamp: PolicyLook.Stamp?
    /// Why the document in the file is not the one in force, as it was told.
    private var refusal: Refusal?
    /// Where a thread of the library's own may look.
    var reader: PolicyReader?

    private struct Refusal: Sendable, Equatable {
        /// Of the bytes; `unread` where there were none.
        var hash: UInt64
        var reason: String
        /// The same bytes will be refused for ever.
        var isFinal: Bool
    }

    private static let unread: UInt64 = 0

    /// The document in the file is not the one in force: it was refused.
    var isBroken: Bool { refusal != nil }

    /// - Parameter bytes: what the document in force was read from.
    init(path: String, bytes: [UInt8]) {
        self.path = path
        inForce = Self.hash(bytes)
    }

    /// What a look found.
    enum Finding {
        /// Nothing to do.
        case none
        /// To be put in force, and noted what became of it.
        case document(PolicyDocument, hash: UInt64)
        /// To be told, once.
        case refused(PolicyError)
        /// To be told: what was refused is gone, and the document in force is back.
        case mended
    }

    /// Looks at the file in the caller's thread.
    mutating func look() -> Finding { judge(PolicyLook.take(path, unless: stamp)) }

    /// Looks at the file in a thread of this process that waits for the file system alone; where there
    /// can be none, in the caller's.
    mutating func lookElsewhere(_ identity: UInt64) -> Finding {
        if reader?.identity != identity {
            let path = path
            reader = PolicyReader(identity: identity) { PolicyLook.take(path, unless: $0) }
        }
        guard let reader else { return look() }
        return reader.look(unless: stamp).map { judge($0) } ?? .none
    }

    /// Says what has to be done about what was found.
    mutating func judge(_ look: PolicyLook) -> Finding {
        switch look.found {
        case .same: return .none
        case .unreadable(let error):
            return meet(error, hash: Self.unread, isFinal: false)
        case .bytes(let bytes):
            let hash = Self.hash(bytes)
            stamp = look.stamp
            if hash == inForce {
                suspect = nil
                defer { refusal = nil }
                return isBroken ? .mended : .none
            }
            if let refusal, refusal.isFinal, refusal.hash == hash { return .none }
            do throws(PolicyError) {
                let document = try PolicyDocument(json: bytes)
                suspect = nil
                return .document(document, hash: hash)
            } catch {
                // A zone may be installed later; all else is in the text.
                return meet(error, hash: hash, isFinal: error.kind != .zone)
            }
        }
    }

    private mutating func meet(_ error: PolicyError, hash: UInt64, isFinal: Bool) -> Finding {
        let isKnown = suspect == hash || refusal?.hash == hash
        suspect = hash
        guard isKnown else {
            stamp = nil
            return .none
        }
        let isNew = refuse(Refusal(hash: hash, reason: error.description, isFinal: isFinal))
        return isNew ? .refused(error) : .none
    }

    /// Notes that a document which `look` gave could not be put in force: it is tried again.
    ///
    /// - Returns: whether that is to be told.
    mutating func refuse(hash: UInt64, for error: LimiterError) -> Bool {
        // The code alone: numbers in the message change from one try to the next.
        refuse(Refusal(hash: hash, reason: error.code.name, isFinal: false))
    }

    private mutating func refuse(_ new: Refusal) -> Bool {
        if !new.isFinal { stamp = nil }
        defer { refusal = new }
        return refusal != new
    }

    /// Notes that a document which `look` gave is in force.
    ///
    /// - Returns: whether one was refused before.
    mutating func accept(hash: UInt64) -> Bool {
        inForce = hash
        defer { refusal = nil }
        return isBroken
    }

    /// FNV-1a, never `unread`.
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
    ///
    /// - Parameter waits: the caller may wait for the file system; the heartbeat may not.
    func pollPolicy(waits: Bool) {
        guard !isClosed, !store.segment.isReplaced else { return }
        policyFile.withLock { file in
            guard var watched = file else { return }
            let finding =
                waits ? watched.look() : watched.lookElsewhere(ProcessIdentity.current())
            apply(finding, &watched)
            notePolicy(isBroken: watched.isBroken)
            file = watched
        }
    }

    private func apply(_ finding: PolicyFile.Finding, _ file: inout PolicyFile) {
        switch finding {
        case .none: break
        case .mended: reportMended(file)
        case .refused(let error): reportBroken(file, LimiterError(error))
        case .document(let document, let hash):
            do throws(LimiterError) {
                try putInForce(document)
                if file.accept(hash: hash) { reportMended(file) }
            } catch {
                // Closed or given up meanwhile: nothing is watched any more.
                guard error.code != .closed, error.code != .storeReplaced else { return }
                if file.refuse(hash: hash, for: error) { reportBroken(file, error) }
            }
        }
    }

    private func reportBroken(_ file: PolicyFile, _ error: LimiterError) {
        report(.policyBroken, "\(file.path): \(error)")
    }

    private func reportMended(_ file: PolicyFile) {
        report(.policyMended, "\(file.path): its document is in force")
    }

    /// Whether the watched file holds a document that was refused.
    var isPolicyBroken: Bool { policyFile.withLock { $0?.isBroken ?? false } }
}
