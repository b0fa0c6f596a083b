/// A command as the bytes that go to the server: an array of bulk strings.
///
/// hiredis would do the same through C pointers and one more copy; here a command is written once,
/// and what its callers send again and again is a ``Prepared`` one.
package struct RedisCommand: Sendable, Hashable {
    /// The protocol's bytes.
    package let bytes: [UInt8]
    /// How many replies come before the command's own, and are dropped.
    let leadingReplies: Int

    /// - Parameter words: the command's name and its arguments; at least one.
    package init(_ words: [[UInt8]]) {
        self = Prepared(words, variableCount: 0).command([])
    }

    /// A command of text.
    package init(_ words: String...) {
        self.init(words.map { Array($0.utf8) })
    }

    fileprivate init(bytes: [UInt8], leadingReplies: Int = 0) {
        self.bytes = bytes
        self.leadingReplies = leadingReplies
    }

    /// The command for a node of a cluster that takes the slot over: ASKING goes in front of it, as a
    /// pair that nothing comes between. Where ASKING is refused, the node sends the command away.
    var asking: RedisCommand {
        RedisCommand(bytes: Self.askingBytes + bytes, leadingReplies: 1)
    }

    private static let askingBytes = RedisCommand("ASKING").bytes

    /// The constant head of commands that differ in their last arguments only.
    package struct Prepared: Sendable, Hashable {
        private let head: [UInt8]
        private let variableCount: Int

        /// - Parameters:
        ///   - words: name and first arguments; at least one.
        ///   - variableCount: arguments that follow, given with each command.
        package init(_ words: [[UInt8]], variableCount: Int) {
            precondition(!words.isEmpty, "a command without a name")
            var head: [UInt8] = []
            head.append(marker: UInt8(ascii: "*"), number: words.count + variableCount)
            for word in words { head.append(bulk: word) }
            self.head = head
            self.variableCount = variableCount
        }

        /// The whole command. One allocation.
        package func command(_ arguments: [[UInt8]]) -> RedisCommand {
            precondition(
                arguments.count == variableCount,
                "\(arguments.count) arguments where \(variableCount) were announced")
            var bytes: [UInt8] = []
            // `$`, at most 19 digits and two line ends beside each argument.
            bytes.reserveCapacity(arguments.reduce(head.count) { $0 + $1.count + 24 })
            bytes.append(contentsOf: head)
            for argument in arguments { bytes.append(bulk: argument) }
            return RedisCommand(bytes: bytes)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(bulk: [UInt8]) {
        append(marker: UInt8(ascii: "$"), number: bulk.count)
        append(contentsOf: bulk)
        appendLineEnd()
    }

    fileprivate mutating func append(marker: UInt8, number: Int) {
        append(marker)
        let start = count
        var rest = number
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
        appendLineEnd()
    }

    private mutating func appendLineEnd() {
        append(UInt8(ascii: "\r"))
        append(UInt8(ascii: "\n"))
    }
}
