/// A command on its way, and the caller who waits for its reply.
///
/// All of it but the spot where the caller sleeps is touched under the pipeline's lock.
package final class PendingReply: @unchecked Sendable {
    // Unchecked: see above; `result` is also read after the spot said that it is there, and is
    // never written again then.

    enum Place {
        /// Not yet given to a connection.
        case unsent
        /// Given to the connection; its last byte is the connection's byte number `end`.
        case sent(end: Int64)
        /// It has a result, which the caller may have seen.
        case over
        /// Sent, and the caller has gone: the reply is dropped.
        case abandoned
    }

    /// The command; empty once a connection has it.
    var bytes: [UInt8]
    let byteCount: Int
    /// Replies that come first and are dropped.
    private var leadingReplies: Int
    var place = Place.unsent
    var result: Result<RedisReply, RedisError>?
    /// Whether its caller sleeps, or is about to.
    var isAsleep = false
    /// Whether a half-open circuit let it through to see how it goes.
    let isProbe: Bool
    /// Whether it was the last of what was written at once.
    var endsFlush = false
    /// From when on it is written even where others wait to be gathered.
    let gatheredAt: Int64
    /// When the caller came.
    let submittedAt: Int64
    /// 1: look under the lock; 2: `result` is there.
    private let spot = ParkingSpot()

    init(_ command: RedisCommand, isProbe: Bool, submittedAt: Int64, gatheredAt: Int64) {
        self.submittedAt = submittedAt
        bytes = command.bytes
        byteCount = command.bytes.count
        leadingReplies = command.leadingReplies
        self.isProbe = isProbe
        self.gatheredAt = gatheredAt
    }

    /// Whether the next reply is one that is dropped; each is told of once.
    func takesLeadingReply() -> Bool {
        guard leadingReplies > 0 else { return false }
        leadingReplies -= 1
        return true
    }

    /// Sleeps until `wake` or the deadline; returns early now and then. Not under the lock.
    ///
    /// - Returns: whether the result is there to be read without the lock.
    func park(until deadline: Int64) -> Bool {
        spot.park(until: deadline)
        return spot.value == 2
    }

    /// Under the lock, before the caller sleeps: a wake from now on will be seen.
    func arm() {
        spot.clear()
        isAsleep = true
    }

    /// Wakes the caller. Not under the lock, by the one who took `isAsleep` back there.
    ///
    /// - Parameter isOver: whether the result was there then.
    func wake(isOver: Bool) { spot.post(isOver ? 2 : 1) }
}
