import Admission

/// A reply of the deciding scripts, taken apart.
struct RedisAnswer {
    enum Outcome: Int64 {
        case admitted = 1
        case rejected = 2
        /// The rare part of the call, or one with windows for the reply's instant.
        case rarePartNeeded = 3
        /// Another document's parameters are newer.
        case newer = 4
        /// Admitted, and the whole heads follow.
        case admittedAnew = 5
        /// Another lease has the name.
        case leaseTaken = 6
    }

    /// What was found on the way; bits.
    struct Events: OptionSet {
        let rawValue: Int64
        static let stateLost = Events(rawValue: 1)
        static let steppedBack = Events(rawValue: 2)
        static let cellsLost = Events(rawValue: 4)
        static let leasesLost = Events(rawValue: 8)
        static let damagedWindow = Events(rawValue: 16)
    }

    var outcome: Outcome
    var now: Int64
    var wall: Int64
    var events: Events
    /// Each scope's fields.
    var fields: [ArraySlice<Int64>] = []
    /// Each scope's shard's birth, birth and whether it is stored; empty where they are as the call
    /// named them.
    var lives: [(shard: Int64, birth: Int64, isStored: Bool)] = []
    /// Each scope's birth.
    var births: [Int64] = []
    /// What stands behind the heads.
    var rest: ArraySlice<Int64> = []

    /// Nil where the bytes are no reply of a script on these scopes.
    init?(_ bytes: [UInt8], scopes: [RedisScope]) {
        guard let first = bytes.first else { return nil }
        // The state that is newer has words of all sizes: it is not looked at.
        let isWhole = first == 1 || first == 2 || first == 5
        let all = isWhole ? bytes : Array(bytes.prefix(32))
        guard let words = RedisWords.unpack(all), words.count >= 3,
            let outcome = Outcome(rawValue: words[0])
        else { return nil }
        self.outcome = outcome == .admittedAnew ? .admitted : outcome
        guard outcome != .admitted else {
            (now, wall, events) = (0, 0, [])
            guard takeQuick(words[...], scopes) else { return nil }
            return
        }
        guard words.count >= 4 else { return nil }
        (now, wall, events) = (words[1], words[2], Events(rawValue: words[3]))
        guard isWhole else { return }
        var left = words.dropFirst(4)
        for scope in scopes {
            let head = left.prefix(scope.headCount)
            let at = head.startIndex
            guard head.count == scope.headCount, head[at + 2] == scope.layout else { return nil }
            lives.append((head[at], head[at + 1], head[at + 3] > 0))
            fields.append(head.dropFirst(RedisScope.headWords))
            left = left.dropFirst(scope.headCount)
        }
        rest = left
    }

    /// An admission that tells nothing new: each head from its fifth word on.
    private mutating func takeQuick(_ words: ArraySlice<Int64>, _ scopes: [RedisScope]) -> Bool {
        var left = words
        for scope in scopes {
            let head = left.prefix(scope.headCount - 4)
            guard head.count == scope.headCount - 4, head.first == 1 else { return false }
            now = max(now, head[head.startIndex + 1])
            wall = max(wall, head[head.startIndex + 2])
            fields.append(head.dropFirst(3))
            left = left.dropFirst(scope.headCount - 4)
        }
        rest = left
        return true
    }

    var steadyNanoseconds: Int64 { RedisWords.nanoseconds(now) }
    var wallNanoseconds: Int64 { RedisWords.nanoseconds(wall) }
}

/// One limit's fields in an answer.
struct RedisFields {
    let limit: RedisLimit
    let words: ArraySlice<Int64>

    subscript(index: Int) -> Int64 { words[words.startIndex + index] }

    /// The cell or window that a charge went to; a lease's expiry.
    func place(now: Int64) -> UInt64 {
        switch limit.kind {
        case .rolling, .calendar: UInt64(self[0])
        case .concurrency, .bucket: 0
        }
    }

    /// Units used as the fields are; of a bucket rounded up.
    func used(now: Int64) -> Int64 {
        switch limit.kind {
        case .rolling: return self[1] + self[2]
        case .calendar: return self[2]
        case .concurrency: return self[0]
        case .bucket:
            guard let interval = limit.interval else { return 0 }
            let lead = lead(now: now)
            let whole = interval.units(in: lead)
            return interval.times(whole) == lead ? whole : whole + 1
        }
    }

    /// How far a bucket's full instant lies ahead.
    func lead(now: Int64) -> BucketInterval.Span {
        guard let interval = limit.interval else { return BucketInterval.Span(us: 0, rest: 0) }
        return interval.difference(
            BucketInterval.Span(us: self[0], rest: self[1]), BucketInterval.Span(us: now, rest: 0))
    }

    /// Units left as the fields are, never below 0.
    func remaining(now: Int64) -> Int64 {
        guard limit.kind == .bucket, let interval = limit.interval else {
            return max(0, limit.limit.kind.capacity - used(now: now))
        }
        let full = interval.times(limit.limit.kind.capacity)
        return interval.units(in: interval.difference(full, lead(now: now)))
    }

    /// What the limit says to a cost.
    ///
    /// - Parameters:
    ///   - isAdmitted: the fields are those behind the charge.
    ///   - fitsAt: of a refusal: 0 where the cost fits, 1 where nobody knows when, else the instant.
    func verdict(
        _ amount: Int64, isAdmitted: Bool, fitsAt: Int64, now: Int64, wall: Int64
    ) -> Verdict {
        let left = remaining(now: now)
        if isAdmitted {
            return Verdict(.none, remaining: left.addingSaturated(amount))
        }
        let capacity = limit.limit.kind.capacity
        guard amount <= capacity else { return Verdict(.exceedsLimit, remaining: left) }
        guard fitsAt != 0 else { return Verdict(.none, remaining: left) }
        if limit.kind == .concurrency { return Verdict(.concurrency, remaining: left) }
        let reference = limit.kind == .calendar ? wall : now
        let retry = RedisWords.nanoseconds(max(1, fitsAt - reference))
        var refusal: Verdict.Refusal = amount == 0 ? .debt : .exhausted
        // Behind a boundary's guard alone, the window has room.
        if limit.kind == .calendar, amount > 0, amount <= left { refusal = .boundaryGuard }
        return Verdict(refusal, retryAfterNanoseconds: retry, remaining: left)
    }
}
