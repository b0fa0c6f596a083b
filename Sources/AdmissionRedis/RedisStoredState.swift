import Admission

/// A scope's state as it lies in the server: docs/redis-protocol.md, *State*.
struct RedisStoredState {
    /// One limit's part of it.
    struct Part {
        let id: Int64
        let kind: RedisLimit.Kind
        /// Five words, as a descriptor holds them.
        let parameters: [Int64]
        /// Two or three.
        let fields: [Int64]
        /// Its place among the rolling limits: that of its cells.
        let rollingIndex: Int
    }

    /// Steady instant until which the keys of the scope live at least.
    let kept: Int64
    let steady: Int64
    let birth: Int64
    let parts: [Part]

    private static let tailWords = 2
    private static let descriptorWords = 8

    /// Nil where the bytes are no state.
    init?(_ bytes: [UInt8]) {
        guard let words = RedisWords.unpack(bytes), words.count >= RedisScope.headWords + 2,
            words.last == 1, words[4] == 1
        else { return nil }
        let count = words[words.count - 2]
        guard count >= 1, count <= 256 else { return nil }
        let descriptorsAt = words.count - Self.tailWords - Int(count) * Self.descriptorWords
        guard descriptorsAt > RedisScope.headWords else { return nil }
        (birth, kept, steady) = (words[1], words[3], words[5])
        var parts: [Part] = []
        var at = RedisScope.headWords
        var rolling = 0
        for index in 0..<Int(count) {
            let descriptor = words[(descriptorsAt + index * Self.descriptorWords)...].prefix(8)
            let first = descriptor.startIndex
            guard let kind = RedisLimit.Kind(rawValue: descriptor[first + 1]),
                Self.isSound(kind, Array(descriptor.dropFirst(3)))
            else { return nil }
            let size = kind == .bucket ? 2 : 3
            guard at + size <= descriptorsAt else { return nil }
            parts.append(
                Part(
                    id: descriptor[first], kind: kind,
                    parameters: Array(descriptor.dropFirst(3)),
                    fields: Array(words[at..<at + size]),
                    rollingIndex: rolling))
            rolling += kind == .rolling ? 1 : 0
            at += size
        }
        guard at == descriptorsAt else { return nil }
        self.parts = parts
    }

    private static func isSound(_ kind: RedisLimit.Kind, _ parameters: [Int64]) -> Bool {
        switch kind {
        case .rolling: parameters[1] > 0 && (1...96).contains(parameters[2])
        case .bucket: parameters[2] > 0 && parameters[3] + parameters[4] > 0
        case .calendar, .concurrency: true
        }
    }
}

extension RedisStoredState.Part {
    /// What an operator asks of a limit.
    struct Use: Hashable {
        var used: Int64
        /// Until it is untouched if nothing else happens; nil: unknown.
        var fullAgainMicroseconds: Int64?
    }

    /// The kind with its numbers; nil where they are damaged.
    func bound(like kind: LimitKind) -> LimitKind? { RedisLimit.kind(parameters, like: kind) }

    /// - Parameters:
    ///   - cells: the value of the scope's cells; nil where there is none.
    ///   - expiries: of the limit's leases.
    func use(now: Int64, wall: Int64, cells: RedisStoredCells?, expiries: [Int64]) -> Use {
        switch kind {
        case .rolling: return rollingUse(now: now, cells: cells)
        case .calendar:
            let isCurrent = wall < fields[1]
            return Use(
                used: isCurrent ? fields[2] : 0,
                fullAgainMicroseconds: isCurrent && fields[2] > 0 ? fields[1] - wall : 0)
        case .concurrency:
            let live = expiries.count { $0 > now }
            // Held behind a loss: as full as it can be.
            let used = fields[2] > now ? max(parameters[0], Int64(live)) : Int64(live)
            return Use(used: used, fullAgainMicroseconds: nil)
        case .bucket:
            guard case .tokenBucket? = BucketInterval.kind(parameters),
                let interval = BucketInterval.kind(parameters).flatMap(BucketInterval.init)
            else { return Use(used: 0, fullAgainMicroseconds: 0) }
            let lead = interval.difference(
                BucketInterval.Span(us: fields[0], rest: fields[1]),
                BucketInterval.Span(us: now, rest: 0))
            let whole = interval.units(in: lead)
            return Use(
                used: interval.times(whole) == lead ? whole : whole + 1,
                fullAgainMicroseconds: lead.us + (lead.rest > 0 ? 1 : 0))
        }
    }

    /// The current cell and the k before it count, each in full.
    private func rollingUse(now: Int64, cells: RedisStoredCells?) -> Use {
        let (cell, count) = (max(1, parameters[1]), parameters[2])
        let (epoch, base, newest) = (fields[0], fields[1], fields[2])
        let current = now / cell
        guard current - epoch <= count else { return Use(used: 0, fullAgainMicroseconds: 0) }
        var used = newest
        var last = newest > 0 ? epoch : 0
        if let cells {
            for sealed in max(0, current - count)..<max(0, epoch) {
                let units = cells.units(rollingIndex, epoch: sealed)
                used += units
                if units > 0 { last = max(last, sealed) }
            }
        } else if base > 0, current - (epoch - 1) <= count {
            // Cells that are lost count as if just sealed.
            used += base
            last = max(last, epoch - 1)
        }
        guard used > 0 else { return Use(used: 0, fullAgainMicroseconds: 0) }
        return Use(used: used, fullAgainMicroseconds: (last + count + 1) * cell - now)
    }
}

/// A scope's sealed cells: docs/redis-protocol.md, *Cells*.
struct RedisStoredCells {
    private let bytes: [UInt8]
    /// For each rolling limit its cells' number, and where they begin.
    private var places: [(count: Int, start: Int)] = []

    /// Nil where the bytes are no cells of this state.
    init?(_ bytes: [UInt8], of state: RedisStoredState) {
        guard bytes.count >= 8, RedisWords.unpack(Array(bytes.prefix(8))) == [state.birth] else {
            return nil
        }
        self.bytes = bytes
        var start = 8
        for part in state.parts where part.kind == .rolling {
            let count = Int(clamping: part.parameters[2] + 1)
            places.append((count, start))
            start += 6 * count
        }
        guard start == bytes.count else { return nil }
    }

    func units(_ index: Int, epoch: Int64) -> Int64 {
        let (count, start) = places[index]
        let at = start + 6 * Int(epoch % Int64(count))
        return bytes[at..<at + 6].reversed().reduce(0) { $0 << 8 | Int64($1) }
    }
}
