import Synchronization

/// What a process counts of one limit from its load on, whatever parameters it decided with.
package final class LimitTally: Sendable {
    /// A gate was opened on the limit since its load.
    package let wasMatched = Atomic<Bool>(false)
    /// A cost above 0 met it since its load.
    package let wasCharged = Atomic<Bool>(false)
    package let damages = Count()
    package let rejections = (0..<7).map { _ in Count() }

    package final class Count: Sendable {
        package let value = Atomic<UInt64>(0)
    }

    init() {}

    /// The limit was loaded again: whether anything meets it is asked anew.
    func begin() {
        wasMatched.store(false, ordering: .relaxed)
        wasCharged.store(false, ordering: .relaxed)
    }
}
