import Glibc

/// What a reset gave back.
public struct SegmentResetReport: Sendable, Hashable {
    /// Keys of buckets and windows that are untouched again.
    public internal(set) var keys = 0
    /// Leases that were freed.
    public internal(set) var leasesFreed = 0
    /// Leases of live owners, which stay.
    public internal(set) var leasesKept = 0
    /// Whether a chain leads nowhere: keys behind that place were not met.
    public internal(set) var isPartial = false
    /// Live processes that used the store meanwhile, which go on: of a forced reset.
    public internal(set) var liveProcesses = 0

    /// The report as JSON.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("keys", keys)
            writer.member("leases_freed", leasesFreed)
            writer.member("leases_kept", leasesKept)
            writer.member("partial", isPartial)
            writer.member("live_processes", liveProcesses)
        }
        return writer.text
    }
}

extension SegmentStore {
    /// Gives everything back that was charged, while others decide.
    ///
    /// - Parameter keepingLeasesOfLiveOwners: false: frees all leases, those of open permits too.
    package func reset(keepingLeasesOfLiveOwners: Bool = true) -> SegmentResetReport {
        segment.reset(clock: clock, keepingLeasesOfLiveOwners: keepingLeasesOfLiveOwners)
    }
}

/// Reset: every word goes back to its first value by the protocol that charges and settles it, so
/// that it may be done beside deciders, by several at a time, and be cut short at any instruction.
///
/// What was charged before must not be given back a second time: the key's tag is renewed in front
/// of its words and again behind them, so that permits of before no longer mean it. A settlement
/// that read the old tag and has yet to swap is waited for, `graceNanoseconds` long: it fails as
/// well unless the counter has come to the very value that it read. So from the instant at which
/// `reset` returns no limit is exceeded by what is charged from then on.
extension Segment {
    /// How long a thread may be held up between two instructions of a settlement.
    package static let graceNanoseconds = 50_000_000

    package func reset(
        clock: StoreClock, keepingLeasesOfLiveOwners: Bool,
        graceNanoseconds: Int = Segment.graceNanoseconds
    ) -> SegmentResetReport {
        var report = SegmentResetReport()
        var calendars = CalendarPresent(wall: clock.now() &+ clock.wallOffset())
        let isWhole = forEachKey { key, definition in
            if definition.kind == .concurrency {
                freeLeases(of: key, keepingLeasesOfLiveOwners, &report)
                return
            }
            guard let renewed = renewTag(key) else { return }
            guard let parameters = definition.parameters()?.current else { return }
            switch definition.kind {
            case .bucket: resetBucket(renewed, of: definition, clock)
            case .rolling: resetRolling(renewed, parameters.rolling, clock)
            case .calendar: resetCalendar(renewed, definition, &calendars)
            case .concurrency, .slots, .parameters: return
            }
            _ = renewTag(renewed)
            report.keys += 1
        }
        report.isPartial = !isWhole
        var rest = timespec(tv_sec: 0, tv_nsec: graceNanoseconds)
        var left = timespec()
        while nanosleep(&rest, &left) != 0 && errno == EINTR { rest = left }
        return report
    }

    private func resetBucket(_ key: KeyReference, of definition: Definition, _ clock: StoreClock) {
        let state = word(key.offset + KeyRecord.state)
        while let (bucket, parity) = convertBucket(key, of: definition) {
            let seen = state.load()
            guard seen != TokenBucket.retired, seen & 1 == parity else { continue }
            let now = clock.now()
            // The stamp in front of the word: a fresh word of now is not read by an older one.
            if bucket.needsStamp {
                word(key.offset + KeyRecord.stamp).raise(UInt64(bitPattern: now))
            }
            if state.swap(seen, bucket.fresh(now: now, parity: parity)) { return }
            retries.increment()
        }
    }

    private func resetRolling(
        _ key: KeyReference, _ window: RollingWindow, _ clock: StoreClock
    ) {
        let cells = RollingCells(record: base + key.offset)
        // Each further round means that the key was turned meanwhile.
        for _ in 0..<1_000 {
            let horizon = RollingHorizon(window, now: clock.now())
            cells.mendIfDamaged(window, horizon)
            let stamp = cells.stamp.load()
            guard stamp >= UInt64(window.cells), stamp <= RollingWindow.largestEpoch else { return }
            for distance in 0...UInt64(window.cells) {
                cells.refund(
                    window, epoch: stamp - distance, amount: RollingWindow.largestCount,
                    horizon: horizon, in: self)
            }
            cells.recount(window, horizon, in: self)
            if cells.stamp.load() == stamp { return }
        }
    }

    private func resetCalendar(
        _ key: KeyReference, _ definition: Definition, _ calendars: inout CalendarPresent
    ) {
        let present = calendars.window(of: definition)?.number
        let state = word(key.offset + KeyRecord.state)
        while true {
            let seen = state.load()
            guard seen != CalendarWindow.retired else { return }
            var number = CalendarWindow.number(ofWord: seen)
            // A window ahead of time would be taken for damage, and full.
            if let present, CalendarWindow.isLater(number, than: present) { number = present }
            let fresh = CalendarWindow.word(number: number, count: 0)
            if seen == fresh || state.swap(seen, fresh) { return }
            retries.increment()
        }
    }

    private func freeLeases(
        of key: KeyReference, _ keepsLive: Bool, _ report: inout SegmentResetReport
    ) {
        for block in blocks(of: key.offset).blocks {
            for index in 0..<block.count {
                let slot = word(block.slot(index))
                while true {
                    let seen = slot.load()
                    let owner = Int(LeaseSlots.owner(of: seen))
                    guard owner != 0 else { break }
                    if keepsLive, self.owner(owner).keepsLeases {
                        report.leasesKept += 1
                        break
                    }
                    if slot.swapSequential(seen, LeaseSlots.freed(seen)) {
                        report.leasesFreed += 1
                        break
                    }
                }
            }
        }
        // Behind the swaps, as a release does.
        word(key.offset + KeyRecord.liveEstimate).storeRelaxed(0)
        LeaseArray(self, at: key.offset).freedSlot()
    }
}
