#if Redis
    import Foundation

    @testable import AdmissionRedis

    /// A `redis-server` of a test's own, on a free loopback port and a unix socket, with nothing on disk.
    ///
    /// A shell stands between, which ends the server by its pid when this process ends, however it
    /// does: then its standard input ends. Foundation's `Process` would do, but it waits for whoever
    /// has inherited a descriptor, forked children of other tests included.
    final class RedisServer: Sendable {
        let port: UInt16
        let pid: Int32
        let socketPath: String
        private let directory: String
        private let shell: Int32
        private let lifeline: Int32
        private let output: Int32

        struct DidNotStart: Error, CustomStringConvertible {
            let description: String
        }

        /// - Parameters:
        ///   - port: nil takes a free one.
        ///   - sentinel: makes it a sentinel, with these lines of configuration.
        init(_ options: [String] = [], port: UInt16? = nil, sentinel: String? = nil) throws {
            var template = Array("/tmp/admission-redis-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw DidNotStart(description: "mkdtemp") }
            directory = String(
                decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            socketPath = directory + "/socket"
            var first: [String] = []
            if let sentinel {
                let path = directory + "/sentinel.conf"
                try sentinel.write(toFile: path, atomically: false, encoding: .utf8)
                first = [path, "--sentinel"]
            }
            var log = ""
            // Another program may take the port that was free just now.
            for _ in 0..<5 {
                let number = port ?? LoopbackListener.freePort()
                let attempt = try Attempt(
                    first + ["--port", "\(number)", "--unixsocket", socketPath, "--dir", directory]
                        + options)
                if let pid = attempt.pid {
                    self.port = number
                    self.pid = pid
                    (shell, lifeline, output) = (attempt.shell, attempt.lifeline, attempt.output)
                    return
                }
                log = attempt.log
                attempt.end()
            }
            throw DidNotStart(description: log)
        }

        deinit {
            kill()
            _ = Foundation.kill(shell, SIGKILL)
            waitpid(shell, nil, 0)
            close(lifeline)
            close(output)
            try? FileManager.default.removeItem(atPath: directory)
        }

        /// Ends it as nothing can prevent.
        func kill() { _ = Foundation.kill(pid, SIGKILL) }

        /// Stops it as a debugger would, and lets it go on.
        func pause() { _ = Foundation.kill(pid, SIGSTOP) }
        func resume() { _ = Foundation.kill(pid, SIGCONT) }

        var endpoint: RedisEndpoint {
            RedisEndpoint(.host(RedisHost(name: "127.0.0.1", port: port)))
        }

        /// A start, which may fail.
        private struct Attempt {
            let shell: Int32
            let lifeline: Int32
            /// Stays open: what the server says later has room there.
            let output: Int32
            /// Of the server, where it is ready.
            private(set) var pid: Int32?
            private(set) var log = ""

            init(_ options: [String]) throws {
                (shell, lifeline, output) = try Self.spawn(
                    options + ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                var seen: Int32?
                var bytes = [UInt8](repeating: 0, count: 4_096)
                while true {
                    let count = read(output, &bytes, bytes.count)
                    guard count > 0 else { return }
                    log += String(decoding: bytes[..<count], as: UTF8.self)
                    if let match = log.firstMatch(of: /pid (\d+)\n/) {
                        seen = Int32(match.output.1)
                    }
                    if log.contains("Ready to accept connections") || log.contains("+monitor") {
                        break
                    }
                    // The shell lives on: the output has no end.
                    if log.contains("Failed listening") || log.contains("FATAL") { return }
                }
                pid = seen
            }

            func end() {
                _ = Foundation.kill(shell, SIGKILL)
                waitpid(shell, nil, 0)
                close(lifeline)
                close(output)
            }

            /// One at a time, so that no server inherits another one's lifeline.
            private static let lock = NSLock()

            private static func spawn(
                _ options: [String]
            ) throws -> (shell: Int32, lifeline: Int32, output: Int32) {
                try lock.withLock {
                    let (input, output) = (Pipe(), Pipe())
                    let script = #"redis-server "$@" & echo "pid $!"; read -r end; kill -9 $!"#
                    let words = ["/bin/sh", "-c", script, "sh"] + options
                    var arguments = words.map { strdup($0) } + [nil]
                    defer { for argument in arguments { free(argument) } }
                    var actions = posix_spawn_file_actions_t()
                    posix_spawn_file_actions_init(&actions)
                    defer { posix_spawn_file_actions_destroy(&actions) }
                    posix_spawn_file_actions_adddup2(&actions, input.read, 0)
                    posix_spawn_file_actions_adddup2(&actions, output.write, 1)
                    posix_spawn_file_actions_adddup2(&actions, output.write, 2)
                    var shell: Int32 = 0
                    let status = posix_spawn(&shell, "/bin/sh", &actions, nil, &arguments, environ)
                    close(input.read)
                    close(output.write)
                    guard status == 0 else { throw DidNotStart(description: "errno \(status)") }
                    return (shell, input.write, output.read)
                }
            }

            private struct Pipe {
                let read: Int32
                let write: Int32

                init() {
                    var ends: [Int32] = [-1, -1]
                    _ = Foundation.pipe(&ends)
                    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                    (read, write) = (ends[0], ends[1])
                }
            }
        }
    }

    extension RedisPipeline {
        /// A call with time enough for any machine.
        func call(_ words: String...) throws -> RedisReply { try call(words) }

        func call(_ words: [String]) throws -> RedisReply {
            try call(RedisCommand(words.map { Array($0.utf8) }), until: .generous)
        }
    }

    extension CallDeadline {
        /// Longer than a test may take.
        static var generous: CallDeadline { .after(nanoseconds: 60_000_000_000) }
        static var passed: CallDeadline { CallDeadline(nanoseconds: 0) }
    }
#endif
