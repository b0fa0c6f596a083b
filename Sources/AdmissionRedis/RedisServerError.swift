/// An error as a server says it: a code, and a text for people.
package struct RedisServerError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The script is not in the server's cache. Nothing ran.
        case noScript
        /// Another node of the cluster has the slot now. Nothing ran.
        case moved(slot: Int, address: String)
        /// Another node has the slot's new keys, for this one command. Nothing ran.
        case ask(slot: Int, address: String)
        /// The keys of the command are on their way to another node. Nothing ran.
        case tryAgain
        case crossSlot
        case clusterDown
        /// The server reads its data after a start.
        case loading
        /// A replica.
        case readOnly
        /// `maxmemory` is reached and nothing may be evicted.
        case outOfMemory
        case wrongPassword
        case passwordNeeded
        /// The user may not do this.
        case noPermission
        /// A key holds another type.
        case wrongType
        /// A script runs for too long.
        case busy
        case masterDown
        /// Snapshots fail, and the server is told to refuse writes then.
        case misconfigured
        case tooFewReplicas
        /// Refused at the door: protected mode.
        case denied
        /// Anything else: its first word.
        case other(String)
    }

    package let code: Code
    /// What the server wrote, the code with it; at most 512 bytes, what is no UTF-8 replaced.
    package let message: String

    /// - Parameter line: the error as it came, without the `-` in front.
    package init(_ line: some Collection<UInt8>) {
        message = String(decoding: line.prefix(512), as: UTF8.self)
        let words = message.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
        let code = Self.code(words.first.map(String.init) ?? "", words.dropFirst().map(String.init))
        // What a user may not do inside of a script has no code of its own.
        let isScriptsUser = message.hasPrefix("ERR The user executing the script can't ")
        self.code = isScriptsUser ? .noPermission : code
    }

    package var description: String { message }

    /// Whether the server says that it is the wrong one, or not yet the right one.
    var saysElsewhere: Bool {
        switch code {
        case .readOnly, .loading, .masterDown: true
        default: false
        }
    }

    private static func code(_ name: String, _ rest: [String]) -> Code {
        switch name {
        case "NOSCRIPT": .noScript
        case "MOVED", "ASK": redirection(name, rest) ?? .other(name)
        case "TRYAGAIN": .tryAgain
        case "CROSSSLOT": .crossSlot
        case "CLUSTERDOWN": .clusterDown
        case "LOADING": .loading
        case "READONLY": .readOnly
        case "OOM": .outOfMemory
        case "WRONGPASS": .wrongPassword
        case "NOAUTH": .passwordNeeded
        case "NOPERM": .noPermission
        case "WRONGTYPE": .wrongType
        case "BUSY": .busy
        case "MASTERDOWN": .masterDown
        case "MISCONF": .misconfigured
        case "NOREPLICAS": .tooFewReplicas
        case "DENIED", "-DENIED": .denied
        default: .other(name)
        }
    }

    /// `MOVED 3999 127.0.0.1:6381`; nil where slot or address are none.
    private static func redirection(_ name: String, _ rest: [String]) -> Code? {
        guard rest.count >= 2, let slot = Int(rest[0]), (0..<16_384).contains(slot),
            let colon = rest[1].lastIndex(of: ":"),
            let port = UInt16(rest[1][rest[1].index(after: colon)...]), port > 0
        else { return nil }
        return name == "MOVED"
            ? .moved(slot: slot, address: rest[1]) : .ask(slot: slot, address: rest[1])
    }
}
