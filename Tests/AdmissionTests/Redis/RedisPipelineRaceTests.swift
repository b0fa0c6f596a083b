#if Redis
    import Admission
    import Foundation
    import Testing

    @testable import AdmissionRedis

    /// Many callers on one connection.
    @Suite("Redis pipeline: many callers")
    struct RedisPipelineRaceTests {
        /// One ECHO of a text that nobody else sends.
        static func echo(
            _ word: String, on pipeline: RedisPipeline, until deadline: CallDeadline,
            _ tally: OutcomeTally,
            unsent: OutcomeTally? = nil
        ) {
            do throws(RedisError) {
                let reply = try pipeline.call(RedisCommand("ECHO", word), until: deadline)
                tally.add(reply == .bytes(Array(word.utf8)) ? "own reply" : "another's reply")
            } catch {
                switch error {
                case .notSent(.timedOut): tally.add("not sent in time")
                case .notSent: tally.add("not sent")
                case .replyLost(.timedOut): tally.add("too late")
                case .replyLost: tally.add("lost")
                }
                if case .notSent = error { unsent?.add(word) }
            }
        }

        @Test("64 threads: every reply reaches its own caller, also between callers who give up")
        func everybodysOwn() throws {
            let server = try RedisServer()
            var options = RedisPipeline.Options()
            options.circuit = .never
            let pipeline = RedisPipeline(server.endpoint, options: options)
            let tally = OutcomeTally()
            let calls = TestLength.isSoak ? 5_000 : 300
            let threads = (0..<64).map { number in
                PlainThread {
                    var numbers = SeededNumbers(seed: TestLength.seed &+ UInt64(number))
                    for call in 0..<calls {
                        let word =
                            "\(number)/\(call)/" + String(repeating: "x", count: numbers.below(200))
                        // Every fourth caller has no time, or less than a round trip among 64 takes.
                        var deadline = CallDeadline.generous
                        if numbers.isOne(of: 4) {
                            deadline = .after(nanoseconds: Int64(numbers.below(300_000)))
                        }
                        Self.echo(word, on: pipeline, until: deadline, tally)
                    }
                }
            }
            for thread in threads { thread.join() }
            // Somebody has to come for the replies to those who left last.
            Self.echo("end", on: pipeline, until: .generous, tally)
            #expect(tally["another's reply"] == 0 && tally["lost"] == 0 && tally["not sent"] == 0)
            #expect(tally["own reply"] > 64 * calls / 2, "\(tally.all)")
            // The race took place: some gave up with their command under way.
            #expect(tally["too late"] > 0, "\(tally.all)")
            #expect(pipeline.commandCount == 0)
        }

        @Test("the server is killed in the middle: every caller ends, told what is known")
        func killed() throws {
            for _ in 0..<(TestLength.isSoak ? 50 : 3) {
                let server = try RedisServer()
                let pipeline = RedisPipeline(server.endpoint)
                let tally = OutcomeTally()
                let threads = (0..<64).map { number in
                    PlainThread {
                        var call = 0
                        while tally["lost"] + tally["not sent"] == 0 {
                            Self.echo("\(number)/\(call)", on: pipeline, until: .generous, tally)
                            call += 1
                        }
                    }
                }
                #expect(tally.reaches(500, "own reply"))
                server.kill()
                for thread in threads { thread.join() }
                #expect(tally["another's reply"] == 0)
                #expect(tally["too late"] + tally["not sent in time"] == 0, "\(tally.all)")
                #expect(tally["lost"] + tally["not sent"] > 0)
            }
        }

        @Test("a command that is said not to be sent was never seen by the server")
        func notSentIsNotSent() throws {
            let (seen, unsent) = (OutcomeTally(), OutcomeTally())
            let server = FakeServer { client, number in
                guard client.greet() else { return }
                var numbers = SeededNumbers(seed: TestLength.seed &+ UInt64(number))
                for _ in 0..<numbers.below(200) {
                    guard let words = client.command() else { return }
                    seen.add(words[1])
                    client.write("$\(words[1].utf8.count)\r\n\(words[1])\r\n")
                }
                // Answers end, and what comes is still read: that is what may have run.
                _ = shutdown(client.descriptor, Int32(SHUT_WR))
                while let words = client.command() { seen.add(words[1]) }
            }
            var options = RedisPipeline.Options()
            options.random = { 0 }
            let pipeline = RedisPipeline(server.endpoint, options: options)
            let tally = OutcomeTally()
            let calls = TestLength.isSoak ? 5_000 : 300
            let threads = (0..<16).map { number in
                PlainThread {
                    for call in 0..<calls {
                        Self.echo(
                            "\(number)/\(call)", on: pipeline, until: .generous, tally,
                            unsent: unsent)
                    }
                }
            }
            for thread in threads { thread.join() }
            pipeline.close()
            server.stop()
            #expect(tally["another's reply"] == 0)
            #expect(tally["lost"] > 0 && tally["own reply"] > 0, "\(tally.all)")
            #expect(unsent.all.keys.filter { seen[$0] > 0 } == [])
        }
    }
#endif
