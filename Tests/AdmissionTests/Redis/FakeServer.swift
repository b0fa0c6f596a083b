#if Redis
    import Foundation

    @testable import AdmissionRedis

    /// A server that says what a test wants, each connection on a thread of its own.
    final class FakeServer: @unchecked Sendable {
        // Unchecked: `descriptors` and `threads` are touched under the lock alone.
        private let listener = LoopbackListener()
        private let lock = NSLock()
        private var descriptors: [Int32] = []
        private var threads: [PlainThread] = []
        private var acceptor: PlainThread?

        /// - Parameter serve: what is done with the n-th connection, from 0; it is closed afterwards.
        init(_ serve: @escaping @Sendable (_ client: FakeClient, _ number: Int) -> Void) {
            acceptor = PlainThread { [self, listener] in
                var number = 0
                while true {
                    let descriptor = accept(listener.descriptor, nil, nil)
                    guard descriptor >= 0 else { return }
                    let client = FakeClient(descriptor: descriptor)
                    let thread = PlainThread { [number] in
                        serve(client, number)
                        client.end()
                    }
                    lock.withLock {
                        descriptors.append(descriptor)
                        threads.append(thread)
                    }
                    number += 1
                }
            }
        }

        var endpoint: RedisEndpoint {
            RedisEndpoint(.host(RedisHost(name: "127.0.0.1", port: listener.port)))
        }

        /// Ends all connections and waits for their threads.
        func stop() {
            _ = shutdown(listener.descriptor, Int32(SHUT_RDWR))
            acceptor?.join()
            acceptor = nil
            let (open, running) = lock.withLock { (descriptors, threads) }
            for descriptor in open { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
            for thread in running { thread.join() }
            for descriptor in open { close(descriptor) }
            lock.withLock {
                descriptors = []
                threads = []
            }
        }
    }

    /// One connection, as the server has it.
    final class FakeClient: @unchecked Sendable {
        // Unchecked: one thread serves it.
        let descriptor: Int32
        private var received: [UInt8] = []

        init(descriptor: Int32) { self.descriptor = descriptor }

        /// The next command's words; nil at the end of the connection.
        func command() -> [String]? {
            guard let count = line(marker: "*") else { return nil }
            var words: [String] = []
            for _ in 0..<count {
                guard let length = line(marker: "$"), let bytes = take(length + 2) else {
                    return nil
                }
                words.append(String(decoding: bytes.dropLast(2), as: UTF8.self))
            }
            return words
        }

        /// Answers everything up to the name of the connection with OK; false at its end.
        func greet() -> Bool {
            while let words = command() {
                write("+OK\r\n")
                if words.first == "CLIENT" { return true }
            }
            return false
        }

        /// Writes all of it, however slowly the other side reads; false where it has gone.
        @discardableResult
        func write(_ bytes: [UInt8]) -> Bool {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }

        @discardableResult
        func write(_ text: String) -> Bool { write(Array(text.utf8)) }

        /// Waits until the other side has gone.
        func awaitEnd() { while readMore() {} }

        /// The other side reads the end; the number stays taken until the server stops.
        func end() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

        private func line(marker: Character) -> Int? {
            while true {
                if let end = received.firstIndex(of: UInt8(ascii: "\n")), end > 0 {
                    let text = String(decoding: received[..<(end - 1)], as: UTF8.self)
                    received.removeFirst(end + 1)
                    guard text.first == marker else { return nil }
                    return Int(text.dropFirst())
                }
                guard readMore() else { return nil }
            }
        }

        private func take(_ count: Int) -> ArraySlice<UInt8>? {
            while received.count < count { guard readMore() else { return nil } }
            defer { received.removeFirst(count) }
            return received[..<count]
        }

        private func readMore() -> Bool {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { return false }
            received.append(contentsOf: bytes[..<count])
            return true
        }
    }
#endif
