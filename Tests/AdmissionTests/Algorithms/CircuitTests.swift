import Testing

@testable import Admission

@Suite struct CircuitTests {
    private func circuit(threshold: Int = 3) -> Circuit {
        Circuit(
            threshold: threshold, backoff: Backoff(baseNanoseconds: 100, ceilingNanoseconds: 1_000),
            probeNanoseconds: 50)
    }

    /// Random bits with which the backoff waits as long as it may.
    private let longest = UInt64.max

    @Test("it opens at the threshold, and an answer in between begins the count anew")
    func opens() {
        var circuit = circuit()
        circuit.fail(now: 0, random: longest)
        circuit.fail(now: 0, random: longest)
        #expect(circuit.pass(now: 0) == .free)
        circuit.succeed()
        for _ in 0..<2 { circuit.fail(now: 0, random: longest) }
        #expect(circuit.pass(now: 0) == .free)
        circuit.fail(now: 10, random: longest)
        #expect(circuit.pass(now: 10) == .refused(untilNanoseconds: 110))
        #expect(circuit.pass(now: 109) == .refused(untilNanoseconds: 110))
        #expect(circuit.pass(now: 110) == .probe)
    }

    @Test("half open lets one caller through, and another one where the first never reports")
    func halfOpen() {
        var circuit = circuit(threshold: 1)
        circuit.fail(now: 0, random: longest)
        #expect(circuit.pass(now: 100) == .probe)
        #expect(circuit.pass(now: 100) == .refused(untilNanoseconds: 150))
        #expect(circuit.pass(now: 149) == .refused(untilNanoseconds: 150))
        #expect(circuit.pass(now: 150) == .probe)
        circuit.succeed()
        #expect(circuit.pass(now: 150) == .free)
        #expect(circuit.state == .closed(failures: 0))
    }

    @Test("each opening waits longer, and an answer begins anew")
    func waits() {
        var circuit = circuit(threshold: 1)
        var now: Int64 = 0
        var waits: [Int64] = []
        for _ in 0..<6 {
            circuit.fail(now: now, random: longest)
            guard case .open(let until) = circuit.state else {
                Issue.record("\(circuit.state)")
                return
            }
            waits.append(until - now)
            now = until
            #expect(circuit.pass(now: now) == .probe)
        }
        #expect(waits == [100, 200, 400, 800, 1_000, 1_000])
        circuit.succeed()
        circuit.fail(now: now, random: longest)
        #expect(circuit.state == .open(untilNanoseconds: now + 100))
    }

    @Test(
        "a failure of somebody who asked before changes nothing while it is open; an answer closes it"
    )
    func late() {
        var circuit = circuit(threshold: 1)
        circuit.fail(now: 0, random: longest)
        circuit.fail(now: 99, random: longest)
        #expect(circuit.state == .open(untilNanoseconds: 100))
        circuit.succeed()
        #expect(circuit.pass(now: 1) == .free)
    }

    @Test("a limited backoff is as long as before, and never longer than that")
    func limited() {
        var circuit = circuit(threshold: 1)
        circuit.limitBackoff(nanoseconds: 3)
        circuit.limitBackoff(nanoseconds: 7)
        for _ in 0..<70 {
            _ = circuit.pass(now: 0)
            circuit.fail(now: 0, random: longest)
            guard case .open(let until) = circuit.state else { return }
            #expect(until <= 3)
            _ = circuit.pass(now: 3)
        }
    }

    @Test("an answer that comes late shortens the wait, and closes nothing")
    func heardLate() {
        var circuit = circuit(threshold: 1)
        circuit.hearLate(now: 0)
        #expect(circuit.state == .closed(failures: 0))
        for _ in 0..<5 {
            circuit.fail(now: 0, random: longest)
            _ = circuit.pass(now: .max)
        }
        circuit.fail(now: 0, random: longest)
        #expect(circuit.state == .open(untilNanoseconds: 1_000))
        circuit.hearLate(now: 10)
        #expect(circuit.state == .open(untilNanoseconds: 810))
        circuit.hearLate(now: 700)
        #expect(circuit.state == .open(untilNanoseconds: 810))
        #expect(circuit.pass(now: 809) == .refused(untilNanoseconds: 810))
        #expect(circuit.pass(now: 810) == .probe)
    }

    @Test("instants at the end of the range do not trap")
    func endOfRange() {
        var circuit = circuit(threshold: 1)
        circuit.fail(now: .max, random: longest)
        #expect(circuit.pass(now: .max) == .probe)
        circuit.fail(now: .min, random: longest)
        #expect(circuit.pass(now: .max) == .probe)
        for _ in 0..<200 {
            circuit.fail(now: 0, random: longest)
            _ = circuit.pass(now: .max)
        }
    }
}
