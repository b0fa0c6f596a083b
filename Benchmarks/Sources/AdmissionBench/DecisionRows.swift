import Admission

/// The loops that are timed. Each is a function of its own, so that a row measures the call and a
/// counted loop, and not a closure's captures. The cost is written as a caller writes it.
enum Loops {
    @inline(never)
    static func charge(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            guard case .admitted = try gate.tryCharge() else { throw BenchError("refused") }
        }
    }

    @inline(never)
    static func acquireAndComplete(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            switch try gate.tryAcquire() {
            case .admitted(let permit): try permit.complete()
            case .rejected(let rejection): throw BenchError("\(rejection)")
            }
        }
    }

    @inline(never)
    static func acquireTokensAndComplete(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            switch try gate.tryAcquire(Cost(inputTokens: 1_200)) {
            case .admitted(let permit): try permit.complete()
            case .rejected(let rejection): throw BenchError("\(rejection)")
            }
        }
    }

    /// The estimate was 1,200 tokens, the call used 800: something is given back every time.
    @inline(never)
    static func acquireTokensAndSettle(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            switch try gate.tryAcquire(Cost(inputTokens: 1_200)) {
            case .admitted(let permit):
                try permit.complete(Usage(requests: 1, inputTokens: 800, outputTokens: 150))
            case .rejected(let rejection): throw BenchError("\(rejection)")
            }
        }
    }

    @inline(never)
    static func chargeRefused(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            guard case .rejected = try gate.tryCharge() else { throw BenchError("admitted") }
        }
    }

    @inline(never)
    static func acquireRefused(_ gate: Gate, _ calls: Int) throws {
        for _ in 0..<calls {
            switch try gate.tryAcquire(Cost(inputTokens: 1_200)) {
            case .admitted: throw BenchError("admitted")
            case .rejected: break
            }
        }
    }

    /// One charge on each of the next `calls` gates; returns where to go on.
    @inline(never)
    static func chargeEach(_ gates: [Gate], from start: Int, _ calls: Int) throws -> Int {
        var next = start
        for _ in 0..<calls {
            guard case .admitted = try gates[next].tryCharge() else { throw BenchError("refused") }
            next += 1
            if next == gates.count { next = 0 }
        }
        return next
    }
}

/// A limiter on the system clock with room for a few keys, and one gate of it.
func openGate(
    _ policy: String, project: String = "acme", store: String = "memory:"
) throws -> (Limiter, Gate) {
    var options = Limiter.Options()
    options.store = store
    let limiter = try Limiter(policyJSON: policy, options: options)
    return (limiter, try limiter.gate(["project": project, "model": "gemini-2.5-flash"]))
}

/// Rows that give nanoseconds a decision.
func decisionRow(_ row: String, _ seconds: Double) throws -> Double? {
    switch row {
    case "bucket-charge": try timed(Policies.bucket, seconds, Loops.charge)
    case "bucket-acquire": try timed(Policies.bucket, seconds, Loops.acquireAndComplete)
    case "rolling-charge": try timed(Policies.rolling, seconds, Loops.charge)
    case "rolling-acquire": try timed(Policies.rolling, seconds, Loops.acquireAndComplete)
    case "calendar-charge": try timed(Policies.calendar, seconds, Loops.charge)
    case "four-acquire": try timed(Policies.four, seconds, Loops.acquireTokensAndComplete)
    case "four-settle": try timed(Policies.four, seconds, Loops.acquireTokensAndSettle)
    case "refuse-bucket":
        try timed(
            Policies.bucketSpent, seconds, before: { try Loops.charge($0, 1) }, Loops.chargeRefused)
    case "refuse-four":
        try timed(
            Policies.fourSpent, seconds, before: { try Loops.acquireTokensAndComplete($0, 1) },
            Loops.acquireRefused)
    case "refuse-parallel": try refusedByConcurrency(seconds)
    case "bucket-two-threads": try onTwoThreads(Policies.bucket, seconds, gates: 1, Loops.charge)
    case "bucket-two-threads-two-gates":
        try onTwoThreads(Policies.bucket, seconds, gates: 2, Loops.charge)
    case "four-two-threads":
        try onTwoThreads(Policies.four, seconds, gates: 1, Loops.acquireTokensAndComplete)
    case "million-charge": try millionKeys(seconds)
    default: nil
    }
}

private func timed(
    _ policy: String, _ seconds: Double, before: (Gate) throws -> Void = { _ in },
    _ loop: (Gate, Int) throws -> Void
) throws -> Double {
    let (limiter, gate) = try openGate(policy)
    defer { limiter.close() }
    try before(gate)
    return try nanosecondsPerCall(seconds: seconds) { try loop(gate, $0) }
}

private func refusedByConcurrency(_ seconds: Double) throws -> Double {
    let (limiter, gate) = try openGate(Policies.fourHeld)
    defer { limiter.close() }
    let permit = try heldPermit(gate)
    let result = try nanosecondsPerCall(seconds: seconds) { try Loops.acquireRefused(gate, $0) }
    _ = permit.drop()
    return result
}

private func heldPermit(_ gate: Gate) throws -> Permit {
    switch try gate.tryAcquire(Cost(inputTokens: 1)) {
    case .admitted(let permit): return permit
    case .rejected(let rejection): throw BenchError("\(rejection)")
    }
}

func onTwoThreads(
    _ policy: String, _ seconds: Double, gates: Int,
    _ loop: @escaping @Sendable (Gate, Int) throws -> Void
) throws -> Double {
    let (limiter, first) = try openGate(policy)
    defer { limiter.close() }
    let second =
        gates == 1 ? first : try limiter.gate(["project": "acme", "model": "gemini-2.5-flash"])
    return try nanosecondsPerCall(
        seconds: seconds, threads: [{ try loop(first, $0) }, { try loop(second, $0) }])
}

private func millionKeys(_ seconds: Double) throws -> Double {
    let count = 1_000_000
    var options = Limiter.Options()
    options.store = "memory:"
    options.keyCapacity = count
    let limiter = try Limiter(policyJSON: Policies.bucket, options: options)
    defer { limiter.close() }
    var gates = try (0..<count).map { try limiter.gate(["project": keyValue($0)]) }
    var generator = SeededGenerator(seed: 42)
    gates.shuffle(using: &generator)
    var next = 0
    // A first round touches every record, so that no page fault is in the figure.
    next = try Loops.chargeEach(gates, from: next, count)
    return try nanosecondsPerCall(seconds: seconds) {
        next = try Loops.chargeEach(gates, from: next, $0)
    }
}

/// An attribute value of exactly 24 bytes.
func keyValue(_ index: Int) -> String {
    let digits = String(index)
    return "tenant-" + String(repeating: "0", count: 17 - digits.utf8.count) + digits
}
