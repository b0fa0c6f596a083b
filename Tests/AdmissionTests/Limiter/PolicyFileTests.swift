import Foundation
import Testing

@testable import Admission

@Suite struct PolicyFileTests {
    private final class Edited {
        let path: String
        let limiter: Limiter

        init(_ text: String) throws {
            path = NSTemporaryDirectory() + "admission-\(UUID().uuidString).json"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            limiter = try Limiter(
                policyPath: path, options: Limiter.Options(clock: .manual(startUnixNanoseconds: 0)))
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ text: String, atomically: Bool = true) throws {
            try text.write(toFile: path, atomically: atomically, encoding: .utf8)
        }

        func beat() throws { try limiter.advance(nanoseconds: 0) }

        var refusals: Int { limiter.events().filter { $0.kind == .reloadRefused }.count }
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
        file.limiter.core.beat(now: 0, renews: false)
        #expect(file.refusals == 0)
    }
}
