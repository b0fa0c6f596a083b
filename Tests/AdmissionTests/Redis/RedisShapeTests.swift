#if Redis
    import Testing

    @testable import AdmissionRedis

    @Suite("Redis scripts, unrolled")
    struct RedisShapeTests {
        typealias Scope = RedisShape.Scope

        /// The largest shape of one kind of scope that still is unrolled.
        private static func largest(_ scope: Scope, growing: (inout Scope) -> Void) -> RedisShape {
            var (shape, next) = (RedisShape(scopes: [scope]), scope)
            while RedisShape(scopes: [next]).isUnrollable {
                shape = RedisShape(scopes: [next])
                growing(&next)
            }
            return shape
        }

        private static let shapes: [RedisShape] = [
            RedisShape(scopes: [Scope(bucket: 1)]),
            RedisShape(scopes: [Scope(rolling: 2, calendar: 1, concurrency: 1)]),
            RedisShape(scopes: [Scope(rolling: 1), Scope(calendar: 1, bucket: 2)]),
            RedisShape(scopes: Array(repeating: Scope(concurrency: 1), count: 4)),
            RedisShape(scopes: Array(repeating: Scope(rolling: 3), count: 40)),
            largest(Scope()) { $0.rolling += 1 }, largest(Scope()) { $0.calendar += 1 },
            largest(Scope()) { $0.concurrency += 1 }, largest(Scope()) { $0.bucket += 1 },
        ]

        @Test("a server takes the scripts of every shape, up to the largest that is unrolled")
        func compiles() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            for shape in Self.shapes {
                let deciding = RedisScripts.bySystemClock.deciding(shape)
                for script in [deciding.acquire, deciding.settle] {
                    let reply = try pipeline.call(
                        RedisCommand([Array("SCRIPT".utf8), Array("LOAD".utf8), script.source]),
                        until: .generous)
                    #expect(reply == .bytes(script.digest), "\(shape)")
                    let text = String(decoding: script.source, as: UTF8.self)
                    #expect(
                        text.contains("decide_quickly()")
                            == (script == deciding.acquire && shape.isUnrollable))
                    #expect(!text.contains("--[["), "a mark is left: \(shape)")
                }
            }
        }

        @Test("each limit has its names, and each scope its keys")
        func names() {
            let template = """
                --[[each scope]]
                s_S = KEYS[STATE_KEY], ARGV[ASK_AT] --[[limit:, l_I]]
                --[[each concurrency]]
                KEYS[LEASE_KEY] of l_I in s_S
                --[[end]]
                --[[end]]
                all --[[concurrency: l_I]] --[[scope: s_S]]
                """
            let shape = RedisShape(scopes: [
                Scope(rolling: 1, concurrency: 1), Scope(concurrency: 2),
            ])
            #expect(
                shape.unrolled(template) == """
                    s_1 = KEYS[2], ARGV[2] , l_1, l_2
                    KEYS[4] of l_2 in s_1
                    s_2 = KEYS[5], ARGV[3] , l_3, l_4
                    KEYS[6] of l_3 in s_2
                    KEYS[7] of l_4 in s_2
                    all  l_2 l_3 l_4  s_1 s_2
                    """)
        }
    }
#endif
