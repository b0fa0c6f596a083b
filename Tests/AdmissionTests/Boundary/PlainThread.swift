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
