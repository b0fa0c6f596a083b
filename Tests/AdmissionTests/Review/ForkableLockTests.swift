import Foundation
import Testing

@testable import Admission

@Suite struct ForkableLockTests {
    @Test("threads at a time lose no change")
    func exclusion() {
        let lock = ForkableLock(0, rank: .names)
        let threads = (0..<4).map { _ in
            PlainThread { for _ in 0..<10_000 { lock.withLock { $0 += 1 } } }
        }
        for thread in threads { thread.join() }
        #expect(lock.withLock { $0 } == 40_000)
    }

    private typealias Fork = @convention(c) () -> Int32

    @Test("a forked child finds every lock free, and its threads can wait for each other")
    func child() throws {
        let symbol = try #require(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"))
        let fork = unsafeBitCast(symbol, to: Fork.self)
        let lock = ForkableLock(0, rank: .names)
        let isOver = ForkableLock(false, rank: .limiter)
        let holder = PlainThread {
            while !isOver.withLock({ $0 }) { lock.withLock { $0 += 1 } }
        }
        for _ in 0..<20 {
            let child = fork()
            if child == 0 {
                // No other thread is here: a lock that it held would never be free.
                alarm(20)
                lock.withLock { $0 = 0 }
                var thread = pthread_t()
                let argument = Unmanaged.passUnretained(lock).toOpaque()
                pthread_create(
                    &thread, nil,
                    { argument in
                        guard let argument else { return nil }
                        let lock = Unmanaged<ForkableLock<Int>>.fromOpaque(argument)
                            .takeUnretainedValue()
                        for _ in 0..<20_000 { lock.withLock { $0 += 1 } }
                        return nil
                    }, argument)
                for _ in 0..<20_000 { lock.withLock { $0 += 1 } }
                pthread_join(thread, nil)
                _exit(lock.withLock { $0 } == 40_000 ? 0 : 1)
            }
            var status: Int32 = 0
            waitpid(child, &status, 0)
            #expect(status == 0)
        }
        isOver.withLock { $0 = true }
        holder.join()
    }
}
