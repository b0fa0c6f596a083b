import Foundation

/// A source file cut into what is code and what is comment, with every line where it was.
///
/// Reads Swift; close enough for C, whose strings and comments are a subset. A regular expression
/// between slashes counts as a string where it begins an argument, an operand or a line.
struct SourceText: Sendable {
    /// The code alone: comments and the text of strings are blank, interpolations are kept.
    let code: [String]
    /// The comments alone.
    let comments: [String]
    /// The lines as they stand.
    let lines: [String]

    init(_ text: String) {
        var scanner = Scanner(Array(text.utf8))
        scanner.scanCode(insideInterpolation: false)
        code = Self.split(scanner.code)
        comments = Self.split(scanner.comments)
        lines = Self.split(scanner.bytes)
    }

    private static func split(_ bytes: [UInt8]) -> [String] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Walks the bytes once and copies each to the code or to the comments; the other gets a blank.
private struct Scanner {
    let bytes: [UInt8]
    var code: [UInt8]
    var comments: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let blank = bytes.map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
        code = blank
        comments = blank
    }

    /// Up to the end of the text, or past the parenthesis that closes an interpolation.
    mutating func scanCode(insideInterpolation: Bool) {
        var depth = 0
        while position < bytes.count {
            let byte = bytes[position]
            if matches("//") {
                scanLineComment()
            } else if matches("/*") {
                scanBlockComment()
            } else if byte == UInt8(ascii: "\"") || (byte == UInt8(ascii: "#") && opensRawString) {
                scanString()
            } else if byte == UInt8(ascii: "/"), let end = endOfPattern {
                position = end
            } else {
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") { depth -= 1 }
                code[position] = byte
                position += 1
                if insideInterpolation && depth == 0 { return }
            }
        }
    }

    private mutating func scanLineComment() {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
            comments[position] = bytes[position]
            position += 1
        }
    }

    private mutating func scanBlockComment() {
        var depth = 0
        repeat {
            if matches("/*") { depth += 1 }
            if matches("*/") { depth -= 1 }
            let width = matches("/*") || matches("*/") ? 2 : 1
            for _ in 0..<width where position < bytes.count {
                comments[position] = bytes[position]
                position += 1
            }
        } while depth > 0 && position < bytes.count
    }

    /// One literal, from its first `#` or quote past its last; interpolations count as code.
    private mutating func scanString() {
        var hashes = 0
        while matches("#") {
            hashes += 1
            position += 1
        }
        let quote = matches("\"\"\"") ? "\"\"\"" : "\""
        let end = quote + String(repeating: "#", count: hashes)
        let escape = "\\" + String(repeating: "#", count: hashes)
        code[position] = UInt8(ascii: "\"")
        position += quote.utf8.count
        while position < bytes.count {
            if matches(end) {
                code[position] = UInt8(ascii: "\"")
                position += end.utf8.count
                return
            }
            if matches(escape + "(") {
                position += escape.utf8.count
                scanCode(insideInterpolation: true)
            } else if matches(escape) {
                position = min(position + escape.utf8.count + 1, bytes.count)
            } else if quote.utf8.count == 1 && bytes[position] == UInt8(ascii: "\n") {
                return  // an apostrophe of C or a broken literal: go on with the next line
            } else {
                position += 1
            }
        }
    }

    /// Where the pattern that begins here ends, on the same line, or nil where it is a division.
    private var endOfPattern: Int? {
        let line = code[..<position].reversed().prefix { $0 != UInt8(ascii: "\n") }
        if let before = line.first(where: { $0 != UInt8(ascii: " ") }),
            !"(,=[{:?&|".utf8.contains(before)
        {
            return nil
        }
        var next = position + 1
        if next < bytes.count, bytes[next] == UInt8(ascii: " ") { return nil }
        while next < bytes.count, bytes[next] != UInt8(ascii: "\n") {
            if bytes[next] == UInt8(ascii: "/") { return next + 1 }
            next += bytes[next] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    private var opensRawString: Bool {
        var next = position
        while next < bytes.count, bytes[next] == UInt8(ascii: "#") { next += 1 }
        return next < bytes.count && bytes[next] == UInt8(ascii: "\"")
    }

    private func matches(_ text: StaticString) -> Bool {
        matches(text.utf8Start, text.utf8CodeUnitCount)
    }

    private func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { utf8 in
            guard let start = utf8.baseAddress else { return true }
            return matches(start, utf8.count)
        }
    }

    private func matches(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        guard position + count <= bytes.count else { return false }
        for index in 0..<count where bytes[position + index] != start[index] { return false }
        return true
    }
}

extension String {
    /// Whether nothing stands there.
    var isBlank: Bool { utf8.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") } }

    /// Whether the text stands in it: to be asked before a pattern, which takes a hundred times as
    /// long in a debug build.
    func mentions(_ text: StaticString) -> Bool {
        var line = self
        return line.withUTF8 { utf8 in
            guard var place = utf8.baseAddress else { return false }
            let end = place + utf8.count
            while let next = memchr(place, Int32(text.utf8Start[0]), end - place) {
                place = UnsafePointer(next.assumingMemoryBound(to: UInt8.self))
                guard place + text.utf8CodeUnitCount <= end else { return false }
                if memcmp(place, text.utf8Start, text.utf8CodeUnitCount) == 0 { return true }
                place += 1
            }
            return false
        }
    }

    /// The words that begin with a capital, each with whether a dot stands before it. The dot after
    /// the module's own name does not count.
    var typeNames: [(name: String, isMember: Bool)] {
        func isWord(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        var found: [(name: String, isMember: Bool)] = []
        let bytes = Array(utf8)
        var position = 0
        while position < bytes.count {
            var end = position
            while end < bytes.count, isWord(bytes[end]) { end += 1 }
            if end > position, (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(bytes[position]) {
                let isMember = position > 0 && bytes[position - 1] == UInt8(ascii: ".")
                let name = String(decoding: bytes[position..<end], as: UTF8.self)
                found.append((name, isMember && found.last?.name != "Admission"))
            }
            position = max(end, position + 1)
        }
        return found
    }
}
