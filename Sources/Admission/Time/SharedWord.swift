import Synchronization

/// One 64-bit word that threads, or the processes that map it, change with compare-and-swap.
///
/// The value is the word's address: 8-byte aligned, owned by whoever mapped or allocated it, and
/// valid as long as that owner lives. Every operation is lock-free.
///
/// Orderings: `load` acquires and a successful `swap` or a `store` releases, so a reader that sees
/// a word also sees what its writer wrote before it. The relaxed forms are for values on which
/// nothing else depends.
package struct SharedWord: @unchecked Sendable {
    // Unchecked: an address; all access to what it points at is atomic.
    package let address: UnsafeMutablePointer<Atomic<UInt64>>

    @inline(__always)
    package init(_ address: UnsafeMutablePointer<Atomic<UInt64>>) {
        self.address = address
    }

    /// The word that lies `offset` bytes behind `base`.
    @inline(__always)
    package init(_ base: UnsafeMutableRawPointer, at offset: Int) {
        address = (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// A word of its own, never freed.
    package static func makeImmortal(_ value: UInt64) -> SharedWord {
        let address = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: 1)
        address.initialize(to: Atomic(value))
        return SharedWord(address)
    }

    @inline(__always)
    package func load() -> UInt64 { address.pointee.load(ordering: .acquiring) }

    @inline(__always)
    package func loadRelaxed() -> UInt64 { address.pointee.load(ordering: .relaxed) }

    @inline(__always)
    package func store(_ value: UInt64) {
        beforeWrite()
        address.pointee.store(value, ordering: .releasing)
    }

    @inline(__always)
    package func storeRelaxed(_ value: UInt64) {
        beforeWrite()
        address.pointee.store(value, ordering: .relaxed)
    }

    /// Puts `desired` where `expected` still stands; true when it did.
    @inline(__always)
    package func swap(_ expected: UInt64, _ desired: UInt64) -> Bool {
        beforeWrite()
        return address.pointee.compareExchange(
            expected: expected, desired: desired, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// `swap` with sequential consistency: a later `loadSequential` of another word does not pass it.
    @inline(__always)
    package func swapSequential(_ expected: UInt64, _ desired: UInt64) -> Bool {
        beforeWrite()
        return address.pointee.compareExchange(
            expected: expected, desired: desired, ordering: .sequentiallyConsistent
        ).exchanged
    }

    @inline(__always)
    package func loadSequential() -> UInt64 {
        address.pointee.load(ordering: .sequentiallyConsistent)
    }

    /// Raises the word to `value` where it is lower. Lock-free.
    package func raise(_ value: UInt64) {
        var seen = load()
        while seen < value {
            beforeWrite()
            let result = address.pointee.compareExchange(
                expected: seen, desired: value, ordering: .acquiringAndReleasing)
            if result.exchanged { return }
            seen = result.original
        }
    }

    /// Adds one; for counts that only a person reads.
    package func increment(by amount: UInt64 = 1) {
        beforeWrite()
        address.pointee.wrappingAdd(amount, ordering: .relaxed)
    }

    /// Takes one away, below 0 where need be; for counts that only a person reads.
    package func decrement() {
        beforeWrite()
        address.pointee.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Adds `amount` and returns the value before.
    package func fetchAdd(_ amount: UInt64) -> UInt64 {
        beforeWrite()
        return address.pointee.wrappingAdd(amount, ordering: .acquiringAndReleasing).oldValue
    }

    /// Where the crash tests' build ends the process; nothing in any other.
    @inline(__always)
    private func beforeWrite() {
        #if ADMISSION_CRASH_POINTS
            CrashPoint.hit(UnsafeRawPointer(address))
        #endif
    }
}
