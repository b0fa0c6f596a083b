#if Redis
    import Foundation
    import Synchronization

    @testable import AdmissionRedis

    /// Hands bytes on between clients and a server on loopback, replies so much later as it is told to.
    final class DelayingRelay: Sendable {
        private let listener = LoopbackListener()
        private let delay = Atomic<Int>(0)
        private let isCut = Atomic<Bool>(false)
        private let lock = NSLock()
        nonisolated(unsafe) private var open: [Int32] = []
        let port: UInt16

        /// - Parameter server: the port that it hands on to.
        init(to server: UInt16) {
            port = listener.port
            let accepting = listener
            Thread.detachNewThread { [self] in
                while true {
                    let client = accept(accepting.descriptor, nil, nil)
                    guard client >= 0 else { return }
                    guard !isCut.load(ordering: .relaxed),
                        let upstream = Self.connect(to: server)
                    else {
                        close(client)
                        continue
                    }
                    lock.withLock { open += [client, upstream] }
                    Thread.detachNewThread { Self.pump(client, upstream) { 0 } }
                    Thread.detachNewThread {
                        Self.pump(upstream, client) { [self] in
                            delay.load(ordering: .relaxed)
                        }
                    }
                }
            }
        }

        /// From now on replies take that much longer.
        func setDelay(milliseconds: Int) { delay.store(milliseconds, ordering: .relaxed) }

        /// Ends all connections, and each new one at once: nothing reaches the server.
        func cut() {
            isCut.store(true, ordering: .relaxed)
            for descriptor in lock.withLock({ open }) { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }

        func mend() { isCut.store(false, ordering: .relaxed) }

        /// Accepts nobody any more. Connections end with either side.
        func stop() { _ = shutdown(listener.descriptor, Int32(SHUT_RDWR)) }

        private static func connect(to port: UInt16) -> Int32? {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard status == 0 else {
                close(descriptor)
                return nil
            }
            return descriptor
        }

        /// What was read, in order, and when it is to be written.
        private final class Held: @unchecked Sendable {
            // Unchecked: touched under the condition's lock alone.
            let condition = NSCondition()
            var chunks: [(due: Date, bytes: [UInt8])] = []
            var isOver = false
        }

        private static func pump(
            _ source: Int32, _ target: Int32, delay: @escaping @Sendable () -> Int
        ) {
            let held = Held()
            let writer = PlainThread { write(held, to: target) }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = recv(source, &bytes, bytes.count, 0)
                guard count > 0 else { break }
                let due = Date().addingTimeInterval(Double(delay()) / 1_000)
                held.condition.lock()
                held.chunks.append((due, Array(bytes[..<count])))
                held.condition.signal()
                held.condition.unlock()
            }
            held.condition.lock()
            held.isOver = true
            held.condition.signal()
            held.condition.unlock()
            writer.join()
            _ = shutdown(target, Int32(SHUT_WR))
        }

        private static func write(_ held: Held, to target: Int32) {
            while true {
                held.condition.lock()
                while held.chunks.isEmpty && !held.isOver { held.condition.wait() }
                guard let chunk = held.chunks.first else {
                    held.condition.unlock()
                    return
                }
                while Date() < chunk.due, held.condition.wait(until: chunk.due) {}
                held.chunks.removeFirst()
                held.condition.unlock()
                var rest = chunk.bytes[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes {
                        send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard count > 0 else { return }
                    rest = rest.dropFirst(count)
                }
            }
        }
    }
#endif
