import Foundation
import Testing

@testable import Admission

/// The shared scenarios tagged (file), and E5 as far as it speaks of stores: on a file that two
/// processes open, each by itself. The clock is manual, so nothing but death brings a lease back
/// before its time.
@Suite struct FileScenarioTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func limiter(_ limit: Int, lease: String) throws -> Limiter {
        try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "limits": [
                  {"name": "c", "count": "concurrency", "limit": \(limit), "lease": "\(lease)"}]}]}
                """,
            options: Limiter.Options(
                store: "file:" + scratch.file(), clock: .manual(startUnixNanoseconds: 0)))
    }

    private func admitted(_ gate: Gate, upTo bound: Int = 1_000) -> Int {
        var count = 0
        while count < bound, gate.ask(takesPermit: true).record.outcome == 1 { count += 1 }
        return count
    }

    /// A process of its own that holds `count` permits of the file.
    private func holder(of count: Int, limit: Int, lease: String) -> ForkedChild {
        ForkedChild {
            guard let own = try? limiter(limit, lease: lease), let gate = try? own.gate([]) else {
                return false
            }
            return admitted(gate, upTo: count) == count
        }
    }

    @Test("S64: five permits lost in a crash come back with the owner's death, none twice")
    func s64Death() throws {
        let survivor = try limiter(8, lease: "30s")
        let gate = try survivor.gate([])
        let child = holder(of: 5, limit: 8, lease: "30s")
        #expect(child.isReady())
        #expect(admitted(gate) == 3)
        child.kill()
        #expect(admitted(gate) == 5)
        #expect(survivor.snapshot().reclaimedLeases == 5)
    }

    @Test("S64: under a live owner they come back with their lease, none before")
    func s64LiveOwner() throws {
        let survivor = try limiter(8, lease: "30s")
        let gate = try survivor.gate([])
        let child = holder(of: 5, limit: 8, lease: "30s")
        #expect(child.isReady())
        #expect(admitted(gate) == 3)
        // The child lives and renews nothing: on a manual clock its own `advance` would.
        try survivor.advance(nanoseconds: 29_900_000_000)
        #expect(admitted(gate) == 0)
        try survivor.advance(nanoseconds: 110_000_000)
        #expect(admitted(gate) == 5)
        child.kill()
        #expect(survivor.snapshot().reclaimedLeases == 0)
    }

    @Test("S64: a dead owner of another pid namespace keeps its leases until they run out")
    func s64OtherNamespace() throws {
        let survivor = try limiter(8, lease: "30s")
        let segment = survivor.core.store.segment
        let child = holder(of: 5, limit: 8, lease: "30s")
        #expect(child.isReady())
        // This process moves into another namespace, where the child's pid means nothing.
        var system = segment.watch.system
        system.standIn.pidNamespace = 4_711
        segment.watch.system = system
        let gate = try survivor.gate([])
        child.kill()
        #expect(admitted(gate) == 3)
        try survivor.advance(nanoseconds: 29_900_000_000)
        #expect(admitted(gate) == 0)
        try survivor.advance(nanoseconds: 110_000_000)
        #expect(admitted(gate) == 5)
        #expect(survivor.snapshot().reclaimedLeases == 0)
    }

    @Test(
        "E5: a worker killed with 30 permits of 100: 70 until it is noticed, then 100, none double")
    func e5() throws {
        let survivor = try limiter(100, lease: "15s")
        let gate = try survivor.gate([])
        let child = holder(of: 30, limit: 100, lease: "15s")
        #expect(child.isReady())
        #expect(admitted(gate) == 70)
        // A stream is renewed for as long as it runs; the other worker's leases are its own affair.
        for _ in 0..<2 { try survivor.advance(nanoseconds: 5_000_000_000) }
        #expect(admitted(gate) == 0)
        child.kill()
        #expect(admitted(gate) == 30)
        #expect(admitted(gate) == 0)
        for _ in 0..<60 { try survivor.advance(nanoseconds: 5_000_000_000) }
        #expect(admitted(gate) == 0)
        #expect(survivor.snapshot().reclaimedLeases == 30)
    }
}
