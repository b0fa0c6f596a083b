/// The words of a concurrency limit: the slots are the count.
///
/// One word a slot, `owner:12 | generation:16 | expiry:36`, changed only by compare-and-swap. A
/// slot is free while its owner is 0 or its expiry has passed, so what a crashed process held
/// comes back by itself; the generation keeps a late release from freeing somebody else's lease.
/// Expiry is kept in steps of 2^21 ns (2.1 ms), rounded up, compared by signed distance (2 years).
package enum LeaseSlots {
    /// Nanoseconds of one step of expiry, as a shift.
    package static let expiryShift: UInt64 = 21

    private static let expiryMask: UInt64 = (1 << 36) - 1

    /// A claimed slot's word.
    @inline(__always)
    package static func word(owner: UInt64, generation: UInt64, expiry: UInt64) -> UInt64 {
        owner << 52 | (generation & 0xffff) << 36 | expiry & expiryMask
    }

    /// The free word that keeps a slot's generation.
    @inline(__always)
    package static func freed(_ word: UInt64) -> UInt64 { word & (0xffff << 36) }

    @inline(__always)
    package static func owner(of word: UInt64) -> UInt64 { word >> 52 }

    @inline(__always)
    package static func generation(of word: UInt64) -> UInt64 { word >> 36 & 0xffff }

    /// The step in which a lease that is taken or renewed at `now` ends.
    @inline(__always)
    package static func expiry(now: Int64, leaseNanoseconds: Int64) -> UInt64 {
        (UInt64(bitPattern: now &+ leaseNanoseconds) >> expiryShift &+ 1) & expiryMask
    }

    /// Whether somebody holds the slot at `now`.
    @inline(__always)
    package static func isLive(_ word: UInt64, now: Int64) -> Bool {
        guard owner(of: word) != 0 else { return false }
        let step = UInt64(bitPattern: now) >> expiryShift
        // Signed distance in 36 bits, moved to the top of 64.
        return Int64(bitPattern: (word &- step) << 28) > 0
    }

    /// The first instant at which the lease has run out, for a live word seen at `now`.
    package static func end(of word: UInt64, now: Int64) -> Int64 {
        let step = UInt64(bitPattern: now) >> expiryShift
        let distance = Int64(bitPattern: (word &- step) << 28) >> 28
        return Int64(bitPattern: step << expiryShift) &+ distance << Int64(expiryShift)
    }
}
