#if Redis
    import Testing

    @testable import AdmissionRedis

    @Suite("Redis replies from bytes")
    struct ReplyParserTests {
        private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

        /// All replies of the pieces, fed one after the other.
        private func parse(
            _ pieces: [ArraySlice<UInt8>], bounds: RedisReplyBounds = RedisReplyBounds()
        ) throws -> [RedisReply] {
            let parser = try #require(ReplyParser(bounds))
            var replies: [RedisReply] = []
            for piece in pieces {
                #expect(piece.withUnsafeBytes { parser.feed($0) })
                while let reply = try parser.next() { replies.append(reply) }
            }
            return replies
        }

        private static let everyKind = Array(
            "+OK\r\n:-12\r\n$-1\r\n*-1\r\n$0\r\n\r\n$5\r\na\r\nb\0\r\n-NOSCRIPT none\r\n*0\r\n*3\r\n:1\r\n*2\r\n$1\r\nx\r\n-ERR e\r\n+s\r\n:9223372036854775807\r\n"
                .utf8)
        private static let everyReply: [RedisReply] = [
            .status(Array("OK".utf8)), .integer(-12), .null, .null, .bytes([]),
            .bytes(Array("a\r\nb\0".utf8)), .error(RedisServerError(Array("NOSCRIPT none".utf8))),
            .array([]),
            .array([
                .integer(1),
                .array([.bytes([0x78]), .error(RedisServerError(Array("ERR e".utf8)))]),
                .status(Array("s".utf8)),
            ]), .integer(.max),
        ]

        @Test("every kind of reply, whole, cut at every byte, and byte by byte")
        func kinds() throws {
            let all = Self.everyKind
            #expect(try parse([all[...]]) == Self.everyReply)
            for cut in 1..<all.count {
                #expect(try parse([all[..<cut], all[cut...]]) == Self.everyReply, "cut at \(cut)")
            }
            #expect(try parse(all.indices.map { all[$0...$0] }) == Self.everyReply)
        }

        @Test("more elements or levels than the bounds end it; as many do not")
        func bounds() throws {
            var bounds = RedisReplyBounds()
            bounds.elements = 4
            bounds.depth = 3
            let most = bytes("*2\r\n*1\r\n*1\r\n:1\r\n:2\r\n")
            // The bound is for each reply.
            #expect(try parse([most[...], most[...]], bounds: bounds).count == 2)
            for text in [
                "*5\r\n", "*2\r\n*3\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n", "*1000000\r\n",
                "*2147483647\r\n", "*2\r\n:1\r\n*2147483647\r\n",
            ] {
                #expect(throws: RedisFault.replyTooLarge, "\(text)") {
                    try parse([bytes(text)[...]], bounds: bounds)
                }
            }
        }

        @Test("the default depth is one that the parser takes")
        func defaultDepth() throws {
            let deepest = String(repeating: "*1\r\n", count: RedisReplyBounds().depth) + ":1\r\n"
            #expect(try parse([bytes(deepest)[...]]).count == 1)
            #expect(throws: RedisFault.self) { try parse([bytes("*1\r\n" + deepest)[...]]) }
        }

        @Test("what is no reply ends it with the parser's words")
        func garbage() {
            for text in ["HTTP/1.1 200 OK\r\n", "\r\n", "$x\r\n", "*-2\r\n", "$-2\r\n", "\0\0"] {
                let error = #expect(throws: RedisFault.self, "\(text)") {
                    try parse([bytes(text)[...]])
                }
                guard case .protocolError(let words)? = error else {
                    Issue.record("\(text): \(String(describing: error))")
                    continue
                }
                #expect(!words.isEmpty)
            }
        }

        @Test(
            "random and damaged bytes, in random pieces: replies or a named fault, and never a crash"
        )
        func fuzz() throws {
            var numbers = SeededNumbers(seed: TestLength.seed)
            let pieces = [
                "*", "$", ":", "+", "-", "\r\n", "\r", "\n", "0", "1", "3", "-1",
                "9223372036854775808",
                "2147483648", "65536", "OK", "ERR x", "MOVED 1 h:1", "*2\r\n", "$3\r\nabc\r\n", "%",
                "~", ">",
                "#t\r\n", ",1.5\r\n", "_\r\n", "(1\r\n", "=7\r\ntxt:abc\r\n", "|1\r\n", "\0",
                "\u{ff}",
            ].map(bytes)
            var (faults, replies, waiting) = (0, 0, 0)
            for _ in 0..<(TestLength.isSoak ? 500_000 : 20_000) {
                var input: [UInt8] = []
                if numbers.isOne(of: 2) {
                    input = Self.everyKind
                    for _ in 0...numbers.below(3) {
                        input[numbers.below(input.count)] = UInt8(numbers.below(256))
                    }
                } else {
                    for _ in 0...numbers.below(12) { input += numbers.pick(pieces) }
                }
                let cut = numbers.below(input.count + 1)
                do {
                    let found = try parse([input[..<cut], input[cut...]])
                    replies += found.count
                    if found.isEmpty { waiting += 1 }
                } catch { faults += 1 }
            }
            #expect(
                faults > 1_000 && replies > 1_000 && waiting > 100, "\((faults, replies, waiting))")
        }
    }
#endif
