import Admission
import Synchronization

/// Asks for slices in the background, ends them, and sends what was settled meanwhile.
///
/// Plain threads, begun with the first work, again in a forked child, and never more than `most`: one
/// serves a store whose server is quick; while it is slow each call keeps one of them. They park where
/// there is nothing to do. On a manual clock there is none: the caller does what is due.
///
/// Lock: its own, for list work alone. The threads keep the store alive for a call at a time.
final class SliceKeeper: Sendable {
    enum Job: Sendable {
        case ask(RedisHolding)
        /// Ends the slices whose time is over, and sends what waits.
        case settle(RedisHolding)
    }

    private struct State: Sendable {
        weak var store: RedisStore?
        /// Of the process whose threads run.
        var identity: UInt64 = 0
        var threads = 0
        var idle = 0
        /// Threads at work on what was due.
        var settling = 0
        var jobs: [Job] = []
        /// By rising instants, nearly: a slice that ends with its window waits for those before it.
        var due: [(at: Int64, holding: RedisHolding?)] = []
        var dueStart = 0
        var holdings: [[UInt8]: RedisHolding] = [:]
    }

    private static let most = 16
    /// Threads that may be at settling at a time: asking does not wait behind it.
    private static let mostSettling = 6
    /// Holdings that are found again; one that was forgotten lives on with its gates and its slices, and
    /// another gate of its scope gets a new one.
    static let holdingsBound = 65_536
    private static let idleNanoseconds: Int64 = 1_000_000_000
    private static let longestSleep: Int64 = 3_600_000_000_000

    private let state = ForkableLock(State(), rank: .redisStore)
    private let word = WakeWord()
    private let closed = Atomic<Bool>(false)

    /// No slice is begun any more.
    var isClosed: Bool { closed.load(ordering: .acquiring) }

    func serve(_ store: RedisStore) { state.withLock { $0.store = store } }

    /// The holding of a scope under one layout; one of another layout is given back.
    ///
    /// - Parameter prefix: of the scope's keys.
    func holding(
        _ prefix: [UInt8], layout: Int64, _ make: () -> RedisHolding
    ) -> RedisHolding {
        if let known = state.withLock({ $0.holdings[prefix] }),
            known.plan.scopes[0].layout == layout
        {
            return known
        }
        let made = make()
        // What is forgotten ends outside of the lock.
        var forgotten: [[UInt8]: RedisHolding] = [:]
        let (kept, old) = state.withLock { state -> (RedisHolding, RedisHolding?) in
            let known = state.holdings[prefix]
            if let known, known.plan.scopes[0].layout == layout { return (known, nil) }
            if state.holdings.count >= Self.holdingsBound {
                swap(&forgotten, &state.holdings)
            }
            state.holdings[prefix] = made
            return (made, known)
        }
        if let old {
            old.retire()
            enqueue(.settle(old))
        }
        return kept
    }

    /// Those that have something in hand, and others.
    var allHoldings: [RedisHolding] {
        state.withLock { Array($0.holdings.values) + $0.due.compactMap(\.holding) }
    }

    func enqueue(_ job: Job) {
        let identity = ProcessIdentity.current()
        let starts = state.withLock { state -> Bool in
            adopt(&state, identity)
            state.jobs.append(job)
            return claimThread(&state)
        }
        if starts { start() }
        word.wake()
    }

    /// A holding is looked at again at that instant.
    func settle(_ holding: RedisHolding, at instant: Int64) {
        let identity = ProcessIdentity.current()
        let starts = state.withLock { state -> Bool in
            adopt(&state, identity)
            let last = state.due.last?.at ?? 0
            state.due.append((at: max(last, instant), holding: holding))
            return state.threads == 0 && claimThread(&state)
        }
        if starts { start() }
        word.wake()
    }

    /// What has to be done at an instant, taken over; for a clock that is moved by hand.
    func takeDue(now: Int64) -> [Job] {
        state.withLock { state in
            var jobs = state.jobs
            state.jobs = []
            while let job = nextDue(&state, now: now) { jobs.append(job) }
            return jobs
        }
    }

    /// - Returns: all holdings, to be given back.
    func close() -> [RedisHolding] {
        closed.store(true, ordering: .releasing)
        defer { word.wake() }
        return state.withLock { state in
            defer { (state.holdings, state.due, state.dueStart) = ([:], [], 0) }
            return Array(state.holdings.values) + state.due.compactMap(\.holding)
        }
    }

    // MARK: Threads

    /// A manual clock's store has none.
    private let isThreadless: Bool

    init(isThreadless: Bool) { self.isThreadless = isThreadless }

    private func adopt(_ state: inout State, _ identity: UInt64) {
        guard state.identity != identity else { return }
        // A forked child: its parent's threads and calls are not its own.
        state.identity = identity
        (state.threads, state.idle, state.settling) = (0, 0, 0)
        (state.jobs, state.due, state.dueStart) = ([], [], 0)
    }

    private func claimThread(_ state: inout State) -> Bool {
        // Who is idle has been woken for a job, or is going to be.
        guard !isThreadless, state.threads == 0 || state.idle < state.jobs.count,
            state.threads < Self.most
        else { return false }
        state.threads += 1
        return true
    }

    private func start() {
        let identity = ProcessIdentity.current()
        if DetachedThread.start({ [self] in run(identity) }) { return }
        // The next one who has work tries again; decisions are the server's meanwhile.
        state.withLock { state in
            if state.identity == identity { state.threads -= 1 }
        }
    }

    private enum Turn {
        case work(Job, isDue: Bool)
        case sleep(Int64)
        case end
    }

    private func run(_ identity: UInt64) {
        var isRested = false
        while true {
            let seen = word.load()
            switch state.withLock({ turn(&$0, isRested: isRested) }) {
            case .work(let job, let isDue):
                isRested = false
                // It is let go of outside of the lock: its end takes it.
                state.withLock { $0.store }?.perform(job)
                if isDue { state.withLock { $0.settling -= 1 } }
            case .sleep(let nanoseconds):
                let began = CallDeadline.now()
                word.sleep(while: seen, nanoseconds: nanoseconds)
                isRested = CallDeadline.now() - began >= Self.idleNanoseconds
                state.withLock { $0.idle -= 1 }
            case .end:
                // One at a time is woken.
                word.wake()
                return
            }
        }
    }

    private func turn(_ state: inout State, isRested: Bool) -> Turn {
        let now = CallDeadline.now()
        if !isClosed {
            if !state.jobs.isEmpty { return .work(state.jobs.removeFirst(), isDue: false) }
            if state.settling < Self.mostSettling, let job = nextDue(&state, now: now) {
                state.settling += 1
                return .work(job, isDue: true)
            }
        }
        if isClosed || isRested && state.threads > 1 {
            state.threads -= 1
            return .end
        }
        state.idle += 1
        var wait = Self.longestSleep
        // Who is done with settling looks for what is due.
        if state.dueStart < state.due.count, state.settling < Self.mostSettling {
            wait = max(0, state.due[state.dueStart].at - now)
        }
        return .sleep(state.threads > 1 ? min(wait, Self.idleNanoseconds) : wait)
    }

    private func nextDue(_ state: inout State, now: Int64) -> Job? {
        guard state.dueStart < state.due.count, state.due[state.dueStart].at <= now else {
            return nil
        }
        // Handed on, so that it does not end inside of the lock.
        guard let holding = state.due[state.dueStart].holding.take() else { return nil }
        state.dueStart += 1
        if state.dueStart >= 1_024 || state.dueStart == state.due.count {
            state.due.removeFirst(state.dueStart)
            state.dueStart = 0
        }
        return .settle(holding)
    }
}
