import Synchronization

/// The current window of one unit in one zone, as this process last computed it.
///
/// A sequence lock on plain words: a reader that meets a writer, or an instant outside the window,
/// asks the zone itself. Owned by the store that made it, for as long as it lives.
package struct CalendarCell: ~Copyable, Sendable {
    private let sequence = Atomic<UInt64>(0)
    private let start = Atomic<Int64>(0)
    private let end = Atomic<Int64>(0)
    private let number = Atomic<UInt64>(0)
    private let zone: Zone
    private let unit: CalendarUnit
    private let window: CalendarWindow

    /// A window by its bounds in wall nanoseconds.
    package struct Window: Sendable, Hashable {
        package var start: Int64
        package var end: Int64
        package var number: UInt64
    }

    package init(zone: Zone, unit: CalendarUnit) {
        self.zone = zone
        self.unit = unit
        window = CalendarWindow(limit: 1, unit: unit, guardNanoseconds: 0)
    }

    /// The window that holds an instant of wall time.
    @inline(__always)
    package func current(_ wall: Int64) -> Window {
        known(wall) ?? renew(wall)
    }

    /// The same where it was computed before.
    @inline(__always)
    package func known(_ wall: Int64) -> Window? {
        // Acquire: pairs with the release at the end of `renew`.
        let before = sequence.load(ordering: .acquiring)
        let window = Window(
            start: start.load(ordering: .relaxed), end: end.load(ordering: .relaxed),
            number: number.load(ordering: .relaxed))
        atomicMemoryFence(ordering: .acquiring)
        if _fastPath(
            before & 1 == 0 && wall >= window.start && wall < window.end
                && sequence.load(ordering: .relaxed) == before)
        {
            return window
        }
        return nil
    }

    /// The window behind another one.
    package func next(after window: Window) -> Window {
        compute(window.end)
    }

    @inline(never)
    private func renew(_ wall: Int64) -> Window {
        let window = compute(wall)
        let before = sequence.load(ordering: .relaxed)
        // A writer that fork() left behind in the child keeps the number odd: the child computes.
        guard before & 1 == 0,
            sequence.compareExchange(
                expected: before, desired: before | 1, ordering: .acquiring
            ).exchanged
        else { return window }
        atomicMemoryFence(ordering: .releasing)
        start.store(window.start, ordering: .relaxed)
        end.store(window.end, ordering: .relaxed)
        number.store(window.number, ordering: .relaxed)
        sequence.store(before &+ 2, ordering: .releasing)
        return window
    }

    private func compute(_ wall: Int64) -> Window {
        var seconds = wall / 1_000_000_000
        if wall % 1_000_000_000 < 0 { seconds -= 1 }
        let span = zone.span(of: unit, containing: seconds)
        return Window(
            start: Self.nanoseconds(span.startSeconds), end: Self.nanoseconds(span.endSeconds),
            number: window.number(startSeconds: span.startSeconds))
    }

    private static func nanoseconds(_ seconds: Int64) -> Int64 {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : product
    }
}
