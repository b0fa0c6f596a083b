/// A server's answer to one command.
///
/// An error is an answer too: the command was looked at, and what it says is known.
package enum RedisReply: Sendable, Hashable {
    case null
    case integer(Int64)
    /// A string of any bytes.
    case bytes([UInt8])
    /// A word such as OK.
    case status([UInt8])
    /// At most as many elements and levels as the connection accepts, see `RedisReplyBounds`.
    case array([RedisReply])
    case error(RedisServerError)

    /// The text of a string or a status; nil for anything else and for what is no UTF-8.
    package var text: String? {
        switch self {
        case .bytes(let bytes), .status(let bytes): String(validating: bytes, as: UTF8.self)
        case .null, .integer, .array, .error: nil
        }
    }
}

/// How large one reply may be; what is larger closes the connection.
package struct RedisReplyBounds: Sendable, Hashable {
    /// Bytes on the wire.
    package var bytes = 32 << 20
    /// Elements of all its arrays together.
    package var elements = 1 << 18
    /// Arrays inside each other; hiredis 0.14 knows no more than 7.
    package var depth = 7

    package init() {}
}
