#if Redis
    import Foundation
    import Testing

    @testable import AdmissionRedis

    /// Apart from the races: the thread sanitizer, under which those run, knows no forked child.
    @Suite("Redis pipeline: forked")
    struct RedisForkTests {
        @Test("a forked child connects anew and works; its parent's callers notice nothing")
        func forked() throws {
            let server = try RedisServer()
            let pipeline = RedisPipeline(server.endpoint)
            let tally = OutcomeTally()
            let isOver = DispatchSemaphore(value: 0)
            guard case .integer(let id) = try pipeline.call("CLIENT", "ID") else { return }
            let threads = (0..<8).map { number in
                PlainThread {
                    var call = 0
                    repeat {
                        RedisPipelineRaceTests.echo(
                            "\(number)/\(call)", on: pipeline, until: .generous, tally)
                        call += 1
                    } while isOver.wait(timeout: .now()) == .timedOut
                }
            }
            for round in 0..<(TestLength.isSoak ? 100 : 5) {
                #expect(tally.reaches((round + 1) * 200, "own reply"))
                let child = ForkedChild {
                    for number in 0..<100 {
                        let word = [UInt8]("child \(number)".utf8)
                        let reply = try? pipeline.call(
                            RedisCommand([Array("ECHO".utf8), word]), until: .generous)
                        guard reply == .bytes(word) else { return false }
                    }
                    let own = try? pipeline.call(RedisCommand("CLIENT", "ID"), until: .generous)
                    return own != nil && own != .integer(id)
                }
                #expect(child.isReady())
                child.kill()
            }
            for _ in threads { isOver.signal() }
            for thread in threads { thread.join() }
            #expect(try pipeline.call("CLIENT", "ID") == .integer(id))
            #expect(Set(tally.all.keys) == ["own reply"], "\(tally.all)")
        }
    }
#endif
