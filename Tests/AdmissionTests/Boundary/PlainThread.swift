import Foundation

/// A thread of the system that can be joined.
final class PlainThread: Sendable {
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () -> Void) {
        let done = self.done
        Thread.detachNewThread {
            body()
            done.signal()
        }
    }

    func join() { done.wait() }

    static func run(_ body: @escaping @Sendable () -> Void) { PlainThread(body).join() }
}

/// Whether the condition comes true while other threads go on; gives up after a million looks.
///
/// Suites run side by side, and a thread of another one may hold the list of retired objects for a
/// moment.
func comesTrue(_ condition: () -> Bool) -> Bool {
    for _ in 0..<1_000_000 {
        if condition() { return true }
        sched_yield()
    }
    return false
}
