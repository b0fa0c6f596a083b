import Synchronization

/// Closed limiters that live on until their last permit is ended, so that finalisers may run in
/// any order.
///
/// Whoever gives up a reference to a core (its limiter, a gate) hands it here when permits are
/// open; who ends a permit of a closed limiter asks whether that was the last.
enum ClosedCores {
    private static let kept = Mutex<[UInt: Unmanaged<LimiterCore>]>([:])

    /// Keeps a closed core while it has open permits.
    static func keepWhilePermitsAreOpen(_ core: LimiterCore) {
        guard core.isClosed, core.hot.pointee.permits.counts().open > 0 else { return }
        let entry = Unmanaged.passUnretained(core)
        kept.withLock { kept in
            let tag = UInt(bitPattern: entry.toOpaque())
            if kept[tag] == nil { kept[tag] = entry.retain() }
        }
        // The last permit may have ended in between.
        release(entry)
    }

    /// Lets a core go that has no open permit and nobody inside. The reference may be stale: it is
    /// only compared until it is found here.
    static func release(_ entry: Unmanaged<LimiterCore>) {
        let tag = UInt(bitPattern: entry.toOpaque())
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
