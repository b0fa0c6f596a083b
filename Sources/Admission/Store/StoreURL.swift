/// Where counters live, as a URL says it.
///
/// ```
/// memory:                          this process and children forked from it
/// file:/var/lib/app/quota          every process of the host that opens the file
/// file:///var/lib/app/quota        the same
/// file:quota?group=www-data        relative to the working directory; shared with a group
/// ```
/// Text is percent-decoded. Names of a query that nobody knows are errors, as is anything that a
/// later version may give a meaning.
package enum StoreURL: Sendable, Hashable {
    case memory
    case file(path: String, group: String?)
    /// A scheme that another part may serve.
    case other

    /// - Throws: `StoreError.invalidURL` with what is wrong.
    package init(_ url: String) throws(StoreError) {
        if url == "memory:" {
            self = .memory
        } else if url.hasPrefix("file:") {
            self = try Self.file(url)
        } else {
            self = .other
        }
    }

    private static func file(_ url: String) throws(StoreError) -> StoreURL {
        let parts = url.dropFirst(5).split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var path = String(parts[0])
        if path.hasPrefix("//") {
            guard path.hasPrefix("///") || path.hasPrefix("//localhost/") else {
                throw .invalidURL(url: url, reason: "it names another host")
            }
            path = String(path.dropFirst(path.hasPrefix("///") ? 2 : 11))
        }
        guard let decoded = percentDecoded(path) else {
            throw .invalidURL(
                url: url, reason: "a % is not followed by two hexadecimal digits of UTF-8")
        }
        guard !decoded.isEmpty, decoded.utf8.last != UInt8(ascii: "/"),
            !decoded.utf8.contains(0)
        else { throw .invalidURL(url: url, reason: "it names no file") }
        var group: String?
        for pair in parts.dropFirst().first?.split(separator: "&") ?? [] {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides[0] == "group", sides.count == 2, group == nil else {
                throw .invalidURL(
                    url: url, reason: "\"\(pair)\" is not known; accepted: group=NAME once")
            }
            guard let name = percentDecoded(String(sides[1])), !name.isEmpty else {
                throw .invalidURL(url: url, reason: "the group has no name")
            }
            group = name
        }
        return .file(path: decoded, group: group)
    }

    /// Text of a URL with its escapes taken out; nil where one is broken, or the bytes are no UTF-8.
    package static func percentDecoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard rest.count >= 2, digits.allSatisfy(\.isHexDigit),
                let value = UInt8(digits, radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
