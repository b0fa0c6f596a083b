import Synchronization

/// Objects that could not be freed when they were closed, since a caller was inside.
///
/// A list without a lock: pushed by compare-and-swap, taken whole by exchange. The looks at it are
/// the next closings and openings, so what waits here is bounded by the calls that were under way.
/// A child forked while another thread had taken the list loses that part of it, never more.
extension InFlight {
    /// Gives up one strong reference to the object as soon as nobody is inside under the tag:
    /// at once, or at a later ``releaseRetired()``.
    ///
    /// The handle must be stale before. Nobody may retire the same reference twice.
    package static func retire(_ object: Unmanaged<AnyObject>, tag: UInt) {
        releaseRetired()
        if isActive(tag) {
            let node = UnsafeMutablePointer<RetiredObject>.allocate(capacity: 1)
            node.initialize(to: RetiredObject(next: nil, object: object, tag: tag))
            push(node)
        } else {
            object.release()
        }
    }

    /// Frees what was retired and has no caller inside any more.
    ///
    /// - Returns: how many still wait.
    /// - Complexity: one load where nothing waits.
    @discardableResult
    package static func releaseRetired() -> Int {
        // Relaxed: a hint; the exchange below synchronises.
        guard retiredHead.load(ordering: .relaxed) != 0 else { return 0 }
        // Acquiring: pairs with the releasing push.
        var next = RetiredObject.Pointer(
            bitPattern: retiredHead.exchange(0, ordering: .acquiring))
        let isOrdered = InFlightTable.orderAllThreads()
        var waiting = 0
        while let node = next {
            next = node.pointee.next
            if isOrdered, !InFlightTable.isSeenActive(node.pointee.tag) {
                let object = node.pointee.object
                node.deallocate()
                object.release()
            } else {
                waiting += 1
                push(node)
            }
        }
        return waiting
    }

    /// The first node's address, 0 for none.
    private static let retiredHead = Atomic<UInt>(0)

    private static func push(_ node: RetiredObject.Pointer) {
        var head = retiredHead.load(ordering: .relaxed)
        while true {
            node.pointee.next = RetiredObject.Pointer(bitPattern: head)
            // Releasing: pairs with the acquiring exchange in releaseRetired.
            let swap = retiredHead.compareExchange(
                expected: head, desired: UInt(bitPattern: node),
                successOrdering: .releasing, failureOrdering: .relaxed)
            if swap.exchanged { return }
            head = swap.original
        }
    }
}

/// One waiting object. Owned by the list it stands in, or by the thread that took the list.
private struct RetiredObject {
    typealias Pointer = UnsafeMutablePointer<RetiredObject>

    var next: Pointer?
    /// One strong reference.
    var object: Unmanaged<AnyObject>
    var tag: UInt
}
