import Testing

@testable import AdmissionRedis

@Suite("Redis commands, errors and digests")
struct RedisValueTests {
    @Test("a command is an array of bulk strings, of any bytes")
    func commands() {
        #expect(RedisCommand("PING").bytes == Array("*1\r\n$4\r\nPING\r\n".utf8))
        #expect(
            RedisCommand([[0x41], [], [0, 13, 10, 255]]).bytes
                == Array("*3\r\n$1\r\nA\r\n$0\r\n\r\n$4\r\n".utf8) + [0, 13, 10, 255, 13, 10])
        let long = [UInt8](repeating: 7, count: 12_345)
        #expect(RedisCommand([long]).bytes.prefix(12) == Array("*1\r\n$12345\r\n".utf8)[...])
    }

    @Test("a prepared command with its last words is the whole command")
    func prepared() {
        let prepared = RedisCommand.Prepared([[1], [2, 3]], variableCount: 2)
        #expect(prepared.command([[4], []]) == RedisCommand([[1], [2, 3], [4], []]))
        let script = RedisScript("return 1")
        let command = script.prepared(keys: [[75]], arguments: [[65]], variableCount: 1).command([
            [66]
        ])
        #expect(
            command
                == RedisCommand([Array("EVALSHA".utf8), script.digest, [0x31], [75], [65], [66]]))
    }

    @Test("errors of a server are told apart by their first word")
    func serverErrors() {
        func code(_ text: String) -> RedisServerError.Code {
            RedisServerError(Array(text.utf8)).code
        }
        #expect(code("NOSCRIPT No matching script. Please use EVAL.") == .noScript)
        #expect(code("MOVED 3999 127.0.0.1:6381") == .moved(slot: 3_999, address: "127.0.0.1:6381"))
        #expect(code("MOVED 0 ::1:6381") == .moved(slot: 0, address: "::1:6381"))
        #expect(code("ASK 16383 host:1") == .ask(slot: 16_383, address: "host:1"))
        // An empty host means: the one that was asked.
        #expect(code("MOVED 1 :6381") == .moved(slot: 1, address: ":6381"))
        for text in [
            "MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1", "MOVED -1 h:1", "MOVED 1 h",
            "MOVED 1 h:0", "MOVED 1 h:65536",
        ] {
            #expect(code(text) == .other("MOVED"), "\(text)")
        }
        let simple: [(String, RedisServerError.Code)] = [
            ("TRYAGAIN Multiple keys", .tryAgain), ("CROSSSLOT Keys", .crossSlot),
            ("CLUSTERDOWN The cluster is down", .clusterDown), ("LOADING Redis", .loading),
            ("READONLY You can't write", .readOnly), ("OOM command not allowed", .outOfMemory),
            ("WRONGPASS invalid", .wrongPassword), ("NOAUTH Authentication", .passwordNeeded),
            ("NOPERM this user", .noPermission),
            ("ERR The user executing the script can't run this command", .noPermission),
            ("WRONGTYPE Operation", .wrongType),
            ("BUSY Redis is busy", .busy), ("MASTERDOWN Link", .masterDown),
            ("MISCONF Redis is", .misconfigured), ("NOREPLICAS Not", .tooFewReplicas),
            ("DENIED Redis is running in protected mode", .denied), ("ERR no", .other("ERR")),
            ("", .other("")), ("noscript", .other("noscript")),
        ]
        for (text, expected) in simple { #expect(code(text) == expected, "\(text)") }
        let long = RedisServerError([UInt8](repeating: 0xff, count: 100_000))
        #expect(long.message.unicodeScalars.count == 512)
    }

    @Test("SHA-1 as FIPS 180-4 gives it")
    func digests() {
        func digest(_ text: String) -> String {
            String(decoding: ScriptDigest.hexadecimal(of: Array(text.utf8)), as: UTF8.self)
        }
        #expect(digest("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(digest("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(
            digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
        #expect(
            digest(String(repeating: "a", count: 1_000_000))
                == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    }

    @Test("the login goes out first, whole, and says no more than the endpoint")
    func greetings() throws {
        let address = RedisEndpoint.Address.unixSocket(path: "/s")
        #expect(
            RedisGreeting.commands(RedisEndpoint(address), name: "n")
                == RedisCommand("CLIENT", "SETNAME", "n").bytes)
        let endpoint = RedisEndpoint(
            address, user: "u", password: RedisPassword("p"), database: 3)
        #expect(
            RedisGreeting.commands(endpoint, name: "n")
                == RedisCommand("AUTH", "u", "p").bytes + RedisCommand("SELECT", "3").bytes
                + RedisCommand("CLIENT", "SETNAME", "n").bytes)
        var full = RedisGreeting(endpoint, name: "n")
        #expect(full.byteCount == RedisGreeting.commands(endpoint, name: "n").count)
        for _ in 0..<2 {
            try full.receive(.status([]))
            #expect(!full.isOver)
        }
        // A user without the right to set a name has a connection all the same.
        try full.receive(.error(RedisServerError(Array("NOPERM no".utf8))))
        #expect(full.isOver)
    }

    @Test("a refused login, database or connection has its name, and the login is not repeated")
    func refusedGreetings() {
        let endpoint = RedisEndpoint(
            .unixSocket(path: "/s"), password: RedisPassword("canary"), database: 3)
        func fault(_ skipped: Int, _ error: String) -> RedisFault? {
            var greeting = RedisGreeting(endpoint, name: "n")
            for _ in 0..<skipped { try? greeting.receive(.status([])) }
            do throws(RedisFault) {
                try greeting.receive(.error(RedisServerError(Array(error.utf8))))
                return nil
            } catch {
                return error
            }
        }
        #expect(fault(0, "WRONGPASS invalid") == .wrongPassword)
        #expect(fault(0, "ERR invalid password") == .wrongPassword)
        #expect(
            fault(0, "ERR unknown command `AUTH`, with args beginning with: `canary`")
                == .wrongPassword)
        #expect(fault(1, "NOAUTH Authentication required.") == .passwordNeeded)
        #expect(
            fault(1, "ERR DB index is out of range")
                == .wrongDatabase(3, "ERR DB index is out of range"))
        #expect(fault(2, "NOAUTH Authentication required.") == .passwordNeeded)
        #expect(fault(2, "ERR unknown command") == nil)
        for text in ["DENIED protected mode", "LOADING Redis", "MASTERDOWN Link", "CLUSTERDOWN x"] {
            #expect(fault(0, text) == .turnedAway(RedisServerError(Array(text.utf8))))
        }
    }
}
