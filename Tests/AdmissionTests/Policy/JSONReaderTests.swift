import Testing

@testable import Admission

@Suite("JSONReader")
struct JSONReaderTests {
    /// One value written back as text, or the fault's reason.
    private func read(_ bytes: some Sequence<UInt8>) -> String {
        do {
            return Self.written(try JSONReader.read(Array(bytes)))
        } catch {
            let error = error.located(in: Array(bytes))
            return "\(error.kind.rawValue) \(error.description)"
        }
    }

    private static func written(_ value: JSONValue) -> String {
        switch value.content {
        case .null: "null"
        case .boolean(let isTrue): "\(isTrue)"
        case .number(let digits): digits
        case .text(let text): "'\(text)'"
        case .list(let values): "[" + values.map(written).joined(separator: " ") + "]"
        case .object(let members):
            "{" + members.map { "\($0.name):\(written($0.value))" }.joined(separator: " ") + "}"
        }
    }

    @Test(
        "what RFC 8259 allows is read",
        arguments: [
            ("null", "null"), (" \t\r\n true \n", "true"), ("false", "false"), ("\"\"", "''"),
            ("0", "0"), ("-0", "-0"), ("-0.0e+10", "-0.0e+10"), ("1E5", "1E5"), ("1e-5", "1e-5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("[]", "[]"), ("[ ]", "[]"), ("{}", "{}"), ("{ }", "{}"), ("[1,2 , [3]]", "[1 2 [3]]"),
            (#"{"a":1,"A":2,"":3}"#, "{a:1 A:2 :3}"),
            (#""\"\\\/\b\f\n\r\t""#, "'\"\\/\u{8}\u{C}\n\r\t'"),
            (#""\u0041\u00e9\uD83D\ude00x""#, "'Aé😀x'"), (#""\u0000""#, "'\0'"),
            ("\"é😀\u{7F}\u{2028}\"", "'é😀\u{7F}\u{2028}'"),
            // Told apart by their bytes, though Swift's == takes them for equal.
            ("{\"\u{E9}\":1,\"e\u{301}\":2}", "{\u{E9}:1 e\u{301}:2}"),
        ])
    func accepted(text: String, expected: String) {
        #expect(Array(read(text.utf8).utf8) == Array(expected.utf8))
    }

    @Test(
        "what RFC 8259 does not allow is refused with its place",
        arguments: [
            ("", "the end of the text where a value is meant", "(line 1, column 1)"),
            ("   ", "the end of the text", "(line 1, column 4)"),
            ("nul", "'n' where a value is meant", "(line 1, column 1)"),
            ("nulll", "'l' after the end", "(line 1, column 5)"),
            ("True", "'T' where a value is meant", "column 1"),
            ("NaN", "'N' where", ""), ("Infinity", "'I' where", ""), ("+1", "'+' where", ""),
            (".5", "'.' where a value", ""), ("1.", "a fraction needs a digit", "column 3"),
            ("-", "a number needs a digit", "column 2"), ("-a", "'a' where a number needs", ""),
            ("01", "accepted: no leading zeros", "column 1"), ("-01", "no leading zeros", ""),
            ("1e", "an exponent needs a digit", ""), ("1e+", "an exponent needs a digit", ""),
            ("0x10", "'x' after the end", ""), ("1 2", "'2' after the end", "column 3"),
            ("[1,]", "']' where a value is meant", "column 4"),
            ("[1 2]", "'2' where ',' or ']' is meant", "column 4"),
            ("[,1]", "',' where a value", ""), ("[1", "the end of the text where ',' or ']'", ""),
            ("[", "the end of the text where a value", ""), ("]", "']' where a value", ""),
            ("{\"a\":1,}", "'}' where a key in quotes is meant", "column 8"),
            ("{\"a\" 1}", "'1' where ':' is meant, after the key \"a\"", "column 6"),
            ("{a:1}", "'a' where a key in quotes", ""), ("{\"a\":}", "'}' where a value", ""),
            ("{\"a\":1", "the end of the text where ',' or '}'", ""),
            ("{\"a\":1 \"b\":2}", "'\"' where ',' or '}'", ""), ("{1:2}", "'1' where a key", ""),
            ("{'a':1}", "''' where a key in quotes", ""), ("'a'", "''' where a value", ""),
            ("// x\n1", "'/' where a value", ""), ("1 // x", "'/' after the end", ""),
            ("\"abc", "without its closing quote", "column 1"),
            ("\"abc\\", "without its closing quote", "column 5"),
            ("\"abc\\\"", "without its closing quote", ""),
            ("\"a\nb\"", "byte 0x0A in text", "(line 1, column 3)"),
            ("\"\t\"", "byte 0x09 in text", ""), ("\"\0\"", "byte 0x00 in text", ""),
            (#""\x41""#, "no such escape", "column 2"), (#""\u12""#, "four hexadecimal digits", ""),
            (#""\u12G4""#, "'G' where one of four", ""), (#""\uD800""#, "half of a surrogate", ""),
            (#""\uDC00""#, "half of a surrogate pair", "column 2"),
            (#""\uD800\u0041""#, "half of a surrogate", ""),
            (#""\uD800\uD800""#, "half of a surrogate", ""),
            (#""\uDC00\uD800""#, "half of a surrogate", ""), (#""\uD83Dx""#, "half of", ""),
            ("\u{FEFF}1", "byte-order mark", ""), ("\u{A0}1", "byte 0xC2 where a value", ""),
            ("{\"a\":\n {\"b\":[0,\n  x]}}", "a.b[1]: 'x' where a value", "(line 3, column 3)"),
            ("[\"é😀\", x]", "[1]: 'x' where", "(line 1, column 8)"),
        ])
    func refused(text: String, reason: String, place: String) {
        let answer = read(text.utf8)
        #expect(answer.hasPrefix("malformed "), "\(text) gave \(answer)")
        #expect(
            answer.contains(reason) && (place.isEmpty || answer.contains(place)),
            "\(text) gave \(answer)")
    }

    @Test(
        "bytes that are not UTF-8 are refused where they stand, inside text and outside",
        arguments: [
            ([0x80], 1), ([0xC0, 0xAF], 1), ([0xC1, 0xBF], 1), ([0xC2], 1), ([0xC2, 0x41], 1),
            ([0xE0, 0x9F, 0xBF], 1), ([0xE2, 0x82], 1), ([0xE2, 0x82, 0x41], 1),
            ([0xED, 0xA0, 0x80], 1), ([0xF0, 0x8F, 0xBF, 0xBF], 1), ([0xF0, 0x9F, 0x98], 1),
            ([0xF4, 0x90, 0x80, 0x80], 1), ([0xF5, 0x80, 0x80, 0x80], 1), ([0xFF], 1),
            ([0x41, 0xC3, 0xA9, 0xFE], 3),
        ] as [([UInt8], Int)])
    func notUTF8(bytes: [UInt8], position: Int) {
        let inText = read([0x22] + bytes + [0x22])
        #expect(inText.contains("is not UTF-8 here (line 1, column \(position + 1))"), "\(inText)")
        #expect(read([0x22] + bytes).contains("is not UTF-8 here"))
        #expect(read([0x5B, 0x31, 0x2C] + bytes + [0x5D]).contains("is not UTF-8 here"))
    }

    @Test("the borders of UTF-8's ranges are read")
    func utf8Borders() {
        for scalar in [
            0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD7FF, 0xE000, 0xFFFF,
            0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF,
        ] as [UInt32] {
            let text = Unicode.Scalar(scalar).map(String.init) ?? ""
            #expect(read("\"\(text)\"".utf8) == "'\(text)'")
        }
    }

    @Test("a key that stands twice is an error that names its path, among few and among many")
    func duplicates() {
        #expect(
            read(#"{"a":{"b":1,"c":2,"b":3}}"#.utf8)
                == "duplicate a.b: the key stands twice in one object (line 1, column 19)")
        #expect(read(#"{"a":1,"\u0061":2}"#.utf8).hasPrefix("duplicate a:"))
        let many = (0..<100).map { "\"k\($0)\":0" }.joined(separator: ",")
        #expect(read("{\(many)}".utf8).hasPrefix("{k0:0"))
        #expect(read("{\(many),\"k3\":0}".utf8).hasPrefix("duplicate k3:"))
        #expect(read("{\(many),\"k99\":0}".utf8).hasPrefix("duplicate k99:"))
    }

    @Test("the deepest text allowed is read, one level more is refused")
    func depth() {
        let bound = JSONReader.maximumDepth
        func lists(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(read(lists(bound).utf8) == lists(bound))
        #expect(read(lists(bound + 1).utf8).contains("deeper in one another than 32"))
        // Depth is not length: what was closed does not count.
        let wide = "[" + Array(repeating: lists(bound - 1), count: 100).joined(separator: ",") + "]"
        #expect(read(wide.utf8).hasPrefix("[[["))
        #expect(read(String(repeating: "[{\"a\":", count: 1_000_000).utf8).contains("deeper"))
    }
}
