@testable import Admission

/// The instants of one operation on the log.
struct LogMoment {
    /// Steady nanoseconds.
    var now: Int64
    /// Wall nanoseconds.
    var wall: Int64
}

/// What a log says to a charge, in the numbers of `admission_reason`.
struct LogAnswer {
    var reason: RejectionReason?
    var retryAfterNanoseconds: Int64 = 0
    var remaining: Int64
    var used: Int64
}

/// Where a charge went: charges of one group are given back together.
struct LogPlace {
    var group: Int64
    var id: Int
}

/// One limit's key as an oracle sees it: every charge with its instant, nothing packed.
///
/// Written from the design's promises, not from the library's code. `charge` fails with a text when
/// the promise is broken; `answer` says what a decision must say.
protocol KeyLog: AnyObject {
    var capacity: Int64 { get }
    func answer(_ amount: Int64, at moment: LogMoment) -> LogAnswer
    /// Books an admitted charge and checks the hard bound, as plainly as it can be said.
    func charge(_ amount: Int64, at moment: LogMoment, broken: (String) -> Void) -> LogPlace
    /// Books usage above the charge, wherever that leads.
    func exceed(_ amount: Int64, at moment: LogMoment) -> LogPlace
    func refund(_ amount: Int64, from place: LogPlace, at moment: LogMoment)
    /// Puts new parameters of the same identity in force.
    func reload(_ kind: LimitKind, at moment: LogMoment)
    /// Whether reclaiming makes a new key of it, so that older permits lose their way back.
    func reclaim(at moment: LogMoment) -> Bool
}

/// Every charge of a rolling limit.
final class RollingLog: KeyLog {
    private struct Entry {
        var at: Int64
        var epoch: Int64
        var units: Int64
    }

    private(set) var capacity: Int64
    private let window: Int64
    private let span: Int64
    private let cells: Int64
    private let cell: Int64
    private var entries: [Entry] = []
    private var firstID = 0

    init(limit: Int64, window: Int64, guarding: Int64, grain: Int64) {
        capacity = limit
        self.window = window
        span = window + guarding
        cells = window > 3_600_000_000_000 ? 96 : 60
        cell = ((span + cells - 1) / cells + grain - 1) / grain * grain
    }

    func answer(_ amount: Int64, at moment: LogMoment) -> LogAnswer {
        let oldest = moment.now / cell - cells
        let counted = entries.filter { $0.epoch >= oldest && $0.units > 0 }
        let used = counted.reduce(0) { $0 + $1.units }
        var answer = LogAnswer(remaining: max(0, capacity - used), used: used)
        if amount > capacity {
            answer.reason = .exceedsLimit
        } else if amount > 0 ? amount > capacity - used : used > capacity {
            answer.reason = amount == 0 ? .debt : .exhausted
            var left = used
            for entry in counted where left + amount > capacity {
                left -= entry.units
                answer.retryAfterNanoseconds = (entry.epoch + cells + 1) * cell - moment.now
            }
        }
        return answer
    }

    func charge(_ amount: Int64, at moment: LogMoment, broken: (String) -> Void) -> LogPlace {
        // Every window that ends at a decision; one that ends between two holds no more.
        let inside = entries.reduce(amount) { $0 + ($1.at > moment.now - span ? $1.units : 0) }
        if amount > 0, inside > capacity {
            broken("\(inside) of \(capacity) units in the \(span) ns up to \(moment.now)")
        }
        return book(amount, at: moment)
    }

    func exceed(_ amount: Int64, at moment: LogMoment) -> LogPlace { book(amount, at: moment) }

    private func book(_ amount: Int64, at moment: LogMoment) -> LogPlace {
        if entries.count > 512, let first = entries.first, first.at < moment.now - 2 * span - cell {
            let passed = entries.firstIndex { $0.at >= moment.now - 2 * span - cell }
            firstID += passed ?? entries.count
            entries.removeFirst(passed ?? entries.count)
        }
        let epoch = moment.now / cell
        entries.append(Entry(at: moment.now, epoch: epoch, units: amount))
        return LogPlace(group: epoch, id: firstID + entries.count - 1)
    }

    func refund(_ amount: Int64, from place: LogPlace, at moment: LogMoment) {
        let index = place.id - firstID
        guard entries.indices.contains(index) else { return }
        entries[index].units -= min(amount, entries[index].units)
    }

    func reload(_ kind: LimitKind, at moment: LogMoment) { capacity = kind.capacity }
    func reclaim(at moment: LogMoment) -> Bool { false }

    /// Whether a plain log of the window alone, kept from each charge's own instant, would have
    /// admitted long enough before `instant`: the delay that the cells may cost.
    func isLate(_ amount: Int64, decidedAt now: Int64, admittedAt instant: Int64) -> Bool {
        var left = entries.reduce(0) { $0 + ($1.at > now - span ? $1.units : 0) }
        for entry in entries where entry.at > now - span && entry.units > 0 {
            guard left + amount > capacity else { break }
            left -= entry.units
            if left + amount <= capacity {
                return instant > entry.at + window + ((cells + 1) * cell - window)
            }
        }
        return false
    }
}

/// What was used in the newest window of a calendar limit.
final class CalendarLog: KeyLog {
    private(set) var capacity: Int64
    private let unit: CalendarUnit
    private let zone: Zone
    private var guarding: Int64
    private var start: Int64?
    private var used: Int64 = 0
    /// A refused decision may have begun the present window, with nothing in it: that shows only
    /// when the wall clock is stepped back behind its start.
    private(set) var isUnsure = false

    init(limit: Int64, unit: CalendarUnit, zone: Zone, guarding: Int64) {
        capacity = limit
        self.unit = unit
        self.zone = zone
        self.guarding = guarding
    }

    /// A key begins in the window in which it is made, not with its first charge.
    func open(_ wall: Int64) {
        if start == nil { start = window(wall).start }
    }

    private func window(_ wall: Int64) -> (start: Int64, end: Int64) {
        let seconds = wall >= 0 ? wall / 1_000_000_000 : (wall - 999_999_999) / 1_000_000_000
        let span = zone.span(of: unit, containing: seconds)
        return (span.startSeconds * 1_000_000_000, span.endSeconds * 1_000_000_000)
    }

    /// The wall instant that a decision takes: a window that has not begun yet, and is the next
    /// one, raises it; one farther ahead is damage and counts as this one, full.
    func raised(_ wall: Int64) -> Int64 {
        let current = window(wall)
        guard let start, start > current.start else { return wall }
        if start == current.end { return start }
        self.start = current.start
        used = capacity
        return wall
    }

    /// Whether a newer window than that of the last charge has begun.
    func isBehind(_ wall: Int64) -> Bool { start.map { $0 < window(wall).start } ?? false }

    private func usedNow(_ wall: Int64) -> Int64 { start == window(wall).start ? used : 0 }

    func answer(_ amount: Int64, at moment: LogMoment) -> LogAnswer {
        let current = window(moment.wall)
        let used = usedNow(moment.wall)
        var answer = LogAnswer(remaining: max(0, capacity - used), used: used)
        if amount > capacity {
            answer.reason = .exceedsLimit
        } else if amount > capacity - used {
            answer.reason = amount == 0 ? .debt : .exhausted
            let end = current.end + (amount == 0 ? 0 : guarding)
            answer.retryAfterNanoseconds = end - moment.wall
        } else if amount > 0, moment.wall < current.start + guarding {
            answer.reason = .boundaryGuard
            answer.retryAfterNanoseconds = current.start + guarding - moment.wall
        }
        return answer
    }

    func refuse(at moment: LogMoment) {
        if let start, start < window(moment.wall).start { isUnsure = true }
    }

    func charge(_ amount: Int64, at moment: LogMoment, broken: (String) -> Void) -> LogPlace {
        let place = exceed(amount, at: moment)
        if amount > 0, used > capacity { broken("\(used) of \(capacity) between two boundaries") }
        if amount > 0, moment.wall < place.group + guarding { broken("inside the guard") }
        return place
    }

    func exceed(_ amount: Int64, at moment: LogMoment) -> LogPlace {
        let current = window(raised(moment.wall))
        // A charge of nothing writes nothing: the word stays in its window.
        if amount > 0 {
            used = usedNow(raised(moment.wall)) + amount
            start = current.start
            isUnsure = false
        }
        return LogPlace(group: current.start, id: 0)
    }

    func refund(_ amount: Int64, from place: LogPlace, at moment: LogMoment) {
        if start == place.group { used -= min(used, amount) }
    }

    func reload(_ kind: LimitKind, at moment: LogMoment) {
        capacity = kind.capacity
        if case .calendarWindow(_, _, _, let guarding) = kind { self.guarding = guarding }
    }

    func reclaim(at moment: LogMoment) -> Bool {
        guard let start, start < window(moment.wall).start else { return false }
        self.start = nil
        used = 0
        return true
    }
}

/// The leases of a concurrency limit, each with the instant at which it runs out.
final class LeaseLog: KeyLog {
    private(set) var capacity: Int64
    private var ends: [Int: Int64] = [:]
    private var nextID = 0
    /// A segment keeps expiry in steps of this many nanoseconds, rounded up.
    private static let step: Int64 = 1 << 21

    private(set) var lease: Int64
    private(set) var hold: Int64
    private let grain: Int64

    init(limit: Int64, lease: Int64, hold: Int64, grain: Int64) {
        capacity = limit
        self.lease = lease
        self.hold = hold
        self.grain = grain
    }

    private func end(_ instant: Int64) -> Int64 {
        grain > 1 ? instant : (instant / Self.step + 1) * Self.step
    }

    func live(at now: Int64) -> Int64 { Int64(ends.values.lazy.filter { $0 > now }.count) }
    func isLive(_ id: Int, at now: Int64) -> Bool { (ends[id] ?? .min) > now }

    func answer(_ amount: Int64, at moment: LogMoment) -> LogAnswer {
        let live = live(at: moment.now)
        var answer = LogAnswer(remaining: max(0, capacity - live), used: live)
        if live >= capacity { answer.reason = .concurrency }
        return answer
    }

    func charge(_ amount: Int64, at moment: LogMoment, broken: (String) -> Void) -> LogPlace {
        ends[nextID] = end(moment.now + lease)
        let live = live(at: moment.now)
        if live > capacity { broken("\(live) leases of \(capacity)") }
        nextID += 1
        return LogPlace(group: 0, id: nextID - 1)
    }

    func exceed(_ amount: Int64, at moment: LogMoment) -> LogPlace { LogPlace(group: 0, id: 0) }

    /// Ends a lease, whatever the amount.
    func refund(_ amount: Int64, from place: LogPlace, at moment: LogMoment) {
        ends[place.id] = nil
    }

    /// - Returns: whether the lease still was live.
    func renew(
        _ place: LogPlace, lease: Int64, holdUntil: Int64, now: Int64, until: Int64
    ) -> Bool {
        guard isLive(place.id, at: now) else { return false }
        let last = min(until + lease, holdUntil)
        if last > now { ends[place.id] = end(last) }
        return true
    }

    func reload(_ kind: LimitKind, at moment: LogMoment) {
        guard case .concurrency(let limit, let lease, let hold) = kind else { return }
        capacity = limit
        self.lease = lease
        self.hold = hold
    }

    func reclaim(at moment: LogMoment) -> Bool { false }
}
