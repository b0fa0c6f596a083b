import Synchronization
import Testing

@testable import Admission
@testable import AdmissionC

@Suite("HandleTable", .serialized)
struct HandleTableTests {
    /// What a handle finds, as the object's number; nil: the handle is none.
    private func number(_ handle: UInt, _ kind: HandleKind = .gate) -> Int? {
        guard let use = HandleTable.begin(handle, kind, Numbered.self) else { return nil }
        defer { use.end() }
        return use.object._withUnsafeGuaranteedRef { $0.number }
    }

    @Test("A handle finds its object until it is ended, and another in its slot never")
    func staleHandles() throws {
        var stale: [UInt] = []
        for number in 0..<100 {
            let handle = try #require(HandleTable.open(Numbered(number), .gate))
            #expect(self.number(handle) == number)
            for old in stale { #expect(self.number(old) == nil) }
            #expect(HandleTable.end(handle, .gate))
            #expect(!HandleTable.end(handle, .gate))
            stale.append(handle)
        }
        #expect(Set(stale).count == 100)
    }

    @Test("A handle of another kind, with a changed bit, or made up finds nothing")
    func foreignHandles() throws {
        let handle = try #require(HandleTable.open(Numbered(7), .gate))
        #expect(number(handle, .limiter) == nil)
        #expect(number(handle, .completions) == nil)
        for bit in 0..<64 { #expect(number(handle ^ (1 << UInt(bit))) == nil) }
        for madeUp: UInt in [0, 1, 2, 3, .max, 0x3FF_FFFE, 0xFFFF_FFFF_03FF_FFFE] {
            #expect(number(madeUp) == nil)
            #expect(!HandleTable.end(madeUp, .gate))
            #expect(!HandleTable.markClosed(madeUp, .gate))
        }
        #expect(!HandleTable.end(handle, .limiter))
        #expect(number(handle) == 7)
        HandleTable.end(handle, .gate)
    }

    @Test("A closed handle still finds its object and says that it is closed, until it is ended")
    func closed() throws {
        let handle = try #require(HandleTable.open(Numbered(3), .limiter))
        #expect(HandleTable.markClosed(handle, .limiter))
        #expect(!HandleTable.markClosed(handle, .limiter))
        let use = try #require(HandleTable.begin(handle, .limiter, Numbered.self))
        #expect(use.isClosed)
        #expect(!use.isStillOpen(handle))
        use.end()
        #expect(!HandleTable.end(handle, .limiter))
        #expect(HandleTable.end(handle, .limiter, wasClosed: true))
        #expect(number(handle, .limiter) == nil)
    }

    @Test("A direct address is found by its open handle alone, and by no handle that had none")
    func directAddresses() throws {
        var stale: [UInt] = []
        for number in 1...100 {
            let address = UnsafeMutableRawPointer(bitPattern: number * 64)
            let handle = try #require(HandleTable.open(Numbered(number), .limiter, direct: address))
            #expect(direct(handle, .limiter) == address)
            #expect(direct(handle, .gate) == nil)
            for bit in 0..<64 { #expect(direct(handle ^ (1 << UInt(bit)), .limiter) == nil) }
            for old in stale { #expect(direct(old, .limiter) == nil) }
            if number % 2 == 0 {
                #expect(HandleTable.markClosed(handle, .limiter))
                #expect(direct(handle, .limiter) == nil)
            }
            #expect(HandleTable.end(handle, .limiter, wasClosed: number % 2 == 0))
            stale.append(handle)
        }
        let plain = try #require(HandleTable.open(Numbered(0), .gate))
        #expect(direct(plain, .gate) == nil)
        #expect(number(plain) == 0)
        HandleTable.end(plain, .gate)
        for madeUp: UInt in [0, 1, 2, 3, .max, 0x3FF_FFFE] { #expect(direct(madeUp, .gate) == nil) }
    }

    /// The direct address that a handle finds at once.
    private func direct(_ handle: UInt, _ kind: HandleKind) -> UnsafeMutableRawPointer? {
        guard let (use, address) = HandleTable.beginAtOnce(handle, kind, Numbered.self) else {
            return nil
        }
        use.end()
        return address
    }

    @Test("The object is freed when the handle ends, or when the last use of it does")
    func objectsAreFreed() throws {
        let freed = Counter()
        let idle = try #require(HandleTable.open(Numbered(1, freed), .gate))
        HandleTable.end(idle, .gate)
        #expect(freed.value == 1)

        let busy = try #require(HandleTable.open(Numbered(2, freed), .gate))
        let use = try #require(HandleTable.begin(busy, .gate, Numbered.self))
        HandleTable.end(busy, .gate)
        #expect(freed.value == 1)
        #expect(use.object._withUnsafeGuaranteedRef { $0.number } == 2)
        use.end()
        #expect(
            comesTrue {
                InFlight.releaseRetired()
                return freed.value == 2
            })
    }

    @Test("Two chunks' worth of handles are open at once, all different")
    func manyHandles() {
        let handles = (0..<40_000).compactMap {
            HandleTable.open(
                Numbered($0), .gate, direct: UnsafeMutableRawPointer(bitPattern: $0 + 1))
        }
        #expect(Set(handles).count == 40_000)
        let isRight = handles.enumerated().allSatisfy {
            number($0.element) == $0.offset
                && direct($0.element, .gate)
                    == UnsafeMutableRawPointer(bitPattern: $0.offset + 1)
        }
        #expect(isRight)
        for handle in handles { HandleTable.end(handle, .gate) }
    }

    @Test("Threads open, use and end handles of each other; no use meets a freed or foreign object")
    func race() {
        let shared = SharedHandles()
        let freed = Counter()
        let uses = Counter()
        let foreign = Counter()
        let threads = (0..<4).map { thread in
            PlainThread {
                var random = SplitMix(state: UInt64(thread))
                for _ in 0..<20_000 {
                    let place = Int(random.next() % UInt64(SharedHandles.count))
                    let handle = shared.words[place].load()
                    if random.next() % 4 == 0 {
                        let address = UnsafeMutableRawPointer(bitPattern: (place + 1) * 64)
                        let object = Numbered(place, freed)
                        let new = HandleTable.open(object, .gate, direct: address) ?? 0
                        let old = shared.words[place].exchange(new)
                        HandleTable.end(old, .gate)
                    } else if random.next() % 2 == 0,
                        let (use, address) = HandleTable.beginAtOnce(handle, .gate, Numbered.self)
                    {
                        let found = use.object._withUnsafeGuaranteedRef { $0.number }
                        use.end()
                        uses.add()
                        let isOwn = address == UnsafeMutableRawPointer(bitPattern: (place + 1) * 64)
                        if found != place || !isOwn { foreign.add() }
                    } else if let use = HandleTable.begin(handle, .gate, Numbered.self) {
                        let found = use.object._withUnsafeGuaranteedRef { $0.number }
                        use.end()
                        uses.add()
                        if found != place { foreign.add() }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        for place in 0..<SharedHandles.count {
            HandleTable.end(shared.words[place].load(), .gate)
        }
        InFlight.releaseRetired()
        #expect(uses.value > 10_000)
        #expect(foreign.value == 0)
        #expect(freed.value > 10_000)
    }
}

/// An object that says which it is, and -1 when it is looked at after it was freed.
private final class Numbered {
    private(set) var number: Int
    private let freed: Counter?

    init(_ number: Int, _ freed: Counter? = nil) {
        self.number = number
        self.freed = freed
    }

    deinit {
        number = -1
        freed?.add()
    }
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
    func add() { count.add(1, ordering: .acquiringAndReleasing) }
}

/// A few places that threads take handles from and put others into.
private final class SharedHandles: Sendable {
    static let count = 8
    let words: [PlacedHandle] = (0..<count).map { _ in PlacedHandle() }
}

private final class PlacedHandle: Sendable {
    private let word = Atomic<UInt>(0)
    func load() -> UInt { word.load(ordering: .acquiring) }
    func exchange(_ new: UInt) -> UInt {
        word.exchange(new, ordering: .acquiringAndReleasing)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014, https://doi.org/10.1145/2714064.2660195).
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
