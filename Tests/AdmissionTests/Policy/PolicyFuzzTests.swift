import Testing

@testable import Admission

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

@Suite("Policy fuzz")
struct PolicyFuzzTests {
    private static let seed: UInt64 = 20_260_101

    /// What a document is made of: a mutation that puts one of these in reaches further than
    /// random bytes do.
    private static let pieces: [[UInt8]] = [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u0000", "\\uD800", "\\ud83d\\ude00", "null",
        "true", "-", "0", "1", "1.5", "1e9", "9223372036854775808", "1000000000001", "\"*\"",
        "\"1d\"", "\"day\"", "\"0s\"", "\"87601h\"", "\"5/s\"", "\"1/1281023h\"", "\"PST9\"",
        "\"admission\":1,", "\"zone\":\"UTC\",", "\"guard\":\"1m\",", "\"limit\":1,",
        "\"burst\":1000000000000,", "\"default\":true,", "\"shard\":\"s\",", "\"per\":[],",
        "\"name\":\"\",", "\"match\":{\"a\":[]},", "\"store\":{\"slices\":true},", "é", "\u{FEFF}",
        "\n", " ",
    ].map { Array($0.utf8) }

    private static func mutate(
        _ document: [UInt8], with other: [UInt8], _ random: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = document
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { break }
            let position = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, position + Int.random(in: 0...24, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.removeSubrange(position..<end)
            case 3: bytes.insert(contentsOf: bytes[position..<end], at: position)
            case 4:
                bytes.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: position)
            case 5:
                // Between separators, so that a whole value is replaced.
                let isBorder = { (byte: UInt8) in ":,[]{}".utf8.contains(byte) }
                guard let from = bytes[position...].firstIndex(where: isBorder),
                    let to = bytes[(from + 1)...].firstIndex(where: isBorder)
                else { continue }
                bytes.replaceSubrange(
                    (from + 1)..<to, with: pieces.randomElement(using: &random) ?? [])
            default:
                let from = Int.random(in: 0..<other.count, using: &random)
                bytes.replaceSubrange(position..<end, with: other[from...].prefix(end - position))
            }
        }
        return bytes
    }

    /// The strings, numbers and words of a document, each a range of its bytes.
    private static func tokens(of bytes: [UInt8]) -> [Range<Int>] {
        var tokens: [Range<Int>] = []
        var position = 0
        while position < bytes.count {
            let start = position
            position += 1
            if bytes[start] == UInt8(ascii: "\"") {
                while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                    position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
                }
                position = min(position + 1, bytes.count)
            } else if "{}[]:, \n".utf8.contains(bytes[start]) {
                continue
            } else {
                while position < bytes.count, !"{}[]:, \n".utf8.contains(bytes[position]) {
                    position += 1
                }
            }
            tokens.append(start..<position)
        }
        return tokens
    }

    /// Puts other tokens in the place of one or two: the text stays JSON, mostly.
    private static func replaceTokens(
        of document: [UInt8], from pool: [[UInt8]], _ random: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = document
        for _ in 0..<Int.random(in: 1...2, using: &random) {
            guard let token = tokens(of: bytes).randomElement(using: &random) else { break }
            bytes.replaceSubrange(token, with: pool.randomElement(using: &random) ?? [])
        }
        return bytes
    }

    @Test("no bytes trap; what is accepted survives its own canonical text")
    func fuzz() throws {
        var random = SeededGenerator(state: Self.seed)
        var documents = try PolicyDocumentTests.samples().map { Array($0.canonicalJSON.utf8) }
        documents.append(Array(PolicyDocumentTests.everything.utf8))
        documents += (PolicyErrorTests.limitFaults + PolicyErrorTests.settingFaults)
            .map { Array($0.json.utf8) }
        let pool =
            documents.flatMap { document in Self.tokens(of: document).map { Array(document[$0]) } }
            + Self.pieces.filter { Self.tokens(of: $0) == [0..<$0.count] }
        var kinds: [String: Int] = [:]
        let inputs = 30_000
        for round in 0..<inputs {
            let bytes: [UInt8]
            switch round % 10 {
            case 0:
                bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            case 1:
                bytes = (0..<Int.random(in: 0...40, using: &random)).flatMap { _ in
                    Self.pieces.randomElement(using: &random) ?? []
                }
            case 2...6:
                bytes = Self.replaceTokens(
                    of: documents.randomElement(using: &random) ?? [], from: pool, &random)
            default:
                bytes = Self.mutate(
                    documents.randomElement(using: &random) ?? [],
                    with: documents.randomElement(using: &random) ?? [0], &random)
            }
            do throws(PolicyError) {
                let document = try PolicyDocument(json: bytes)
                kinds["accepted", default: 0] += 1
                let again = try PolicyDocument(json: document.canonicalJSON)
                #expect(again == document, "seed \(Self.seed) round \(round)")
            } catch {
                kinds[error.kind.rawValue, default: 0] += 1
                let isSound =
                    error.line.map { $0 > 0 } == true && error.column.map { $0 > 0 } == true
                    && error.description.utf8.count < 2_000 && !error.message.isEmpty
                #expect(isSound, "seed \(Self.seed) round \(round): \(error)")
            }
        }
        let reached = kinds.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        print(
            "fuzz policy (swift): \(inputs) inputs, seed \(Self.seed): \(reached.joined(separator: ", "))"
        )
        // All but a file's faults: `unreadable`, and `tooLarge`, which has a test of its own.
        let expected = Set(PolicyError.Kind.allCases).subtracting([.unreadable, .tooLarge])
        #expect(Set(kinds.keys) == Set(expected.map(\.rawValue) + ["accepted"]))
    }

    @Test("time grows with length alone: a MiB of the worst shapes is refused at once")
    func linear() {
        func filled(_ piece: String, _ head: String = "", _ tail: String = "") -> [UInt8] {
            let room = (1 << 20) - head.utf8.count - tail.utf8.count
            let repeated = String(repeating: piece, count: room / piece.utf8.count)
            return Array((head + repeated + tail).utf8)
        }
        let shapes = [
            filled("["), filled("9"), filled("\\u00e9", "\""), filled("0,", "[", "0]"),
            filled("é", "\"", "\""),
            filled("{\"a\":", "{"), filled("[],", "{\"admission\":1,\"policies\":[", "[]]}"),
            filled("\n"), filled("9", "{\"admission\":", "}"),
            Array(("{" + (0..<100_000).map { "\"k\($0)\":0" }.joined(separator: ",") + "}").utf8),
        ]
        for bytes in shapes {
            #expect(throws: PolicyError.self) { try PolicyDocument(json: bytes) }
        }
    }
}
