import CCounter
import Synchronization

/// A word that one thread sleeps on until another one posts something there, or until a deadline.
///
/// Owner of the word's memory: the spot, which has to outlive both. Zero is what the sleeper waits
/// against; whoever posts writes anything else.
///
/// Ordering: `post` releases and `value` acquires, so that the sleeper sees what was written before.
struct ParkingSpot: ~Copyable, @unchecked Sendable {
    // Unchecked: an address; all access to what it points at is atomic.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    /// What was posted last; 0 for nothing.
    var value: UInt32 { word.pointee.load(ordering: .acquiring) }

    /// Sleeps while nothing is posted, at most until this instant of the monotonic clock; may return
    /// early.
    func park(until deadline: Int64) {
        let address = UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
        admission_futex_wait(address, 0, max(0, deadline))
    }

    /// Before another sleep; the two sides have to agree that nobody posts meanwhile.
    func clear() { word.pointee.store(0, ordering: .relaxed) }

    /// Leaves a value other than 0 and wakes the sleeper.
    func post(_ value: UInt32) {
        word.pointee.store(value, ordering: .releasing)
        let address = UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
        admission_futex_wake(address)
    }
}
