import Testing

@testable import Admission

/// What a system that a file must not be shared in makes of an opening, as callers see it.
@Suite struct StoreErrorTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func limiter(
        clock: LimiterClock = .system, _ change: (inout SystemFacts.StandIn) -> Void = { _ in }
    ) throws(LimiterError) -> Limiter {
        var system = SystemFacts()
        change(&system.standIn)
        let document: PolicyDocument
        do {
            document = try SharedFile.document(SharedFile.rpm(3))
        } catch {
            throw LimiterError(.internalError, "\(error)")
        }
        return try Limiter(
            policy: document,
            options: Limiter.Options(
                store: "file:" + scratch.file(), clock: clock, permitCapacity: 64,
                keyCapacity: 64, heartbeat: .manual),
            system: system)
    }

    /// The error of an opening that fails.
    private func refusal(
        clock: LimiterClock = .system, _ change: (inout SystemFacts.StandIn) -> Void = { _ in }
    ) -> LimiterError? {
        do throws(LimiterError) {
            _ = try limiter(clock: clock, change)
        } catch {
            return error
        }
        return nil
    }

    @Test("a network file system is refused by its code, and the text names both")
    func networkFileSystem() throws {
        let error = try #require(refusal { $0.fileSystemType = 0x6969 })
        #expect(error.code == .networkFileSystem && error.code.status == 607)
        #expect(error.message.contains(scratch.file()) && error.message.contains("NFS"))
        _ = try limiter()
    }

    @Test("another time namespace is refused by its code, and the text names both")
    func timeNamespace() throws {
        let first = try limiter { $0.timeNamespace = 4_001 }
        #expect(try first.gate([]).ask().record.remaining == 2)
        let error = try #require(refusal { $0.timeNamespace = 4_002 })
        #expect(error.code == .otherTimeNamespace && error.code.status == 608)
        #expect(error.message.contains("4001") && error.message.contains("4002"))
        #expect(try first.gate([]).ask().record.remaining == 1, "who is in it goes on")
    }

    @Test("the other clock is refused by its code, in both directions")
    func clockMismatch() throws {
        _ = try limiter()
        let manual = LimiterClock.manual(startUnixNanoseconds: SharedFile.start)
        let error = try #require(refusal(clock: manual))
        #expect(error.code == .clockMismatch && error.code.status == 609)
        let file = try SharedFile()
        _ = try file.limiter(SharedFile.rpm(3))
        let reverse = #expect(throws: LimiterError.self) {
            try Limiter(
                policyJSON: SharedFile.json(SharedFile.rpm(3)),
                options: Limiter.Options(store: file.url))
        }
        #expect(reverse?.code == .clockMismatch)
    }

    @Test("a file system that nobody has tried is told by an event of each opening")
    func unproven() throws {
        for _ in 0..<2 {
            let limiter = try limiter { $0.fileSystemType = 0x9123_683e }
            let events = limiter.events().filter { $0.kind == .fileSystemUnproven }
            #expect(events.count == 1)
            #expect(events.first?.text.contains("btrfs") == true)
            #expect(try limiter.gate([]).ask().record.outcome == 1, "it decides all the same")
        }
        let proven = try limiter { $0.fileSystemType = 0xef53 }
        #expect(!proven.events().contains { $0.kind == .fileSystemUnproven })
    }
}
