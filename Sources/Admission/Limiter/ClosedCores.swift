import Synchronization

/// Closed limiters that live on until their last permit is ended, so that finalisers may run in
/// any order.
///
/// Whoever gives up a reference to a core (its limiter, a gate) hands it here when permits are
/// open; who ends a permit of a closed limiter asks whether that was the last.
///
/// A core goes by the address of its `HotCore`, which is what permits hold and enter under.
enum ClosedCores {
    private static let kept = ForkableLock<[UInt: Unmanaged<LimiterCore>]>(
        [:], rank: .closed)

    /// Keeps a closed core while it has open permits, or a thread that is ending its last one.
    static func keepWhilePermitsAreOpen(_ core: LimiterCore) {
        guard core.isClosed else { return }
        let tag = UInt(bitPattern: core.hot)
        guard core.hot.pointee.permits.counts().open > 0 else {
            // The thread that ended the last permit may not have left the core yet.
            if InFlight.isActive(tag) {
                InFlight.retire(Unmanaged<AnyObject>.passRetained(core), tag: tag)
            }
            return
        }
        kept.withLock { kept in
            if kept[tag] == nil { kept[tag] = Unmanaged.passRetained(core) }
        }
        // The last permit may have ended in between.
        release(tag)
    }

    /// Lets a core go that has no open permit and nobody inside. The address may be stale: it is
    /// only compared until it is found here.
    static func release(_ tag: UInt) {
        let freed = kept.withLock { kept -> Unmanaged<LimiterCore>? in
            guard let core = kept[tag], !InFlight.isActive(tag),
                core._withUnsafeGuaranteedRef({ $0.hot.pointee.permits.counts().open == 0 })
            else { return nil }
            kept[tag] = nil
            return core
        }
        freed?.release()
    }
}
