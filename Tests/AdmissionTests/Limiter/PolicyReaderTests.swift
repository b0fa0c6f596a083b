import Foundation
import Glibc
import Synchronization
import Testing

@testable import Admission

@Suite struct PolicyReaderTests {
    /// A file system that answers when it is told to.
    private final class Hanging: Sendable {
        private let gate = DispatchSemaphore(value: 0)
        let looks = Atomic<Int>(0)

        func look() -> PolicyLook {
            looks.add(1, ordering: .relaxed)
            gate.wait()
            return PolicyLook(found: .same, stamp: nil)
        }

        func answer() { gate.signal() }
    }

    /// Looks again until there is an answer; a test that waits in vain hangs.
    private static func answer(_ reader: PolicyReader) -> PolicyLook {
        while true {
            if let look = reader.look(unless: nil) { return look }
            sched_yield()
        }
    }

    @Test("a file system that hangs is waited for once, and asked nothing more until it answers")
    func hangs() throws {
        let system = Hanging()
        let made = PolicyReader(identity: ProcessIdentity.current()) { _ in system.look() }
        let reader = try #require(made)
        for _ in 0..<100 { #expect(reader.look(unless: nil) == nil) }
        #expect(system.looks.load(ordering: .relaxed) <= 1)
        system.answer()
        _ = Self.answer(reader)
        for _ in 0..<100 { #expect(reader.look(unless: nil) == nil) }
        #expect(system.looks.load(ordering: .relaxed) <= 2)
        system.answer()
        _ = Self.answer(reader)
        system.answer()
    }

    @Test("an answer that came late is not taken for the file as it is now")
    func late() throws {
        let system = Hanging()
        let made = PolicyReader(identity: ProcessIdentity.current()) { _ in
            let old = system.look()
            let isFirst = system.looks.load(ordering: .relaxed) == 1
            return isFirst ? old : PolicyLook(found: .bytes([1]), stamp: nil)
        }
        let reader = try #require(made)
        #expect(reader.look(unless: nil, patience: 0) == nil)
        // The first question's answer, and at once the next one's.
        system.answer()
        system.answer()
        var found: PolicyLook?
        while found == nil { found = reader.look(unless: nil, patience: 600 * SharedFile.second) }
        guard case .bytes([1])? = found?.found else {
            Issue.record("\(String(describing: found)) is of before the edit")
            return
        }
    }

    @Test("a reader may end while its thread hangs")
    func endsWhileHanging() throws {
        let system = Hanging()
        do {
            let made = PolicyReader(identity: ProcessIdentity.current()) { _ in system.look() }
            #expect(try #require(made).look(unless: nil) == nil)
        }
        system.answer()
    }

    @Test("leases are renewed while the policy file's system hangs")
    func renews() throws {
        let shared = try SharedFile(clock: .system)
        let limiter = try shared.limiter(SharedFile.slots(1, lease: "30s"))
        let core = limiter.core
        let system = Hanging()
        core.policyFile.withLock {
            $0 = PolicyFile(path: "/nowhere", bytes: [])
            $0?.reader = PolicyReader(identity: ProcessIdentity.current()) { _ in system.look() }
        }
        let gate = try limiter.gate([])
        #expect(gate.ask(takesPermit: true).record.outcome == 1)
        func runsOut() throws -> Int64 {
            let store = try StoreInspection.read(store: shared.url)
            return store.leases[0].runsOutNanoseconds + store.steady.nanoseconds
        }
        let before = try runsOut()
        for second in [10, 20, 30] as [Int64] {
            let now = core.store.clock.now() + second * SharedFile.second
            core.beat(now: now, renews: true)
            core.pollPolicy(waits: false)
        }
        #expect(try runsOut() > before + 25 * SharedFile.second)
        #expect(system.looks.load(ordering: .relaxed) <= 1)
        system.answer()
    }

    @Test("a forked child looks with a thread of its own, whatever its parent's was doing")
    func forked() throws {
        let shared = try SharedFile()
        let path = shared.file("policy.json")
        try "{".write(toFile: path, atomically: true, encoding: .utf8)
        let system = Hanging()
        var file = PolicyFile(path: path, bytes: [])
        file.reader = PolicyReader(identity: ProcessIdentity.current() &+ 1) { _ in system.look() }
        #expect(file.reader?.look(unless: nil) == nil, "it hangs")
        // As in a child: the reader is of another process.
        var findings: [PolicyFile.Finding] = []
        for _ in 0..<1_000 where !file.isBroken {
            findings.append(file.lookElsewhere(ProcessIdentity.current()))
            sched_yield()
        }
        #expect(file.isBroken)
        guard case .refused? = findings.last else {
            Issue.record("\(findings.count) looks")
            return
        }
        system.answer()
    }
}
