import Glibc
import Testing

@testable import Admission

/// What limiters on a file make of a reboot: other answers of the system stand in for it.
@Suite struct RebootTests {
    private static let hour: Int64 = 3_600 * SharedFile.second
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    /// A limiter of a process that runs in that boot, at `later` nanoseconds after the real time.
    private func limiter(
        boot: UInt64, later: Int64 = 0, _ limits: String...
    ) throws -> Limiter {
        var system = SystemFacts()
        system.standIn.bootIdentity = boot
        system.standIn.wallNanoseconds = KernelClock.wallNanoseconds() + later
        return try Limiter(
            policy: SharedFile.document(limits.joined(separator: ", ")),
            options: Limiter.Options(
                store: "file:" + scratch.file(), permitCapacity: 64, keyCapacity: 64,
                heartbeat: .manual),
            system: system)
    }

    private func rolling(_ name: String, _ window: String) -> String {
        #"{"name": "\#(name)", "count": "requests", "limit": 10, "window": "\#(window)"}"#
    }

    /// A day in a zone where it is about noon: none ends while the test runs.
    private func noonDay() -> String {
        let hour = Int(KernelClock.wallNanoseconds() / Self.hour % 24)
        let ahead = 12 - hour
        let zone = ahead == 0 ? "UTC" : "Etc/GMT" + (ahead > 0 ? "-" : "+") + "\(abs(ahead))"
        return #"""
            {"name": "day", "count": "requests", "limit": 10, "window": "day", "zone": "\#(zone)"}
            """#
    }

    /// The kernel's clock counts from 0 in each boot and steady time goes on, so they lie apart: by
    /// ten hours, as if the file were that much older than the boot.
    private func makeOldFile() throws {
        let first = try limiter(boot: 1, SharedFile.rpm(10))
        let segment = first.core.store.segment
        first.close()
        let steady = KernelClock.monotonicNanoseconds() + 10 * Self.hour
        segment.word(Segment.Header.stampSteady).store(UInt64(bitPattern: steady))
        segment.word(Segment.Header.stampWallOffset)
            .store(UInt64(bitPattern: KernelClock.wallNanoseconds() - steady))
    }

    @Test("counts and levels survive a reboot, the leases from before it are free")
    func reboot() throws {
        try makeOldFile()
        let limits = [
            noonDay(), rolling("long", "24h"), rolling("short", "1h"),
            SharedFile.pace("1/1h", 10), SharedFile.slots(3, lease: "24h"),
        ].joined(separator: ", ")
        let before = try limiter(boot: 2, limits)
        let gate = try before.gate([])
        let permits = (0..<3).map { _ in gate.ask(requests: 2, takesPermit: true).record.permit }
        #expect(permits.allSatisfy { $0 != 0 })
        #expect(try before.left().map { $0[1] } == [4, 4, 4, 4, 0])
        let stood = before.core.times().now

        // The host was off for two hours and a half. Nobody ended anything.
        let after = try limiter(boot: 3, later: 2 * Self.hour + Self.hour / 2, limits)
        let went = after.core.times().now - stood
        #expect(went >= 2 * Self.hour + Self.hour / 2 - SharedFile.second, "it never goes back")
        #expect(went < 3 * Self.hour, "the ten hours before are not counted twice")
        #expect(
            try after.left().map { $0[1] } == [4, 4, 10, 6, 3],
            "the hour is over, two units have come back to the bucket, every slot is free")
        let (_, refused) = try after.gate([]).ask(requests: 5, takesPermit: true)
        #expect(refused.outcome == 2 && refused.limit == 10)
        let kept = try (0..<3).map { _ in try after.gate([]).ask(takesPermit: true).record.permit }
        #expect(kept.allSatisfy { $0 != 0 })
        #expect(try after.left().map { $0[1] } == [1, 1, 7, 3, 0])
    }

    @Test("a process of the same boot finds the leases taken")
    func sameBoot() throws {
        try makeOldFile()
        let before = try limiter(boot: 2, SharedFile.slots(1))
        #expect(try before.gate([]).ask(takesPermit: true).record.permit != 0)
        let after = try limiter(boot: 2, SharedFile.slots(1))
        #expect(try after.left() == [[1, 0]])
    }
}
