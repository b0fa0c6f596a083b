import Foundation
import Testing

@testable import Admission

@Suite struct HeartbeatTests {
    @Test("the thread that renews leases holds no descriptor, which a daemon would close")
    func descriptors() throws {
        // In a child, where nobody else opens any.
        let child = ForkedChild {
            func descriptors() -> [Int32] { (0..<4_096).filter { fcntl($0, F_GETFD) >= 0 } }
            guard let document = try? SharedFile.document(SharedFile.slots(1)),
                let limiter = try? Limiter(policy: document, options: .init(store: "memory:")),
                let gate = try? limiter.gate([])
            else { return false }
            let before = descriptors()
            // The first lease starts the thread.
            return gate.ask(takesPermit: true).record.outcome == 1 && descriptors() == before
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("a limiter may end while whoever reads the time looks at its file")
    func endsWhileLookedAt() throws {
        let scratch = try ScratchDirectory()
        // In a child, which its alarm ends where it hangs.
        let child = ForkedChild {
            guard let document = try? SharedFile.document(SharedFile.rpm(1)) else { return false }
            guard DetachedThread.start({ while true { Heartbeat.shared.revive() } }) else {
                return false
            }
            for _ in 0..<1_000 {
                let limiter = try? Limiter(
                    policy: document,
                    options: Limiter.Options(
                        store: "file:" + scratch.file(), permitCapacity: 64, keyCapacity: 64,
                        heartbeat: .manual))
                guard limiter != nil else { return false }
            }
            return true
        }
        #expect(child.isReady())
        child.kill()
    }

    @Test("who sleeps on a word wakes when it changes, in front of the sleep too")
    func wake() {
        let word = WakeWord()
        let ended = DispatchSemaphore(value: 0)
        for isBefore in [true, false] {
            let seen = word.load()
            if isBefore { word.wake() }
            Thread.detachNewThread {
                word.sleep(while: seen, nanoseconds: 3_600_000_000_000)
                ended.signal()
            }
            if !isBefore { word.wake() }
            #expect(ended.wait(timeout: .now() + 60) == .success)
        }
    }
}
