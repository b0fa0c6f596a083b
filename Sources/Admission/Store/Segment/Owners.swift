import Glibc
import Synchronization

/// Who a process is to a segment's leases: the number of its entry and the entry's word while it
/// is the process's own.
///
/// One word, `entry's upper half:32 | number:12`, so that a decision carries it in a register and
/// a claim verifies it with one load. Slots keep the number alone.
package struct LeaseOwner: Sendable, Hashable {
    package let word: UInt64

    @inline(__always)
    package init(word: UInt64) { self.word = word }

    init(number: Int, entry: UInt64) { word = (entry >> 32) << 12 | UInt64(number) }

    /// Nobody: its claims are turned down behind their swap.
    package static var none: LeaseOwner { LeaseOwner(word: 1 << 12) }

    package var number: Int { Int(word & 0xfff) }

    /// Offset of the entry's first word.
    @inline(__always)
    var entry: Int { Segment.Header.owners &+ Int(truncatingIfNeeded: word & 0xfff) &* 64 }

    /// Whether an entry's first word is still this owner's, live.
    @inline(__always)
    func owns(_ entry: UInt64) -> Bool { entry >> 32 == word >> 12 }
}

/// An owner's entry as it was read at one instant.
///
/// ```
///  0  incarnation:24 | state:8 | pid:32      changed by compare-and-swap
///  8  incarnation:24 | start time:40         clock ticks since boot, 0 unknown
/// 16  incarnation:24 | pid namespace:40      inode
/// 24  incarnation:24 | boot:40               of `SystemFacts.bootIdentity`
/// 32  heartbeat                              steady nanoseconds of the last sign of life
/// 40  incarnation:24 | policy state          see `notePolicy`
/// ```
///
/// States: `free → claimed → live → dead → free`, the last step with the next incarnation. Who takes
/// an entry claims it, writes what it is, and then goes live; the incarnation in each word keeps
/// one that was held up in between from writing over the next taker's.
package struct OwnerEntry: Sendable, Hashable {
    package enum State: UInt8, Sendable {
        case free = 0
        /// Being written; holds no lease.
        case claimed = 1
        case live = 2
        /// Its process is gone: its leases are free to take, its entry once they are all freed.
        case dead = 3
        /// Silent too long in a place that nobody here sees into: its leases run out, then it is
        /// free.
        case silent = 4
    }

    /// 1 … 4,095.
    package var number: Int
    package var word: UInt64
    package var startTime: UInt64
    package var pidNamespace: UInt64
    package var boot: UInt64
    package var heartbeat: Int64
    /// Whether start time, namespace and boot are of the word's incarnation.
    var isWhole: Bool

    /// Nil: no state that a writer leaves.
    package var state: State? { Self.state(word) }
    package var pid: Int32 { Int32(truncatingIfNeeded: word & 0xffff_ffff) }
    package var incarnation: UInt64 { word >> 40 }

    @inline(__always)
    static func state(_ word: UInt64) -> State? {
        State(rawValue: UInt8(truncatingIfNeeded: word >> 32))
    }

    static func word(incarnation: UInt64, _ state: State, pid: Int32) -> UInt64 {
        incarnation << 40 | UInt64(state.rawValue) << 32 | UInt64(UInt32(bitPattern: pid))
    }

    static func word(_ word: UInt64, turned state: State) -> UInt64 {
        word & ~(0xff << 32) | UInt64(state.rawValue) << 32
    }

    /// The free word of the next incarnation.
    static func freed(_ word: UInt64) -> UInt64 { ((word >> 40) &+ 1) << 40 }

    static let factMask: UInt64 = 1 << 40 - 1
}

/// A set of owner numbers.
struct OwnerSet: Sendable {
    private var bits = [UInt64](repeating: 0, count: 64)
    private(set) var isEmpty = true

    mutating func insert(_ number: Int) {
        bits[number >> 6 & 63] |= 1 << UInt64(number & 63)
        isEmpty = false
    }

    func contains(_ number: Int) -> Bool {
        bits[number >> 6 & 63] >> UInt64(number & 63) & 1 != 0
    }
}

/// What a process is to the others that share a segment.
struct ProcessFacts: Sendable, Hashable {
    var pid: Int32
    var startTime: UInt64
    var pidNamespace: UInt64
    var boot: UInt64

    init(_ system: SystemFacts) {
        pid = getpid()
        startTime = system.startTime(of: pid) & OwnerEntry.factMask
        pidNamespace = system.pidNamespace & OwnerEntry.factMask
        boot = system.bootIdentity & OwnerEntry.factMask
    }
}

/// The table of lease owners.
extension Segment {
    /// Leases of dead owners that came back.
    package var reclaimedLeases: SharedWord { word(Header.reclaimedLeases) }

    /// Entries that may be taken; number 0 is nobody.
    static let ownerCapacity = 4_095

    func ownerWord(_ number: Int, _ offset: Int = 0) -> SharedWord {
        word(Header.owners + (number & 0xfff) * 64 + offset)
    }

    /// The highest number that was ever taken: entries above were never touched.
    var highestOwner: Int { Int(min(word(Header.ownerHint).load(), UInt64(Self.ownerCapacity))) }

    /// One entry. Lock-free; read again where it changed meanwhile.
    package func owner(_ number: Int) -> OwnerEntry {
        while true {
            let seen = ownerWord(number).load()
            let facts = (1...3).map { ownerWord(number, $0 * 8).load() }
            let heartbeat = Int64(bitPattern: ownerWord(number, 32).load())
            guard ownerWord(number).load() == seen else { continue }
            return OwnerEntry(
                number: number, word: seen, startTime: facts[0] & OwnerEntry.factMask,
                pidNamespace: facts[1] & OwnerEntry.factMask, boot: facts[2] & OwnerEntry.factMask,
                heartbeat: heartbeat, isWhole: facts.allSatisfy { $0 >> 40 == seen >> 40 })
        }
    }

    /// Whether every entry in use is a live one of this very process.
    func hasNoOwner(but process: ProcessFacts) -> Bool {
        var number = 1
        while number <= highestOwner {
            let word = ownerWord(number).load()
            let startTime = ownerWord(number, 8).load()
            let boot = ownerWord(number, 24).load()
            let isOwn =
                OwnerEntry.state(word) == .live
                && Int32(truncatingIfNeeded: word & 0xffff_ffff) == process.pid
                && startTime & OwnerEntry.factMask == process.startTime
                && boot & OwnerEntry.factMask == process.boot
            guard OwnerEntry.state(word) == .free || isOwn else { return false }
            number += 1
        }
        return true
    }

    /// Every entry that is not free.
    package func owners() -> [OwnerEntry] {
        let highest = highestOwner
        guard highest > 0 else { return [] }
        return (1...highest).map { owner($0) }.filter { $0.state != .free }
    }

    /// Takes a free entry; nil where there is none. Lock-free, O(entries).
    func takeOwner(_ process: ProcessFacts, now: Int64) -> LeaseOwner? {
        for number in 1...Self.ownerCapacity {
            let entry = ownerWord(number)
            let seen = entry.load()
            guard OwnerEntry.state(seen) == .free else { continue }
            let before = (1...3).map { ownerWord(number, $0 * 8).load() }
            let incarnation = seen >> 40
            let claimed = OwnerEntry.word(incarnation: incarnation, .claimed, pid: process.pid)
            guard entry.swap(seen, claimed) else { continue }
            word(Header.ownerHint).raise(UInt64(number))
            let facts = [process.startTime, process.pidNamespace, process.boot]
            let isWritten = (0..<3).allSatisfy { index in
                ownerWord(number, (index + 1) * 8)
                    .swap(before[index], incarnation << 40 | facts[index])
            }
            ownerWord(number, 32).store(UInt64(bitPattern: now))
            let live = OwnerEntry.word(claimed, turned: .live)
            // Else somebody took this caller for dead and the entry for free.
            if isWritten && entry.swap(claimed, live) {
                return LeaseOwner(number: number, entry: live)
            }
        }
        return nil
    }

    /// Notes a sign of life; false where the entry is not the owner's any more.
    func noteLife(of owner: LeaseOwner, now: Int64) -> Bool {
        guard owner.owns(word(owner.entry).load()) else { return false }
        // Raised: a caller that was held up must not age the next owner.
        ownerWord(owner.number, 32).raise(UInt64(bitPattern: max(0, now)))
        return true
    }

    /// Gives an entry back whose leases have all been released.
    func leave(_ owner: LeaseOwner) {
        let entry = word(owner.entry)
        let seen = entry.load()
        guard owner.owns(seen), OwnerEntry.state(seen) == .live else { return }
        _ = entry.swap(seen, OwnerEntry.freed(seen))
    }
}
