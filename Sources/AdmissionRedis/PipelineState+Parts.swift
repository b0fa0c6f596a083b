extension PipelineState {
    /// An established connection.
    struct Link {
        let connection: Connection
        /// Over: commands may be sent.
        var greeting: RedisGreeting
        /// Bytes that were given to the connection since it began.
        var givenBytes: Int64
        /// How many of them the system had taken when a writer last said so.
        var writtenBytes: Int64 = 0
        /// Somebody writes; what was given may have been written then, all of it.
        var isWriting = false
        /// The server has said that another one is to be asked.
        var isLeft = false
        /// The system takes no more for now.
        var isBlocked = false
        /// When something last came, or the first command went out after a pause.
        var progressAt: Int64
        /// When a reply last came in time.
        var answeredAt: Int64
        /// When somebody last looked and found that nothing had come.
        var lookedAt: Int64
        /// Batches with a command whose reply has not come.
        var batchesUnderWay = 0

        var hasOutgoing: Bool { writtenBytes < givenBytes }
    }

    /// What a caller shall do next.
    enum Turn {
        case over(Result<RedisReply, RedisError>)
        case dial(Dialer, until: Int64)
        /// Look whether the server has left a connection that was idle.
        case check(Connection)
        case write(Connection, [[UInt8]])
        case awaitRoom(Connection, until: Int64)
        case read(Connection, writing: Bool, until: Int64)
        case park(until: Int64)
    }

    /// What remains to be done outside of the lock.
    struct Actions {
        /// Who is to be woken, and whether there is a result for it.
        var wakes: [(pending: PendingReply, isOver: Bool)] = []
        var shutDowns: [Connection] = []
    }
}
