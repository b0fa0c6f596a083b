import Foundation

@testable import Admission

extension ScenarioRun {
    /// `threads N times=M try|acquire G [cost]`: N threads that start together ask M times each.
    func threads(_ words: [String], _ right: [String]) throws {
        let count = Int(try ScenarioText.number(words[0]))
        let asked = try argument(words, 1, "times")
        // A call to a server takes a thousand times one in memory: but in the soak, a million calls are
        // ten thousand there, each of a hundred of its units.
        let divisor: Int64 =
            store.keepsMicroseconds && asked >= 1_000_000 && !TestLength.isSoak ? 100 : 1
        let times = asked / divisor
        let takesPermits = words[2] == "acquire"
        guard takesPermits || words[2] == "try" else { throw failure("unknown verb \(words[2])") }
        let gate = try gate(words[3])
        var each = try cost(words.dropFirst(4))
        each.requests *= divisor
        let cost = each
        let crowd = ScenarioCrowd(count: count)
        for _ in 0..<count {
            Thread {
                crowd.run {
                    takesPermits
                        ? try Self.acquire(gate, cost, times: times)
                        : try Self.charge(gate, cost, times: times)
                }
            }.start()
        }
        let (admitted, permits, errors) = crowd.wait()
        held += permits
        if let error = errors.first { throw failure(error) }
        try expect(["ok": .number(admitted * divisor)], right)
    }

    private static func charge(
        _ gate: Gate, _ cost: Cost, times: Int64
    ) throws -> (Int64, [ScenarioPermit]) {
        var admitted: Int64 = 0
        for _ in 0..<times {
            if case .admitted = try gate.tryCharge(cost) { admitted += 1 }
        }
        return (admitted, [])
    }

    private static func acquire(
        _ gate: Gate, _ cost: Cost, times: Int64
    ) throws -> (Int64, [ScenarioPermit]) {
        var permits: [ScenarioPermit] = []
        for _ in 0..<times {
            switch try gate.tryAcquire(cost) {
            case .admitted(let permit): permits.append(ScenarioPermit(permit))
            case .rejected: break
            }
        }
        return (Int64(permits.count), permits)
    }
}

/// Threads that start together, and what came of them.
///
/// Lock: one condition guards everything.
private final class ScenarioCrowd: @unchecked Sendable {
    private let condition = NSCondition()
    private let count: Int
    private var ready = 0
    private var finished = 0
    private var admitted: Int64 = 0
    private var permits: [ScenarioPermit] = []
    private var errors: [String] = []

    init(count: Int) {
        self.count = count
    }

    func run(_ work: () throws -> (Int64, [ScenarioPermit])) {
        condition.lock()
        ready += 1
        condition.broadcast()
        while ready < count { condition.wait() }
        condition.unlock()
        let result = Result { try work() }
        condition.lock()
        switch result {
        case .success(let (admitted, permits)):
            self.admitted += admitted
            self.permits += permits
        case .failure(let error): errors.append("\(error)")
        }
        finished += 1
        condition.broadcast()
        condition.unlock()
    }

    func wait() -> (Int64, [ScenarioPermit], [String]) {
        condition.lock()
        defer { condition.unlock() }
        while finished < count { condition.wait() }
        return (admitted, permits, errors)
    }
}
