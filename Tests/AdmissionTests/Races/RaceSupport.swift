import Foundation
import Synchronization

@testable import Admission

/// Lengths and numbers of threads of the races.
enum Race {
    /// The thread sanitizer makes everything ten times slower: `scripts/test-tsan` sets it.
    static let isShort = ProcessInfo.processInfo.environment["ADMISSION_SHORT_RACES"] == "1"
    static let threads = 4

    /// A number of operations: shorter under the sanitizer, longer in soak.
    static func count(_ normal: Int) -> Int {
        isShort ? max(1, normal / 10) : TestLength.isSoak ? normal * 50 : normal
    }

    /// Rounds after which a race that did not happen is given up.
    static let mostRounds = 200

    /// Runs `body` on threads of their own at once, and waits for all.
    static func run(_ threads: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let line = StartLine(threads)
        let all = (0..<threads).map { index in
            PlainThread {
                line.wait()
                body(index)
            }
        }
        for thread in all { thread.join() }
    }
}

/// Where threads wait for each other, so that they start together.
final class StartLine: Sendable {
    private let missing: Atomic<Int>

    init(_ threads: Int) { missing = Atomic(threads) }

    func wait() {
        missing.subtract(1, ordering: .acquiringAndReleasing)
        while missing.load(ordering: .acquiring) > 0 { sched_yield() }
    }
}

/// What several threads gather, each in a list of its own until it is done.
///
/// With a lock that the thread sanitizer knows; it does not see the ones of Synchronization.
final class Gathered<Element: Sendable>: @unchecked Sendable {
    // Unchecked: touched under `lock` alone.
    private var list: [Element] = []
    private let lock = NSLock()

    func append(_ list: [Element]) { lock.withLock { self.list += list } }
    var all: [Element] { lock.withLock { list } }
}

/// One admitted charge: when, and how much.
struct LoggedCharge: Sendable {
    var at: Int64
    var wall: Int64
    var units: Int64
}

extension Gate {
    /// `tryCharge` or `tryAcquire` as plain data.
    func ask(
        requests: Int64 = 1, inputTokens: Int64 = 0, takesPermit: Bool = false
    ) -> (status: Int32, record: DecisionRecord) {
        var record = DecisionRecord()
        let status = decide(
            CostAmounts(
                requests: requests, inputTokens: inputTokens, outputTokens: 0,
                extra: UnsafeBufferPointer(start: nil, count: 0)),
            takesPermit: takesPermit, into: &record)
        return (status, record)
    }
}

extension DecisionRecord {
    func charge(_ units: Int64 = 1) -> LoggedCharge {
        LoggedCharge(at: decidedAtNanoseconds, wall: decidedAtUnixNanoseconds, units: units)
    }
}

/// The bounds, read off a log of charges.
enum RaceBounds {
    /// The most units in any half-open window of a length.
    static func mostInWindow(_ charges: [LoggedCharge], nanoseconds: Int64) -> Int64 {
        let sorted = charges.sorted { $0.at < $1.at }
        var first = 0
        var sum: Int64 = 0
        var most: Int64 = 0
        for charge in sorted {
            sum += charge.units
            while sorted[first].at <= charge.at - nanoseconds {
                sum -= sorted[first].units
                first += 1
            }
            most = max(most, sum)
        }
        return most
    }

    /// The most by which any span's units exceed rate x span, in units x period: at most the burst's.
    static func mostAboveRate(_ charges: [LoggedCharge], units: Int64, period: Int64) -> Int128 {
        var level: Int128 = 0
        var most: Int128 = 0
        var last = Int64.min
        for charge in charges.sorted(by: { $0.at < $1.at }) {
            if last != .min { level = max(0, level - Int128(charge.at - last) * Int128(units)) }
            last = charge.at
            level += Int128(charge.units) * Int128(period)
            most = max(most, level)
        }
        return most
    }

    /// Units that a plain log would have admitted of unit charges asked at these instants.
    static func plainLogAdmits(_ asked: [Int64], limit: Int64, nanoseconds: Int64) -> Int64 {
        var admitted: [Int64] = []
        var first = 0
        for instant in asked.sorted() {
            while first < admitted.count, admitted[first] <= instant - nanoseconds { first += 1 }
            if admitted.count - first < Int(limit) { admitted.append(instant) }
        }
        return Int64(admitted.count)
    }

    /// The same with `k` cells counted in full behind the current one.
    static func cellLogAdmits(_ asked: [Int64], limit: Int64, nanoseconds: Int64) -> Int64 {
        let cells: Int64 = nanoseconds > 3_600_000_000_000 ? 96 : 60
        let cell = (nanoseconds + cells - 1) / cells
        var counts: [(epoch: Int64, count: Int64)] = []
        var first = 0
        var sum: Int64 = 0
        var admitted: Int64 = 0
        for instant in asked.sorted() {
            let epoch = instant / cell
            while first < counts.count, counts[first].epoch < epoch - cells {
                sum -= counts[first].count
                first += 1
            }
            guard sum < limit else { continue }
            if counts.last?.epoch == epoch {
                counts[counts.count - 1].count += 1
            } else {
                counts.append((epoch, 1))
            }
            sum += 1
            admitted += 1
        }
        return admitted
    }
}
