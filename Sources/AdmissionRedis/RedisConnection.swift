import Glibc

#if Redis
    import CHiredis
#endif

/// A connected socket, the bytes that wait to be written, and the parser of what comes back.
///
/// hiredis parses; the socket is ours. hiredis' own calls know one timeout for each system call, so
/// that a server which sends a byte now and then holds its caller up for ever, write with a plain
/// `write` that raises SIGPIPE, and read through a context that cannot be shared. With the system's
/// calls every wait ends at the caller's deadline, and a caller that gives up in the middle of a
/// reply leaves the parser where it is: the next reader goes on with it.
///
/// Threads: one that writes and one that reads at a time, which may be two; the pipeline gives out
/// the two roles. The socket is closed with the last reference, so that nobody waits on a number
/// that has become another file's; who gives the connection up shuts it down, which ends all waits.
final class RedisConnection: @unchecked Sendable {
    // Unchecked: the writer alone touches `outgoing`, the reader alone the parser and `incoming`.
    private let descriptor: Int32
    private let bounds: RedisReplyBounds
    /// Owner: this object, freed with it.
    private let parser: ReplyParser
    /// Where the reader's bytes arrive. Owner: this object, freed with it.
    private let incoming = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    private var outgoing: [UInt8]
    private var outgoingStart = 0
    /// Bytes that came since the last whole reply.
    private var unfinishedBytes = 0
    /// Set in a forked child, whose descriptor of this number may be another file's afterwards.
    private var isGivenToParent = false

    /// - Parameters:
    ///   - descriptor: connected, non-blocking; owned from here on, by a failure too.
    ///   - greeting: the first bytes to be written.
    init(_ descriptor: Int32, greeting: [UInt8], bounds: RedisReplyBounds) throws(RedisFault) {
        guard let parser = ReplyParser(bounds) else {
            close(descriptor)
            throw ReplyParser.isBuilt
                ? .noResources(operation: "malloc", errno: ENOMEM) : RedisFault.notBuilt
        }
        self.descriptor = descriptor
        self.bounds = bounds
        self.parser = parser
        outgoing = greeting
    }

    deinit {
        if !isGivenToParent { close(descriptor) }
        incoming.deallocate()
    }

    /// Ends all waits on the socket, here and at the server.
    func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// In a forked child: lets go of the socket, and of the rest for good, without a word to the
    /// server. Threads of the parent may have been inside of it when the child was made, so that
    /// nothing of it can be trusted to be whole.
    func leaveToParent() {
        isGivenToParent = true
        close(descriptor)
        _ = Unmanaged.passRetained(self)
    }

    // MARK: The writer

    /// Adds bytes behind those that wait.
    func append(_ bytes: [UInt8]) { outgoing.append(contentsOf: bytes) }

    /// Writes what the system takes now.
    func flush() throws(RedisFault) {
        while outgoingStart < outgoing.count {
            let count = try RedisSocket.send(descriptor, outgoing[outgoingStart...])
            guard count > 0 else { return }
            outgoingStart += count
        }
        outgoing.removeAll(keepingCapacity: outgoing.capacity <= 1 << 18)
        outgoingStart = 0
    }

    /// Bytes that were added and not written.
    var unwrittenBytes: Int { outgoing.count - outgoingStart }

    /// Whether the server has left, or sent what nobody asked for, while nothing was under way.
    var isStale: Bool { RedisSocket.isStale(descriptor) }

    // MARK: Both

    func wait(reading: Bool, writing: Bool, until deadline: Int64) -> RedisSocket.Readiness {
        RedisSocket.wait(descriptor, reading: reading, writing: writing, until: deadline)
    }

    // MARK: The reader

    /// Reads what is there, without waiting, and adds the whole replies in it.
    ///
    /// - Returns: the bytes that came.
    /// - Throws: the end of the connection; the replies in front of it are added first.
    func receive(into replies: inout [RedisReply]) throws(RedisFault) -> Int {
        let count = recv(
            descriptor, incoming.baseAddress, incoming.count, Int32(MSG_DONTWAIT))
        if count == 0 { throw .closedByServer }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return 0 }
            throw errno == ECONNRESET ? .closedByServer : .broken(operation: "recv", errno: errno)
        }
        guard parser.feed(UnsafeRawBufferPointer(rebasing: incoming[..<count])) else {
            throw .noResources(operation: "malloc", errno: ENOMEM)
        }
        unfinishedBytes += count
        while let reply = try parser.next() {
            replies.append(reply)
            unfinishedBytes = 0
        }
        guard unfinishedBytes <= bounds.bytes else { throw .replyTooLarge }
        return count
    }
}

/// hiredis' parser of replies, fed with bytes as they come.
///
/// One thread at a time. What hiredis allocates for a reply is copied into a value and freed here.
final class ReplyParser {
    #if Redis
        static let isBuilt = true
        static let version = "\(admission_hiredis_major()).\(admission_hiredis_minor())"

        private let parser: UnsafeMutablePointer<admission_reply_parser>

        /// Nil without memory.
        init?(_ bounds: RedisReplyBounds) {
            guard let parser = admission_reply_parser_create(bounds.elements, Int32(bounds.depth))
            else { return nil }
            self.parser = parser
        }

        deinit { admission_reply_parser_free(parser) }

        /// False without memory.
        func feed(_ bytes: UnsafeRawBufferPointer) -> Bool {
            let start = bytes.assumingMemoryBound(to: CChar.self).baseAddress
            return redisReaderFeed(parser.pointee.reader, start, bytes.count) == REDIS_OK
        }

        /// The next whole reply; nil where more bytes are needed.
        func next() throws(RedisFault) -> RedisReply? {
            var found: UnsafeMutablePointer<redisReply>?
            guard admission_reply_parser_next(parser, &found) == 0 else {
                if admission_reply_parser_is_out_of_bounds(parser) != 0 { throw .replyTooLarge }
                throw .protocolError(String(cString: admission_reply_parser_error(parser)))
            }
            guard let found else { return nil }
            defer { freeReplyObject(found) }
            return try Self.value(found)
        }

        /// At most as many levels deep as the bounds say.
        private static func value(
            _ reply: UnsafeMutablePointer<redisReply>
        ) throws(RedisFault) -> RedisReply {
            let bytes = UnsafeRawBufferPointer(start: reply.pointee.str, count: reply.pointee.len)
            switch reply.pointee.type {
            case REDIS_REPLY_NIL: return .null
            case REDIS_REPLY_INTEGER: return .integer(reply.pointee.integer)
            case REDIS_REPLY_STRING: return .bytes(Array(bytes))
            case REDIS_REPLY_STATUS: return .status(Array(bytes))
            case REDIS_REPLY_ERROR: return .error(RedisServerError(bytes))
            case REDIS_REPLY_ARRAY:
                var elements: [RedisReply] = []
                elements.reserveCapacity(reply.pointee.elements)
                for index in 0..<reply.pointee.elements {
                    guard let element = reply.pointee.element[index] else {
                        throw .protocolError("an array with a hole")
                    }
                    elements.append(try value(element))
                }
                return .array(elements)
            default: throw .protocolError("a reply of kind \(reply.pointee.type)")
            }
        }
    #else
        static let isBuilt = false
        static let version = "none"

        init?(_ bounds: RedisReplyBounds) { return nil }

        func feed(_ bytes: UnsafeRawBufferPointer) -> Bool { false }

        func next() throws(RedisFault) -> RedisReply? { nil }
    #endif
}
