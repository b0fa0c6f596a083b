import Foundation
import Synchronization
import Testing

@testable import Admission

/// Serialized: the tests share the process' one table, and one of them fills it.
@Suite("InFlight", .serialized)
struct InFlightTests {
    @Test("A tag is active from enter to leave")
    func activeWhileInside() {
        let tag: UInt = 0xA11C_E000_0001
        #expect(!InFlight.isActive(tag))
        let token = InFlight.enter(tag)
        #expect(InFlight.isActive(tag))
        #expect(!InFlight.isActive(tag + 1))
        InFlight.leave(token)
        #expect(!InFlight.isActive(tag))
    }

    @Test("Calls inside each other keep every tag active, more of them than a record holds too")
    func nesting() {
        let tags = (1...UInt(InFlight.nestingLimit + 3)).map { 0xA11C_E001_0000 + $0 }
        let tokens = tags.map { InFlight.enter($0) }
        for tag in tags { #expect(InFlight.isActive(tag)) }
        for (tag, token) in zip(tags, tokens).reversed() {
            #expect(InFlight.isActive(tag))
            InFlight.leave(token)
            #expect(!InFlight.isActive(tag))
            #expect(tag == tags[0] || InFlight.isActive(tags[0]))
        }
    }

    @Test("A tag entered on another thread is seen until that thread leaves")
    func otherThread() {
        let tag: UInt = 0xA11C_E002_0001
        let entered = DispatchSemaphore(value: 0)
        let mayLeave = DispatchSemaphore(value: 0)
        let left = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let token = InFlight.enter(tag)
            entered.signal()
            mayLeave.wait()
            InFlight.leave(token)
            left.signal()
        }
        entered.wait()
        #expect(InFlight.isActive(tag))
        mayLeave.signal()
        left.wait()
        #expect(!InFlight.isActive(tag))
    }

    @Test("Threads that end give their records back: 3,000 threads claim far fewer records")
    func recordsComeBack() {
        let before = InFlight.claimedRecordCount
        for index in 0..<3000 {
            PlainThread.run { InFlight.leave(InFlight.enter(0xA11C_E003_0000 + UInt(index))) }
        }
        #expect(InFlight.claimedRecordCount - before < 300)
    }

    @Test("An object is freed when retired, or after the last caller under its tag has left")
    func retire() {
        let tag: UInt = 0xA11C_E004_0001
        let freed = Atomic<Int>(0)
        withExtendedLifetime(Witness { freed.add(1, ordering: .relaxed) }) { idle in
            InFlight.retire(Unmanaged<AnyObject>.passRetained(idle), tag: tag)
        }
        #expect(freed.load(ordering: .relaxed) == 1)

        let token = InFlight.enter(tag)
        InFlight.retire(
            Unmanaged<AnyObject>.passRetained(Witness { freed.add(1, ordering: .relaxed) }),
            tag: tag)
        InFlight.releaseRetired()
        #expect(freed.load(ordering: .relaxed) == 1)
        InFlight.leave(token)
        #expect(
            comesTrue {
                InFlight.releaseRetired()
                return freed.load(ordering: .relaxed) == 2
            })
    }

    @Test("Readers never meet a freed object while a closer replaces it, and do hold it up")
    func race() {
        let slot = RaceSlot()
        let stop = Atomic<Bool>(false)
        let reads = Atomic<Int>(0)
        let poisoned = Atomic<Int>(0)
        let readers = (0..<3).map { _ in
            PlainThread {
                while !stop.load(ordering: .relaxed) {
                    switch slot.read() {
                    case .alive: reads.add(1, ordering: .relaxed)
                    case .poisoned: poisoned.add(1, ordering: .relaxed)
                    case .stale: break
                    }
                }
            }
        }
        var heldUp = 0
        var rounds = 0
        // Until the race has been seen a hundred times, within a bound.
        while rounds < 2_000_000, heldUp < 100 || reads.load(ordering: .relaxed) < 10_000 {
            if slot.replace() { heldUp += 1 }
            rounds += 1
        }
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        InFlight.releaseRetired()
        print("InFlight race: \(rounds) closings, \(heldUp) held up by a caller inside")
        #expect(heldUp > 0)
        #expect(reads.load(ordering: .relaxed) > 0)
        #expect(poisoned.load(ordering: .relaxed) == 0)
    }
}

/// Tells when it is freed.
private final class Witness: Sendable {
    private let onFree: @Sendable () -> Void
    init(_ onFree: @escaping @Sendable () -> Void) { self.onFree = onFree }
    deinit { onFree() }
}

/// An object whose memory says whether it was freed: the canary is cleared by deinit.
private final class Canary {
    let word = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: 1)
    init() { word.initialize(to: Atomic(0xCA_FE)) }
    // Leaked on purpose, so that a late reader finds the poison and no reused memory.
    deinit { word.pointee.store(0, ordering: .sequentiallyConsistent) }
}

/// One slot as in a handle table: the current object's address, which is its tag as well.
private final class RaceSlot: Sendable {
    enum Reading { case alive, poisoned, stale }

    private let current: Atomic<UInt>

    init() { current = Atomic(Self.make()) }

    private static func make() -> UInt {
        UInt(bitPattern: Unmanaged.passRetained(Canary()).toOpaque())
    }

    func read() -> Reading {
        let tag = current.load(ordering: .acquiring)
        let token = InFlight.enter(tag)
        defer { InFlight.leave(token) }
        guard current.load(ordering: .acquiring) == tag,
            let address = UnsafeRawPointer(bitPattern: tag)
        else { return .stale }
        let canary = Unmanaged<Canary>.fromOpaque(address)
        return canary._withUnsafeGuaranteedRef {
            var word: UInt = 0
            for _ in 0..<20 { word = $0.word.pointee.load(ordering: .relaxed) }
            return word == 0xCA_FE ? .alive : .poisoned
        }
    }

    /// True when a reader inside kept the old object alive.
    func replace() -> Bool {
        let old = current.exchange(Self.make(), ordering: .sequentiallyConsistent)
        guard let address = UnsafeRawPointer(bitPattern: old) else { return false }
        let isHeldUp = InFlight.isActive(old)
        InFlight.retire(Unmanaged<AnyObject>.fromOpaque(address), tag: old)
        return isHeldUp
    }
}
