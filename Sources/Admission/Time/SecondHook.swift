import Synchronization

/// What a process does about once a second on the occasion of reading the time: for layers that
/// keep a thread, which a forked child has lost without anybody telling it.
///
/// The caller may be in the middle of a decision and may hold anything: a hook waits for nobody,
/// and mostly has nothing to do.
package enum SecondHook {
    private static let bits = Atomic<UInt>(0)

    /// Sets what is called; never taken back.
    package static func set(_ hook: @convention(c) () -> Void) {
        bits.store(unsafeBitCast(hook, to: UInt.self), ordering: .relaxed)
    }

    /// Calls it, where one was set.
    static func call() {
        let bits = bits.load(ordering: .relaxed)
        guard bits != 0 else { return }
        unsafeBitCast(bits, to: (@convention(c) () -> Void).self)()
    }
}
