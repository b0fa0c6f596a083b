extension JSONReader {
    /// The text of a string; stands on its opening quote and leaves behind the closing one.
    mutating func readText() throws(PolicyFault) -> String {
        let start = position
        position += 1
        var decoded: [UInt8] = []
        // Bytes from here on are taken as they are; what stands before is in `decoded`.
        var plainStart = position
        while let byte = nextByte {
            switch byte {
            case UInt8(ascii: "\""):
                defer { position += 1 }
                if decoded.isEmpty {
                    return String(decoding: bytes[plainStart..<position], as: UTF8.self)
                }
                decoded += bytes[plainStart..<position]
                return String(decoding: decoded, as: UTF8.self)
            case UInt8(ascii: "\\"):
                decoded += bytes[plainStart..<position]
                decoded += UTF8.encode(try readEscape()).map(Array.init) ?? []
                plainStart = position
            case 0x00..<0x20:
                throw fault("\(nextByteName) in text; accepted: control characters as \\u00XX")
            default: position += 1
            }
        }
        throw fault("text without its closing quote", at: start)
    }

    /// The scalar of one escape, two where it is a surrogate pair; stands on the backslash.
    private mutating func readEscape() throws(PolicyFault) -> Unicode.Scalar {
        let start = position
        position += 1
        guard let letter = nextByte else {
            throw fault("text without its closing quote", at: start)
        }
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try readUnicodeEscape(start: start)
        default:
            throw fault(
                "no such escape; accepted: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX", at: start)
        }
    }

    private mutating func readUnicodeEscape(start: Int) throws(PolicyFault) -> Unicode.Scalar {
        let first = try readHexDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        // Only surrogates are no scalars. The high one comes first.
        if first < 0xDC00, nextByte == UInt8(ascii: "\\"), position + 1 < bytes.count,
            bytes[position + 1] == UInt8(ascii: "u")
        {
            position += 2
            let second = try readHexDigits()
            if (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
            {
                return scalar
            }
        }
        throw fault("half of a surrogate pair", at: start)
    }

    private mutating func readHexDigits() throws(PolicyFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = nextByte.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue })
            else {
                throw fault("\(nextByteName) where one of four hexadecimal digits is meant")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}

/// Finds what is not UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
enum UTF8Check {
    /// Index of the first byte of the first sequence that is not UTF-8, or nil.
    static func firstInvalidOffset(in bytes: [UInt8]) -> Int? {
        var position = 0
        while position < bytes.count {
            let lead = bytes[position]
            if lead < 0x80 {
                position += 1
                continue
            }
            guard let (length, second) = sequence(after: lead) else { return position }
            guard position + length <= bytes.count, second.contains(bytes[position + 1]),
                bytes[(position + 2)..<(position + length)].allSatisfy({ $0 & 0xC0 == 0x80 })
            else { return position }
            position += length
        }
        return nil
    }

    /// How long the sequence of a lead byte is, and what its second byte may be.
    private static func sequence(after lead: UInt8) -> (length: Int, second: ClosedRange<UInt8>)? {
        switch lead {
        case 0xC2...0xDF: (2, 0x80...0xBF)
        case 0xE0: (3, 0xA0...0xBF)
        case 0xED: (3, 0x80...0x9F)
        case 0xE1...0xEF: (3, 0x80...0xBF)
        case 0xF0: (4, 0x90...0xBF)
        case 0xF1...0xF3: (4, 0x80...0xBF)
        case 0xF4: (4, 0x80...0x8F)
        default: nil
        }
    }
}
