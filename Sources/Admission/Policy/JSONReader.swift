/// Reads one JSON text (RFC 8259), strictly: UTF-8 without a byte-order mark, no key twice in an
/// object, no unpaired surrogate, nothing after the value.
///
/// Its own, because Foundation's would make the shared library several times as large, rounds
/// numbers through floating point, keeps one of two equal keys and tells no line.
///
/// - Complexity: O(n) time and memory; the stack is bounded by `maximumDepth`.
struct JSONReader {
    /// How deep lists and objects may stand in one another; a policy document needs 5.
    static let maximumDepth = 32

    let bytes: [UInt8]
    /// Index of the next byte to read.
    var position = 0
    private var depth = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The value that the whole text is.
    static func read(_ bytes: [UInt8]) throws(PolicyFault) -> JSONValue {
        var reader = JSONReader(bytes)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw reader.fault("starts with a byte-order mark; accepted: UTF-8 without one")
        }
        if let offset = UTF8Check.firstInvalidOffset(in: bytes) {
            reader.position = offset
            throw reader.fault("\(reader.nextByteName) is not UTF-8 here")
        }
        let value = try reader.readValue()
        reader.skipSpace()
        guard reader.position == bytes.count else {
            throw reader.fault("\(reader.nextByteName) after the end of the JSON value")
        }
        return value
    }

    func fault(_ reason: String, at offset: Int? = nil) -> PolicyFault {
        PolicyFault(.malformed, at: JSONPath(), reason, offset: offset ?? position)
    }

    private func noValue() -> PolicyFault {
        fault(
            "\(nextByteName) where a value is meant; accepted: text in quotes, a number, true, "
                + "false, null, [ or {")
    }

    /// The byte at `position`, or nil at the end.
    var nextByte: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    /// The next byte as an error calls it.
    var nextByteName: String {
        guard let byte = nextByte else { return "the end of the text" }
        guard (0x21...0x7E).contains(byte) else {
            let digits = String(byte, radix: 16, uppercase: true)
            return "byte 0x\(digits.utf8.count == 1 ? "0" : "")\(digits)"
        }
        return "'\(Unicode.Scalar(byte))'"
    }

    mutating func skipSpace() {
        while let byte = nextByte,
            byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
        {
            position += 1
        }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard nextByte == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func readValue() throws(PolicyFault) -> JSONValue {
        skipSpace()
        let offset = position
        let content: JSONValue.Content
        switch nextByte {
        case UInt8(ascii: "{"): content = .object(try readMembers())
        case UInt8(ascii: "["): content = .list(try readElements())
        case UInt8(ascii: "\""): content = .text(try readText())
        case .some(let byte) where byte == UInt8(ascii: "-") || isDigit(byte):
            content = .number(try readNumber())
        case UInt8(ascii: "t"): content = try readWord("true", .boolean(true))
        case UInt8(ascii: "f"): content = try readWord("false", .boolean(false))
        case UInt8(ascii: "n"): content = try readWord("null", .null)
        default:
            throw noValue()
        }
        return JSONValue(content: content, offset: offset)
    }

    /// One level further in, behind the opening bracket.
    private mutating func enter() throws(PolicyFault) {
        guard depth < Self.maximumDepth else {
            throw fault("lists and objects stand deeper in one another than \(Self.maximumDepth)")
        }
        depth += 1
        position += 1
    }

    private mutating func readMembers() throws(PolicyFault) -> [JSONMember] {
        try enter()
        defer { depth -= 1 }
        var members: [JSONMember] = []
        var names = NameSet()
        skipSpace()
        if skip("}") { return members }
        repeat {
            skipSpace()
            let offset = position
            guard nextByte == UInt8(ascii: "\"") else {
                throw fault("\(nextByteName) where a key in quotes is meant")
            }
            let name = try readText()
            guard names.insert(name) else {
                throw PolicyFault(
                    .duplicate, at: JSONPath().key(name), "the key stands twice in one object",
                    offset: offset)
            }
            skipSpace()
            guard skip(":") else {
                throw fault("\(nextByteName) where ':' is meant, after the key \(name.quoted)")
            }
            do {
                let value = try readValue()
                members.append(JSONMember(name: name, offset: offset, value: value))
            } catch {
                var fault = error
                fault.path.prepend(.key(name))
                throw fault
            }
            skipSpace()
        } while skip(",")
        guard skip("}") else { throw fault("\(nextByteName) where ',' or '}' is meant") }
        return members
    }

    private mutating func readElements() throws(PolicyFault) -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        var values: [JSONValue] = []
        skipSpace()
        if skip("]") { return values }
        repeat {
            do {
                values.append(try readValue())
            } catch {
                var fault = error
                fault.path.prepend(.index(values.count))
                throw fault
            }
            skipSpace()
        } while skip(",")
        guard skip("]") else { throw fault("\(nextByteName) where ',' or ']' is meant") }
        return values
    }

    private mutating func readWord(
        _ word: StaticString, _ content: JSONValue.Content
    ) throws(PolicyFault) -> JSONValue.Content {
        let end = position + word.utf8CodeUnitCount
        let isThere = word.withUTF8Buffer { letters in
            end <= bytes.count && bytes[position..<end].elementsEqual(letters)
        }
        guard isThere else { throw noValue() }
        position = end
        return content
    }

    private mutating func readNumber() throws(PolicyFault) -> String {
        let start = position
        _ = skip("-")
        if skip("0") {
            if let byte = nextByte, isDigit(byte) {
                throw fault("a number starts with 0; accepted: no leading zeros", at: start)
            }
        } else {
            try readDigits(of: "a number")
        }
        if skip(".") { try readDigits(of: "a fraction") }
        if skip("e") || skip("E") {
            if !skip("+") { _ = skip("-") }
            try readDigits(of: "an exponent")
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func readDigits(of part: String) throws(PolicyFault) {
        guard let byte = nextByte, isDigit(byte) else {
            throw fault("\(nextByteName) where \(part) needs a digit")
        }
        while let byte = nextByte, isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// Names seen so far, told apart by their bytes.
struct NameSet {
    /// The first few, compared one by one: most objects and lists are short.
    private var few: [String] = []
    private var many: Set<[UInt8]> = []

    /// Adds a name; false where it was there already.
    mutating func insert(_ name: String) -> Bool {
        if few.contains(where: { $0.hasSameBytes(as: name) }) { return false }
        if few.count < 8 {
            few.append(name)
            return true
        }
        return many.insert(Array(name.utf8)).inserted
    }
}
