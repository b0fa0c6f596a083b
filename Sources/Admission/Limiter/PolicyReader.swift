import Synchronization

/// Looks at a policy file on a thread of its own, so that a file system that hangs (a server of NFS
/// that is gone) holds up nobody else: not what else a heartbeat sees to, and not fork().
///
/// The thread does nothing but look when it is asked, holds no lock meanwhile, and ends with the
/// reader. One that hangs is waited for no longer than `patience`, once, and stays the only one: it is
/// asked nothing more until it has answered. A forked child has no such thread and makes a reader of
/// its own.
///
/// Who asks holds the policy file's lock.
final class PolicyReader: @unchecked Sendable {
    // Unchecked: `isAsked` is touched under the policy file's lock alone, the rest is constant.
    private let desk: Desk
    private var isAsked = false
    /// The process whose thread it is.
    let identity: UInt64

    /// How long an answer is waited for: far above what a look takes, and below any beat.
    static let patience: Int64 = 20_000_000

    /// What the thread and who asks it share. `question` and `answer` belong to the thread from
    /// `asked` until `answered`, and to who asks at all other times.
    private final class Desk: @unchecked Sendable {
        // Unchecked: the two semaphores say whose turn it is.
        let asked = Semaphore()
        let answered = Semaphore()
        let isOver = Atomic<Bool>(false)
        let look: @Sendable (PolicyLook.Stamp?) -> PolicyLook
        var question: PolicyLook.Stamp?
        var answer: PolicyLook?

        init(_ look: @escaping @Sendable (PolicyLook.Stamp?) -> PolicyLook) { self.look = look }

        func run() {
            while true {
                asked.wait()
                // Pairs with the store before the semaphore was raised.
                if isOver.load(ordering: .acquiring) { return }
                answer = look(question)
                answered.signal()
            }
        }
    }

    /// Nil where the system gives no thread.
    init?(identity: UInt64, look: @escaping @Sendable (PolicyLook.Stamp?) -> PolicyLook) {
        self.identity = identity
        let desk = Desk(look)
        self.desk = desk
        guard DetachedThread.start({ desk.run() }) else { return nil }
    }

    deinit {
        // In a forked child nobody sits at the desk, and its locks may be the parent's for ever.
        guard identity == ProcessIdentity.current() else { return }
        desk.isOver.store(true, ordering: .releasing)
        desk.asked.signal()
    }

    /// A look at the file; nil: the file system has not answered.
    ///
    /// An answer that came late is of an instant before: an edit made since would wait for one look
    /// more. So it is asked again, and the late answer counts where the next is late too.
    ///
    /// - Parameters:
    ///   - stamp: of the look that was judged last.
    ///   - patience: nanoseconds; how long the answer to a new question is waited for.
    func look(
        unless stamp: PolicyLook.Stamp?, patience: Int64 = PolicyReader.patience
    ) -> PolicyLook? {
        var late: PolicyLook?
        if isAsked {
            guard desk.answered.wait(atMostNanoseconds: 0) else { return nil }
            late = desk.answer
        }
        desk.question = stamp
        desk.answer = nil
        desk.asked.signal()
        isAsked = true
        guard desk.answered.wait(atMostNanoseconds: patience) else { return late }
        isAsked = false
        return desk.answer
    }
}
