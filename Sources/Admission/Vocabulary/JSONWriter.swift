/// Writes compact JSON into one byte buffer; the caller opens and closes what it writes.
///
/// ```swift
/// var json = JSONWriter()
/// json.object { json in
///     json.member("limit", 10)
///     json.key("names")
///     json.array { json in json.value("rpm") }
/// }
/// json.text  // {"limit":10,"names":["rpm"]}
/// ```
///
/// Commas are put by the writer. It does not check that a key stands before each value of an
/// object, nor that keys are unique: that is its callers' part.
package struct JSONWriter: ~Copyable {
    /// What was written so far: always UTF-8.
    package private(set) var bytes: [UInt8] = []
    /// Whether the next key or value follows another one on its level.
    private var needsComma = false

    package init() {}

    package init(reservingCapacity capacity: Int) {
        bytes.reserveCapacity(capacity)
    }

    /// What was written so far.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// `{`, what `body` writes, `}`.
    package mutating func object<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
        open(UInt8(ascii: "{"))
        try body(&self)
        close(UInt8(ascii: "}"))
    }

    /// `[`, what `body` writes, `]`.
    package mutating func array<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
        open(UInt8(ascii: "["))
        try body(&self)
        close(UInt8(ascii: "]"))
    }

    /// A key; the value written next is its own.
    package mutating func key(_ name: String) {
        separate()
        appendQuoted(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// A string.
    package mutating func value(_ text: String) {
        separate()
        appendQuoted(text)
        needsComma = true
    }

    /// An integer.
    package mutating func value(_ number: some FixedWidthInteger) {
        separate()
        appendDigits(of: number)
        needsComma = true
    }

    /// `true` or `false`.
    package mutating func value(_ isTrue: Bool) {
        appendLiteral(isTrue ? "true" : "false")
    }

    /// `null`.
    package mutating func null() {
        appendLiteral("null")
    }

    /// Key and string.
    package mutating func member(_ name: String, _ text: String) {
        key(name)
        value(text)
    }

    /// Key and integer.
    package mutating func member(_ name: String, _ number: some FixedWidthInteger) {
        key(name)
        value(number)
    }

    /// Key and `true` or `false`.
    package mutating func member(_ name: String, _ isTrue: Bool) {
        key(name)
        value(isTrue)
    }

    /// Key and string, `null` where it is nil.
    package mutating func member(_ name: String, orNull text: String?) {
        key(name)
        if let text { value(text) } else { null() }
    }

    /// Key and integer, `null` where it is nil.
    package mutating func member<Number: FixedWidthInteger>(_ name: String, orNull number: Number?)
    {
        key(name)
        if let number { value(number) } else { null() }
    }

    /// Key and `true` or `false`, `null` where it is nil.
    package mutating func member(_ name: String, orNull isTrue: Bool?) {
        key(name)
        if let isTrue { value(isTrue) } else { null() }
    }

    /// Key and an array of what `write` writes for each element.
    package mutating func member<Element>(
        _ name: String, each elements: [Element], _ write: (inout JSONWriter, Element) -> Void
    ) {
        key(name)
        array { json in for element in elements { write(&json, element) } }
    }

    /// Key and an object with the attributes' names and values.
    package mutating func member(_ name: String, _ attributes: [Attribute]) {
        key(name)
        object { json in
            for attribute in attributes { json.member(attribute.name, attribute.value) }
        }
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func appendLiteral(_ literal: StaticString) {
        separate()
        literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
        needsComma = true
    }

    private mutating func appendDigits(of number: some FixedWidthInteger) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        let first = bytes.count
        var rest = number.magnitude
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
            rest = quotient
        } while rest > 0
        bytes[first...].reverse()
    }

    /// A string with its quotes. Control characters, the quote and the backslash are escaped and
    /// nothing else; a Swift string is always valid Unicode, so the bytes are valid UTF-8.
    private mutating func appendQuoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x08: appendEscape("b")
            case 0x0C: appendEscape("f")
            case 0x0A: appendEscape("n")
            case 0x0D: appendEscape("r")
            case 0x09: appendEscape("t")
            case 0x00..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(Self.hexDigit(byte >> 4))
                bytes.append(Self.hexDigit(byte & 0xF))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ letter: Unicode.Scalar) {
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(UInt8(ascii: letter))
    }

    private static func hexDigit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }
}

extension UInt64 {
    /// As hashes are written: 16 hexadecimal digits.
    package var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
