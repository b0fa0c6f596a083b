import Foundation
import Testing

@testable import Admission

@Suite struct PolicyFileTests {
    private final class Edited {
        let path: String
        let limiter: Limiter

        init(_ text: String, store: String? = nil) throws {
            path = NSTemporaryDirectory() + "admission-\(UUID().uuidString).json"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            limiter = try Limiter(
                policyPath: path,
                options: Limiter.Options(
                    store: store, clock: .manual(startUnixNanoseconds: SharedFile.start),
                    keyCapacity: 1_024))
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ text: String, atomically: Bool = true) throws {
            try text.write(toFile: path, atomically: atomically, encoding: .utf8)
        }

        func beat() throws { try limiter.advance(nanoseconds: 0) }

        var refusals: Int { count(.policyBroken) }
        var mends: Int { count(.policyMended) }

        private func count(_ kind: Event.Kind) -> Int {
            limiter.events().filter { $0.kind == kind }.count
        }

        var loads: UInt64 { limiter.snapshot().loads }
    }

    private static func policy(_ limit: Int) -> String {
        """
        {"admission": 1, "policies": [{"name": "p", "limits": [
          {"name": "c", "count": "requests", "limit": \(limit), "window": "1m"}]}]}
        """
    }

    @Test("an edit is put in force, counters are kept", arguments: [true, false])
    func edit(atomically: Bool) throws {
        let file = try Edited(Self.policy(5))
        let gate = try file.limiter.gate([])
        for _ in 0..<5 { #expect(gate.ask().record.outcome == 1) }
        #expect(gate.ask().record.outcome == 2)
        try file.write(Self.policy(7), atomically: atomically)
        try file.beat()
        #expect(gate.ask().record.remaining == 1)
        #expect(gate.ask().record.outcome == 1)
        #expect(gate.ask().record.outcome == 2)
        #expect(file.loads == 2)
        for _ in 0..<3 { try file.beat() }
        #expect(file.loads == 2, "once")
    }

    @Test("saved again without a change it is not loaded again")
    func touched() throws {
        let file = try Edited(Self.policy(5))
        for _ in 0..<3 {
            try file.write(Self.policy(5))
            try file.beat()
        }
        #expect(file.loads == 1 && file.refusals == 0)
    }

    @Test("a broken edit keeps the policy and is told once, by event, snapshot and metric")
    func broken() throws {
        let file = try Edited(Self.policy(5))
        let gate = try file.limiter.gate([])
        try file.write(#"{"admission": 1, "policies": ["#)
        for _ in 0..<4 { try file.beat() }
        #expect(file.refusals == 1 && file.loads == 1)
        #expect(gate.ask().record.limit == 5)
        #expect(file.limiter.snapshot().isPolicyBroken)
        #expect(file.limiter.snapshot().json.contains(#""policy_broken":true"#))
        #expect(file.limiter.metrics().contains("admission_policy_broken 1\n"))
        try file.write(Self.policy(6))
        try file.beat()
        #expect(gate.ask().record.limit == 6 && file.loads == 2)
        #expect(file.limiter.metrics().contains("admission_policy_broken 0\n"))
        #expect(file.mends == 1 && file.refusals == 1)
    }

    @Test("an edit that is met half-written is not told")
    func halfWritten() throws {
        let file = try Edited(Self.policy(5))
        try file.write(String(Self.policy(6).dropLast(10)), atomically: false)
        try file.beat()
        try file.write(Self.policy(6), atomically: false)
        try file.beat()
        #expect(file.refusals == 0 && file.loads == 2)
    }

    @Test("a broken edit that is taken back is broken no more")
    func takenBack() throws {
        let file = try Edited(Self.policy(5))
        try file.write("no document")
        for _ in 0..<2 { try file.beat() }
        #expect(file.limiter.snapshot().isPolicyBroken)
        try file.write(Self.policy(5))
        try file.beat()
        #expect(!file.limiter.snapshot().isPolicyBroken && file.refusals == 1)
        #expect(file.mends == 1 && file.loads == 1, "it was in force all the time")
    }

    @Test("a file that is gone is told once, and watched until it is back")
    func gone() throws {
        let file = try Edited(Self.policy(5))
        try FileManager.default.removeItem(atPath: file.path)
        for _ in 0..<4 { try file.beat() }
        #expect(file.refusals == 1 && file.limiter.snapshot().isPolicyBroken)
        try file.write(Self.policy(8))
        try file.beat()
        #expect(try file.limiter.gate([]).ask().record.limit == 8)
        #expect(!file.limiter.snapshot().isPolicyBroken)
    }

    @Test("a closed limiter looks at no file")
    func closedLimiter() throws {
        let file = try Edited(Self.policy(5))
        file.limiter.close()
        try file.write(Self.policy(6))
        file.limiter.core.beatWithoutThread(now: 0)
        #expect(file.refusals == 0 && file.loads == 1)
    }

    @Test("a document that the store has no room for is tried again, told once, and then loaded")
    func noRoom() throws {
        let file = try Edited(Self.policy(5))
        let gate = try file.limiter.gate([])
        let segment = file.limiter.core.store.segment
        var blocks: [Int] = []
        while let block = try? segment.allocateBlock() { blocks.append(block) }
        try file.write(Self.policy(7))
        for _ in 0..<4 { try file.beat() }
        #expect(file.refusals == 1 && file.loads == 1)
        #expect(file.limiter.events().last?.text.contains("key_table_full") == true)
        #expect(file.limiter.snapshot().isPolicyBroken)
        #expect(gate.ask().record.limit == 5)
        for block in blocks { segment.freeBlock(block) }
        try file.beat()
        #expect(gate.ask().record.limit == 7)
        #expect(!file.limiter.snapshot().isPolicyBroken)
        #expect(file.refusals == 1 && file.mends == 1 && file.loads == 2)
    }

    @Test("another reason, and another broken edit, are told anew")
    func otherReasons() throws {
        let file = try Edited(Self.policy(5))
        for text in ["no document", "no document either"] {
            try file.write(text)
            for _ in 0..<3 { try file.beat() }
        }
        #expect(file.refusals == 2)
        try FileManager.default.removeItem(atPath: file.path)
        for _ in 0..<3 { try file.beat() }
        #expect(file.refusals == 3)
        try file.write("no document either")
        for _ in 0..<3 { try file.beat() }
        #expect(file.refusals == 4 && file.loads == 1 && file.mends == 0)
    }

    @Test("what kept a file from being read may pass without a change of the file")
    func unreadableForATime() throws {
        let file = try Edited(Self.policy(5))
        var watched = PolicyFile(path: file.path, bytes: Array(Self.policy(5).utf8))
        let stamp = PolicyLook.Stamp(path: file.path)
        let error = PolicyError(.unreadable, message: "too many open files")
        for index in 0..<3 {
            let finding = watched.judge(PolicyLook(found: .unreadable(error), stamp: stamp))
            if case .refused = finding { #expect(index == 1) } else { #expect(index != 1) }
        }
        #expect(watched.isBroken)
        guard case .mended = watched.look() else {
            Issue.record("not looked at again")
            return
        }
        #expect(!watched.isBroken)
    }

    @Test("a document that was not put in force is given again though the file is as it was")
    func givenAgain() throws {
        let file = try Edited(Self.policy(6))
        var watched = PolicyFile(path: file.path, bytes: [])
        let look = PolicyLook(
            found: .bytes(Array(Self.policy(6).utf8)), stamp: PolicyLook.Stamp(path: file.path))
        let full = LimiterError(.storeFull, "no room")
        var told = 0
        for round in 0..<3 {
            guard case .document(_, let hash) = round == 0 ? watched.judge(look) : watched.look()
            else {
                Issue.record("not given")
                return
            }
            if watched.refuse(hash: hash, for: full) { told += 1 }
        }
        #expect(told == 1 && watched.isBroken)
    }

    @Test("a path that names no file is refused by name, whatever reading it would do")
    func noFile() throws {
        let directory = try ScratchDirectory()
        let pipe = directory.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        for (path, kind) in [
            (pipe, "a pipe"), (directory.path, "a directory"), ("/dev/zero", "a device"),
        ] {
            do throws(LimiterError) {
                _ = try Limiter(policyPath: path)
                Issue.record("\(path) opened")
            } catch {
                #expect(error.code == .policyUnreadable)
                #expect(error.message.contains("is no file but \(kind)"), "\(error)")
            }
        }
        let file = try Edited(Self.policy(5))
        try FileManager.default.removeItem(atPath: file.path)
        #expect(mkfifo(file.path, 0o600) == 0)
        for _ in 0..<3 { try file.beat() }
        #expect(file.refusals == 1 && file.limiter.events().last?.text.contains("a pipe") == true)
    }

    @Test("the other processes and who inspects see that an edit is broken, and that it is mended")
    func seenByOthers() throws {
        let shared = try SharedFile()
        let other = try shared.limiter(SharedFile.rpm(5))
        let file = try Edited(SharedFile.json(SharedFile.rpm(5)), store: shared.url)
        try file.write("{")
        for _ in 0..<3 { try file.beat() }
        #expect(other.events().map(\.kind) == [.policyBroken])
        #expect(other.events().map(\.text) == file.limiter.events().map(\.text))
        var store = try StoreInspection.read(store: shared.url)
        #expect(store.refusedReload?.kind == .policyBroken)
        #expect(store.owners.map(\.isPolicyBroken).sorted { !$0 && $1 } == [false, true])
        // What another process puts in force does not mend the file of this one.
        try other.reload(policyJSON: SharedFile.json(SharedFile.rpm(6)))
        for _ in 0..<64 { other.core.report(.ownerDied, "hides all that came before") }
        store = try StoreInspection.read(store: shared.url)
        #expect(store.refusedReload == nil && store.owners.contains(where: \.isPolicyBroken))
        try file.write(SharedFile.json(SharedFile.rpm(7)))
        try file.beat()
        store = try StoreInspection.read(store: shared.url)
        #expect(store.refusedReload == nil && !store.owners.contains(where: \.isPolicyBroken))
        #expect(store.events.last?.kind == .policyMended)
        #expect(other.events().contains { $0.kind == .policyMended })
    }

    @Test("a reload that is refused is told once", arguments: ["{}", nil])
    func reload(text: String?) throws {
        let file = try Edited(Self.policy(5))
        if text == nil {
            while (try? file.limiter.core.store.segment.allocateBlock()) != nil {}
        }
        #expect(throws: LimiterError.self) {
            try file.limiter.reload(policyJSON: text ?? Self.policy(6))
        }
        #expect(file.limiter.events().map(\.kind) == [.reloadRefused])
        #expect(!file.limiter.snapshot().isPolicyBroken, "the file is as it was")
    }
}
