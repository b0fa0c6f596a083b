import Admission

/// One policy for one combination of its key's values: what stands in one state.
///
/// Constant but for what it remembers of the state, which all gates of the process share.
final class RedisScope: Sendable {
    /// In the order of the wire: by kind, then as in the document.
    let limits: [RedisLimit]
    /// For each limit its place in the plan.
    let steps: [Int]
    let keys: [[UInt8]]
    /// Tells a state that was written under these very limits.
    let layout: Int64
    let lifetime: Int64
    let descriptors: [UInt8]
    let memory: RedisMemory
    /// Words of the head in a reply.
    let headCount: Int
    let shape: RedisShape.Scope
    private let plan: Form
    private let settlement: Form

    /// The constant part of one kind of call: docs/redis-protocol.md, *acquire*.
    private struct Form {
        /// Behind layout and birth, up to the first amount.
        let words: [Int64]
        /// Behind the last amount.
        let tail: [Int64]
        /// Words of the whole.
        let count: Int

        init(
            lifetime: Int64, counts: [Int64], parameters: [Int64], amounts: Int, tail: [Int64],
            head: Int
        ) {
            let amountsAt = 10 + parameters.count
            words = [lifetime] + counts + [Int64(amountsAt), Int64(8 * head)] + parameters
            self.tail = tail
            count = amountsAt - 1 + amounts + tail.count
        }
    }

    /// - Parameter limits: in the order of the document, so that all processes write one layout.
    init(prefix: [UInt8], limits: [(limit: RedisLimit, step: Int)], memory: RedisMemory) {
        let sorted = limits.enumerated().sorted {
            ($0.element.limit.kind, $0.offset) < ($1.element.limit.kind, $1.offset)
        }
        self.limits = sorted.map(\.element.limit)
        steps = sorted.map(\.element.step)
        self.memory = memory
        let limits = self.limits
        let counts = [RedisLimit.Kind.rolling, .calendar, .concurrency, .bucket].map { kind in
            Int64(limits.count { $0.kind == kind })
        }
        var keys = [prefix + Array(":s".utf8)]
        if counts[0] > 0 { keys.append(prefix + Array(":c".utf8)) }
        for limit in limits where limit.kind == .concurrency {
            keys.append(prefix + Array(":l\(limit.id)".utf8))
        }
        self.keys = keys
        descriptors = limits.flatMap(\.descriptor)
        layout = RedisDigest.word(of: descriptors)
        lifetime = min(RedisWords.most / 4, max(1_000_000, limits.map(\.lifetime).max() ?? 0))
        headCount = Self.headWords + limits.reduce(0) { $0 + $1.fieldCount }
        let parameters = limits.flatMap(\.planWords)
        shape = RedisShape.Scope(
            rolling: Int(counts[0]), calendar: Int(counts[1]), concurrency: Int(counts[2]),
            bucket: Int(counts[3]))
        let windows = shape.rolling + shape.calendar
        let cells = limits.filter { $0.kind == .rolling }.map { $0.parameters[2] }
        plan = Form(
            lifetime: lifetime, counts: counts, parameters: parameters,
            amounts: windows + shape.concurrency + 2 * shape.bucket, tail: cells, head: headCount)
        settlement = Form(
            lifetime: lifetime, counts: counts, parameters: parameters,
            amounts: 3 * windows + shape.concurrency + 4 * shape.bucket, tail: [],
            head: headCount)
    }

    /// Words of a head in front of the fields.
    static let headWords = 7

    /// The scope's argument of a decision.
    ///
    /// - Parameter birth: of the life that this process knows; 0: none.
    func ask(_ amounts: [Int64], birth: Int64) -> [UInt8] {
        ask(plan, birth: birth) { limit, step in limit.ask(amounts[step]) }
    }

    /// The scope's argument of a settlement.
    ///
    /// - Parameter birth: of the life in which was charged what is given back.
    func ask(_ changes: [RedisChange], birth: Int64, frees: Bool) -> [UInt8] {
        ask(settlement, birth: birth) { limit, step in
            let change = changes[step]
            return limit.change(
                back: change.back, more: change.more, place: change.place, frees: frees)
        }
    }

    private func ask(
        _ form: Form, birth: Int64, _ amounts: (RedisLimit, Int) -> [Int64]
    ) -> [UInt8] {
        var ask: [UInt8] = []
        ask.reserveCapacity(8 * form.count)
        ask.append(word: layout)
        ask.append(word: birth)
        for word in form.words { ask.append(word: word) }
        for (limit, step) in zip(limits, steps) {
            for word in amounts(limit, step) { ask.append(word: word) }
        }
        for word in form.tail { ask.append(word: word) }
        return ask
    }

    /// The scope's part of what is needed where this process and the store do not agree.
    func rarePart(wall: Int64) -> [UInt8] {
        var bytes = descriptors
        for limit in limits where limit.kind == .calendar {
            for word in limit.windows(wall: wall) { bytes.append(word: word) }
        }
        return bytes
    }
}

/// What a settlement does to one limit.
struct RedisChange: Sendable {
    var back: Int64 = 0
    var more: Int64 = 0
    var place: Int64 = 0
}

/// What this process remembers of a scope's state: which life it leads, and when it was seen.
///
/// Lives are numbered, so that a permit keeps in eight bits in which of them it was charged. Lock:
/// its own. Threads: any.
final class RedisMemory: Sendable {
    struct Known: Sendable {
        var birth: Int64 = 0
        var seen: Int64 = 0
    }

    private struct State {
        var known = Known()
        /// The births of the last lives, the newest last, and the number of the first of them.
        var births: [Int64] = []
        var first = 1
        /// Calendar windows as they were last seen, by limit.
        var windows: [Int64: OutageAccount.SeenWindow] = [:]
    }

    private static let livesBound = 64
    private let state = ForkableLock(State(), rank: .redisMemory)

    var known: Known { state.withLock { $0.known } }

    /// Notes that a life was seen, if it is the one that is known.
    func see(_ birth: Int64, at instant: Int64) {
        state.withLock { state in
            guard state.known.birth == birth else { return }
            state.known.seen = max(state.known.seen, instant)
        }
    }

    /// Notes which life a reply tells of.
    func note(birth: Int64, seen: Int64) {
        state.withLock { state in
            if state.known.birth == birth {
                state.known.seen = max(state.known.seen, seen)
                return
            }
            state.known = Known(birth: birth, seen: seen)
            if state.births.contains(birth) { return }
            state.births.append(birth)
            guard state.births.count > Self.livesBound else { return }
            state.births.removeFirst()
            state.first += 1
        }
    }

    func note(_ window: OutageAccount.SeenWindow, ofLimit id: Int64) {
        state.withLock { $0.windows[id] = window }
    }

    func window(ofLimit id: Int64) -> OutageAccount.SeenWindow? {
        state.withLock { $0.windows[id] }
    }

    /// The number of a life that was noted, 1 … 255; 0 where it is too long ago.
    func number(ofLife birth: Int64) -> UInt64 {
        state.withLock { state in
            let index = state.births.lastIndex(of: birth)
            return index.map { Self.number(state.first + $0) } ?? 0
        }
    }

    /// The birth of a numbered life; 0 where it is too long ago.
    func birth(ofLife number: UInt64) -> Int64 {
        state.withLock { state in
            let index = state.births.indices.last { Self.number(state.first + $0) == number }
            return index.map { state.births[$0] } ?? 0
        }
    }

    private static func number(_ life: Int) -> UInt64 { UInt64((life - 1) % 255 + 1) }
}
