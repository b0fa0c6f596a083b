import CCounter
import Synchronization

/// What a thread sleeps on until another one of the process wakes it: a word of memory, see futex(2).
///
/// It has no descriptor, which a host program that becomes a daemon would close, and nothing that a
/// forked child inherits half done: a child's word is its own, and nobody sleeps on it.
///
/// Ordering: whoever is to be woken reads the word, then looks whether there is something to do,
/// then sleeps while it is the same; the other makes it so, then wakes. Never freed.
package struct WakeWord: @unchecked Sendable {
    // Unchecked: an address; what it points at is atomic.
    private let address: UnsafeMutablePointer<Atomic<UInt32>>

    package init() {
        address = .allocate(capacity: 1)
        address.initialize(to: Atomic(0))
    }

    package func load() -> UInt32 { address.pointee.load(ordering: .acquiring) }

    /// Sleeps while the word is as it was read, so long at most. It may end early.
    ///
    /// - Parameter nanoseconds: of the monotonic clock, 0 or more.
    package func sleep(while seen: UInt32, nanoseconds: Int64) {
        let deadline = KernelClock.monotonicNanoseconds().addingSaturated(nanoseconds)
        admission_futex_wait(word, seen, deadline)
    }

    /// Changes the word and wakes one that sleeps on it.
    package func wake() {
        // Release: pairs with the load in front of the sleeper's look.
        address.pointee.wrappingAdd(1, ordering: .releasing)
        admission_futex_wake(word)
    }

    private var word: UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(address).assumingMemoryBound(to: UInt32.self)
    }
}
