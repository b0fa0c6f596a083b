import Foundation

/// How calls ended, those of all threads together.
final class OutcomeTally: @unchecked Sendable {
    // Unchecked: touched under the lock alone.
    private let lock = NSCondition()
    private var counts: [String: Int] = [:]

    func add(_ outcome: String) {
        lock.withLock {
            counts[outcome, default: 0] += 1
            lock.broadcast()
        }
    }

    subscript(_ outcome: String) -> Int { lock.withLock { counts[outcome] ?? 0 } }

    var all: [String: Int] { lock.withLock { counts } }

    /// Waits until there are as many of an outcome; false after a minute.
    func reaches(_ count: Int, _ outcome: String) -> Bool {
        let limit = Date(timeIntervalSinceNow: 60)
        return lock.withLock {
            while counts[outcome] ?? 0 < count {
                guard lock.wait(until: limit) else { return false }
            }
            return true
        }
    }
}
