import Admission

/// The slices of one scope that a process has in hand: words that decisions take units from with one
/// compare-and-swap a limit, without a lock.
///
/// There is room for `count` slices. A slot's word 0 is `generation << 1 | isOpen`; a limit's word is
/// `generation:16 | units:48`, so that a swap which expects the units of one slice never succeeds on
/// another one in the same slot. Facts are written while a slot is shut and read behind word 0; a
/// reader who was overtaken finds out when it swaps. A slice over several limits is taken from limit by
/// limit and given back where one has not enough: it is never spent above what was charged, and units
/// that come back behind its end are left to expire.
///
/// Who puts slices in and ends them holds the holding's lock; takers hold none. Progress of a taker:
/// lock-free. Owner of the memory: this object.
final class SliceSlots: @unchecked Sendable {
    // Unchecked: an address; all words behind it are atomic.
    private let memory: UnsafeMutableRawPointer
    let limitCount: Int
    private let stride: Int

    /// What is known of a slice from its beginning on.
    struct Facts: Sendable {
        /// The server's instants of the charge, ns.
        var steadyNanoseconds: Int64
        var wallNanoseconds: Int64
        /// When the answer was here, by this process's clock.
        var answeredAt: Int64
        /// Until when it may be spent, by this process's clock.
        var endsAt: Int64
        /// No decision's wall instant may reach this, ns.
        var wallEnd: Int64
        /// How long after their charge units may be spent.
        var lifetimeNanoseconds: Int64
    }

    static let count = 8

    /// Words in front of a slot's limits, and of each limit.
    private enum Word {
        static let state = 0
        static let steady = 1
        static let wall = 2
        static let answered = 3
        static let end = 4
        static let wallEnd = 5
        static let refilled = 6
        static let lifetime = 7
        static let first = 8
        static let each = 3
        // Of a limit.
        static let units = 0
        static let place = 1
        static let initial = 2
    }

    private static let unitsMask: UInt64 = (1 << 48) - 1
    /// Units of a slice that was ended.
    private static let shut = unitsMask
    /// The most units of a limit in one slice.
    static let mostUnits = Int64(1) << 43

    init(limitCount: Int) {
        self.limitCount = limitCount
        stride = 8 * ((Word.first + Word.each * limitCount + 7) & ~7)
        memory = .allocate(byteCount: stride * Self.count, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: stride * Self.count)
        for slot in 0..<Self.count {
            for limit in 0..<limitCount { units(slot, limit).store(Self.shut) }
        }
    }

    deinit { memory.deallocate() }

    @inline(__always)
    private func word(_ slot: Int, _ index: Int) -> SharedWord {
        SharedWord(memory, at: slot &* stride &+ 8 &* index)
    }

    @inline(__always)
    private func units(_ slot: Int, _ limit: Int) -> SharedWord {
        word(slot, Word.first &+ Word.each &* limit &+ Word.units)
    }

    // MARK: Taking

    /// The slice in a slot while it is open; 0: none. What the other verbs take as `state`.
    @inline(__always)
    func state(_ slot: Int) -> UInt64 {
        let state = word(slot, Word.state).load()
        return state & 1 == 1 ? state : 0
    }

    @inline(__always)
    func end(_ slot: Int) -> Int64 { Int64(bitPattern: word(slot, Word.end).loadRelaxed()) }

    @inline(__always)
    func facts(_ slot: Int) -> Facts {
        func read(_ index: Int) -> Int64 { Int64(bitPattern: word(slot, index).loadRelaxed()) }
        return Facts(
            steadyNanoseconds: read(Word.steady), wallNanoseconds: read(Word.wall),
            answeredAt: read(Word.answered), endsAt: read(Word.end), wallEnd: read(Word.wallEnd),
            lifetimeNanoseconds: read(Word.lifetime))
    }

    /// Takes units of one limit.
    ///
    /// - Returns: what is left, or -1 where there was less, or the slice has ended.
    @inline(__always)
    func take(_ amount: Int64, _ slot: Int, state: UInt64, limit: Int) -> Int64 {
        let word = units(slot, limit)
        var seen = word.load()
        while true {
            let left = seen & Self.unitsMask
            guard seen >> 48 == state >> 1 & 0xffff, left != Self.shut,
                left >= UInt64(bitPattern: amount)
            else { return -1 }
            if word.swap(seen, seen &- UInt64(bitPattern: amount)) {
                return Int64(bitPattern: left) &- amount
            }
            seen = word.load()
        }
    }

    /// Puts units of one limit back.
    ///
    /// - Returns: false where the slice has ended: they are not to be spent any more.
    @discardableResult
    func putBack(_ amount: Int64, _ slot: Int, state: UInt64, limit: Int) -> Bool {
        let word = units(slot, limit)
        while true {
            let seen = word.load()
            guard seen >> 48 == state >> 1 & 0xffff, seen & Self.unitsMask != Self.shut else {
                return false
            }
            if word.swap(seen, seen &+ UInt64(bitPattern: amount)) { return true }
        }
    }

    /// Where a limit's units were charged.
    @inline(__always)
    func place(_ slot: Int, limit: Int) -> UInt64 {
        word(slot, Word.first &+ Word.each &* limit &+ Word.place).loadRelaxed()
    }

    /// Units left of a limit; 0 of a slice that has ended.
    func left(_ slot: Int, limit: Int) -> Int64 {
        let left = units(slot, limit).load() & Self.unitsMask
        return left == Self.shut ? 0 : Int64(bitPattern: left)
    }

    @inline(__always)
    func initial(_ slot: Int, limit: Int) -> Int64 {
        Int64(
            bitPattern: word(slot, Word.first &+ Word.each &* limit &+ Word.initial).loadRelaxed())
    }

    /// Claims to ask for the slice that follows this one; true once.
    func claimRefill(_ slot: Int, state: UInt64) -> Bool {
        let word = word(slot, Word.refilled)
        let seen = word.loadRelaxed()
        return seen != state && word.swap(seen, state)
    }

    // MARK: Beginning and ending; under the holding's lock

    /// Puts a slice into a free slot; false: there is none.
    func open(_ facts: Facts, amounts: [Int64], places: [UInt64]) -> Bool {
        guard let slot = (0..<Self.count).first(where: { state($0) == 0 }) else { return false }
        let generation = (word(slot, Word.state).loadRelaxed() >> 1) &+ 1
        func write(_ index: Int, _ value: Int64) {
            word(slot, index).storeRelaxed(UInt64(bitPattern: value))
        }
        write(Word.steady, facts.steadyNanoseconds)
        write(Word.wall, facts.wallNanoseconds)
        write(Word.answered, facts.answeredAt)
        write(Word.end, facts.endsAt)
        write(Word.wallEnd, facts.wallEnd)
        write(Word.lifetime, facts.lifetimeNanoseconds)
        write(Word.refilled, 0)
        for limit in 0..<limitCount {
            let first = Word.first + Word.each * limit
            word(slot, first + Word.place).storeRelaxed(places[limit])
            write(first + Word.initial, amounts[limit])
            // Releases: whoever takes from it has acquired the facts.
            units(slot, limit).store(
                generation << 48 | UInt64(bitPattern: min(amounts[limit], Self.mostUnits)))
        }
        word(slot, Word.state).store(generation << 1 | 1)
        return true
    }

    /// Ends a slice: nobody takes from it any more.
    ///
    /// - Returns: what was left, by limit.
    func shut(_ slot: Int) -> [Int64] {
        let state = word(slot, Word.state)
        state.store(state.loadRelaxed() & ~1)
        return (0..<limitCount).map { limit in
            let word = units(slot, limit)
            while true {
                let seen = word.load()
                let left = seen & Self.unitsMask
                if left == Self.shut { return 0 }
                if word.swap(seen, seen | Self.shut) { return Int64(bitPattern: left) }
            }
        }
    }
}
