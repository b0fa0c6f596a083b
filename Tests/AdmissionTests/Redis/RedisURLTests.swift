import Admission
import Testing

@testable import AdmissionRedis

@Suite("Redis URLs")
struct RedisURLTests {
    private func host(_ name: String, _ port: UInt16 = 6_379) -> RedisHost {
        RedisHost(name: name, port: port)
    }

    @Test("one server: every part, and what is left out")
    func server() throws {
        let full = try RedisURL("redis://user:pass%3Aw%40rd@host.example:7000/12?clock=manual")
        #expect(full.place == .server(host("host.example", 7_000)))
        #expect(full.user == "user" && full.password?.text == "pass:w@rd")
        #expect(full.database == 12 && full.isClockManual && !full.isEncrypted)
        let short = try RedisURL("redis://h")
        #expect(short.place == .server(host("h")) && short.database == 0)
        #expect(short.user == nil && short.password == nil && !short.isClockManual)
        #expect(try RedisURL("redis://h/").database == 0)
        #expect(try RedisURL("redis://:secret@h").user == nil)
        #expect(try RedisURL("redis://:secret@h").password?.text == "secret")
        #expect(try RedisURL("redis://:a:b@h").password?.text == "a:b")
        #expect(try RedisURL("rediss://h:1").isEncrypted)
        #expect(try RedisURL("redis://:p@h").endpoint?.password?.text == "p")
    }

    @Test("IPv6 addresses stand in brackets")
    func addresses() throws {
        #expect(try RedisURL("redis://[::1]").place == .server(host("::1")))
        #expect(
            try RedisURL("redis://:p@[fe80::1%25eth0]:7/3").place
                == .server(host("fe80::1%eth0", 7)))
        #expect(
            try RedisURL("redis://[::ffff:10.0.0.1]:65535").place
                == .server(host("::ffff:10.0.0.1", 65_535)))
        #expect(try RedisURL("redis://[::1]:7").description == "redis://[::1]:7/0")
    }

    @Test("a socket's path, sentinels and clusters")
    func otherPlaces() throws {
        let socket = try RedisURL("redis+unix://me:p@/run/re%20dis@1.sock?db=3&clock=manual")
        #expect(socket.place == .unixSocket(path: "/run/re dis@1.sock"))
        #expect(socket.database == 3 && socket.isClockManual && socket.password?.text == "p")
        #expect(try RedisURL("redis+unix:///s").place == .unixSocket(path: "/s"))
        let sentinels = try RedisURL("redis+sentinel://:p@a:1,b,[::1]:2/my%2Fmaster/4")
        #expect(
            sentinels.place
                == .sentinels(
                    [host("a", 1), host("b", 26_379), host("::1", 2)], master: "my/master"))
        #expect(sentinels.database == 4 && sentinels.endpoint?.isMaster == true)
        #expect(
            try RedisURL("redis+cluster://a:1,b").place == .cluster([host("a", 1), host("b")]))
    }

    @Test("TLS is a scheme or an option; sentinels have a login of their own")
    func options() throws {
        #expect(try RedisURL("redis://h?tls=true").isEncrypted)
        #expect(try !RedisURL("redis://h?tls=false").isEncrypted)
        #expect(try RedisURL("rediss://h?tls=true").description == "rediss://h:6379/0")
        #expect(
            try RedisURL("redis+cluster://h?tls=true").description
                == "redis+cluster://h:6379?tls=true")
        let url = try RedisURL(
            "redis+sentinel://u:p@h/m/2?clock=manual&sentinel_user=s%26t&sentinel_password=q%40")
        #expect(url.user == "u" && url.password?.text == "p" && url.isClockManual)
        #expect(url.sentinelUser == "s&t" && url.sentinelPassword?.text == "q@")
        guard case .master(let sentinels)? = url.endpoint?.address else {
            Issue.record("no sentinels")
            return
        }
        #expect(sentinels.user == "s&t" && sentinels.password?.text == "q@")
        #expect(url.endpoint?.password?.text == "p" && url.endpoint?.database == 2)
    }

    @Test(
        "what is wrong is refused with what is accepted",
        arguments: [
            ("redis:h", "redis+cluster://"), ("http://h", "redis://"), ("redis://", "name:port"),
            ("redis://h:0", "1 to 65535"), ("redis://h:65536", "1 to 65535"),
            ("redis://h:", "1 to 65535"), ("redis://h:6379x", "1 to 65535"),
            ("redis://h/x", "0 to 99999"), ("redis://h/1/2", "0 to 99999"),
            ("redis://h/-1", "0 to 99999"), ("redis://a,b", "redis+cluster"),
            ("redis://h?db=1", "clock=manual"), ("redis://h?clock=system", "clock=manual"),
            ("redis://h?clock=manual&clock=manual", "clock=manual"), ("redis://h#1", "%23"),
            ("redis://u@h", "user:password@"), ("redis://u:@h", "user:password@"),
            ("redis://[::1", "[::1]:6379"), ("redis://[1]", "[::1]:6379"),
            ("redis://[::1]x", "1 to 65535"), ("redis://a b", "name:port"),
            ("redis://h%00", "name:port"), ("redis://%zz", "hexadecimal"),
            ("redis://:%ff@h", "password"), ("redis+unix://h/s", "redis+unix:///"),
            ("redis+unix://", "redis+unix:///"), ("redis+unix:///", "redis+unix:///"),
            ("redis+unix:///s?db=x", "db=0"), ("redis+unix:///a%00", "zero byte"),
            ("redis+sentinel://h", "master-name"), ("redis+sentinel://h//1", "master-name"),
            ("redis+sentinel://h/m/1/2", "master-name"), ("redis+sentinel://,/m", "name:port"),
            ("redis+cluster://h?clock=manual", "no manual clock"),
            ("redis://h?tls=yes", "tls=true"), ("rediss://h?tls=false", "tls=true"),
            ("redis://h?tls=true&tls=false", "tls=true"),
            ("redis+unix:///s?tls=true", "db=0"), ("redis://h?sentinel_password=x", "tls=true"),
            ("redis+sentinel://h/m?sentinel_user=x", "sentinel_password"),
            ("redis+sentinel://h/m?sentinel_password=", "sentinel_password"),
            ("redis+sentinel://h/m?sentinel_password=%zz", "sentinels' password"),
            ("redis+cluster://h/1", "database 0"), ("redis+cluster://h,", "name:port"),
        ])
    func refusals(_ url: String, _ accepted: String) {
        let error = #expect(throws: StoreError.self) { try RedisURL(url) }
        guard case .invalidURL(_, let reason)? = error else {
            Issue.record("\(url): \(String(describing: error))")
            return
        }
        #expect(reason.contains(accepted), "\(url): \(reason)")
    }

    @Test("no password is printed, whole or in part, whatever is wrong with the URL")
    func canary() throws {
        let canary = "Kanarie"
        let good = [
            "redis://u:\(canary)@h:1/2?clock=manual", "rediss://:\(canary)@h",
            "redis+unix://:\(canary)@/s",
            "redis+sentinel://:\(canary)@h/m",
            "redis+sentinel://:p@h/m?sentinel_user=u&sentinel_password=\(canary)",
            "redis+cluster://u:\(canary)@h",
        ]
        for text in good {
            let url = try RedisURL(text)
            var dumped = ""
            dump(url, to: &dumped)
            dump(RedisEndpoint(.unixSocket(path: "/s"), password: url.password), to: &dumped)
            for printed in [
                "\(url)", String(reflecting: url), dumped, RedisURL.redacted(text),
                String(describing: url.password), String(reflecting: url.password),
            ] {
                #expect(!printed.contains(canary), "\(printed)")
            }
            #expect("\(url)".contains(":***@"))
        }
        let bad = [
            "redis://u:\(canary)@h:x", "redis://u:\(canary)/more@h", "redis://u:\(canary)?x@h/1",
            "redis://u:\(canary)#x@h", "redis://u:\(canary)@@@", "redis://u:%\(canary)@h",
            "redis://u:\(canary)", "redis://h:\(canary)/1", "redis://h?password=\(canary)",
            "redis+unix://:\(canary)/s", "redis+cluster://u:\(canary)@h/7",
            "redis+sentinel://u:x@\(canary)@h,g:y", "redis:u:\(canary)@h",
            "redis+sentinel://h/m?sentinel_password=\(canary)&x=1",
            "redis+sentinel://h/m?sentinel_password=\(canary)%",
            "redis+sentinel://h/m?sentinel_password=\(canary)@",
        ]
        for text in bad {
            let error = #expect(throws: StoreError.self) { try RedisURL(text) }
            #expect(
                !"\(String(describing: error))".contains(canary), "\(String(describing: error))")
        }
    }

    @Test("the redacted URL keeps what helps")
    func redaction() {
        #expect(
            RedisURL.redacted("redis://u:p@h:6379/x?clock=no") == "redis://***@h:6379/x?clock=no")
        #expect(RedisURL.redacted("redis://h:x") == "redis://h:***")
        #expect(
            RedisURL.redacted("redis+cluster://a:1,b:/1?k=v") == "redis+cluster://a:1,b:/1?k=***")
    }

    @Test("any text is read or refused")
    func garbage() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        let pieces = [
            "redis", "rediss", "+unix", "+sentinel", "+cluster", "://", ":", "@", "/", "?", "&",
            "=", "#",
            "[", "]", "%", "%41", "%ff", ",", "clock=manual", "db=", "7", "h", "::1", "é", "\0",
        ]
        var read = 0
        for _ in 0..<20_000 {
            var url = numbers.isOne(of: 4) ? "" : "redis://"
            for _ in 0..<numbers.below(10) { url += numbers.pick(pieces) }
            if (try? RedisURL(url)) != nil { read += 1 }
            _ = RedisURL.redacted(url)
        }
        #expect(read > 100)
    }
}
