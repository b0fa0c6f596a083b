import Foundation
import Testing

@testable import Admission

@Suite("JSONWriter")
struct JSONWriterTests {
    @Test("commas stand between members and values and nowhere else")
    func commas() {
        var json = JSONWriter()
        json.object { json in
            json.key("empty")
            json.object { _ in }
            json.key("list")
            json.array { json in
                json.value(1)
                json.array { _ in }
                json.object { json in json.member("a", true) }
                json.null()
                json.value("x")
            }
            json.member("last", orNull: nil as Int64?)
            json.member("text", orNull: "t")
            json.member("nothing", orNull: nil as String?)
        }
        #expect(
            json.text
                == #"{"empty":{},"list":[1,[],{"a":true},null,"x"],"last":null,"text":"t","nothing":null}"#
        )
    }

    @Test("the edges of the integers are written exactly")
    func integers() {
        var json = JSONWriter()
        json.array { json in
            json.value(0)
            json.value(-1)
            json.value(Int64.max)
            json.value(Int64.min)
            json.value(UInt64.max)
            json.value(Int8.min)
            json.value(UInt128.max)
        }
        #expect(
            json.text
                == "[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,-128,"
                + "340282366920938463463374607431768211455]")
    }

    @Test("any text survives Foundation's reader, control characters and all")
    func escaping() throws {
        let scalars =
            (0...0x2FF).compactMap(Unicode.Scalar.init) + ["\u{2028}", "\u{1F600}", "\"", "\\"]
        let text = String(String.UnicodeScalarView(scalars))
        var json = JSONWriter()
        json.array { json in json.value(text) }
        let read = try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String]
        #expect(read.map { Array($0[0].utf8) } == Array(text.utf8))
        #expect(json.bytes.allSatisfy { $0 >= 0x20 })
    }
}
