import Admission
import Glibc

/// Rows that give nanoseconds of something other than a decision.
func otherRow(_ row: String, _ seconds: Double) throws -> Double? {
    switch row {
    case "gate-open": try gateOpen(seconds, keys: 1)
    case "gate-open-many": try gateOpen(seconds, keys: 10_000)
    case "explain-four": try explain(seconds)
    case "reload-large": try reload(seconds)
    default: nil
    }
}

/// Opens a gate on keys that exist and lets it go again.
private func gateOpen(_ seconds: Double, keys: Int) throws -> Double {
    var options = Limiter.Options()
    options.store = "memory:"
    let limiter = try Limiter(policyJSON: Policies.bucket, options: options)
    defer { limiter.close() }
    let values = (0..<keys).map(keyValue)
    for value in values { try Loops.charge(try limiter.gate(["project": value]), 1) }
    var next = 0
    return try nanosecondsPerCall(seconds: seconds, calls: 100) { calls in
        for _ in 0..<calls {
            _ = try limiter.gate(["project": values[next]])
            next += 1
            if next == values.count { next = 0 }
        }
    }
}

private func explain(_ seconds: Double) throws -> Double {
    let (limiter, gate) = try openGate(Policies.four)
    defer { limiter.close() }
    var bytes = 0
    let result = try nanosecondsPerCall(seconds: seconds, calls: 10) { calls in
        for _ in 0..<calls { bytes += try gate.explain(Cost(inputTokens: 1_200)).json.utf8.count }
    }
    guard bytes > 0 else { throw BenchError("an empty explanation") }
    return result
}

/// Loads a document of 1,000 policies with three limits each, where 1,000 gates are open.
private func reload(_ seconds: Double) throws -> Double {
    let document = try PolicyDocument(json: Policies.table(of: 1_000))
    var options = Limiter.Options()
    options.store = "memory:"
    let limiter = try Limiter(policy: document, options: options)
    defer { limiter.close() }
    let gates = try (0..<1_000).map {
        try limiter.gate(["project": "acme", "model": "model-\($0)"])
    }
    for gate in gates { try Loops.charge(gate, 1) }
    return try nanosecondsPerCall(seconds: seconds, calls: 1) { calls in
        for _ in 0..<calls { try limiter.reload(document) }
    }
}

/// Percentiles of a decision, from batches of 16.
func latencyRow(_ row: String, _ seconds: Double) throws -> [(String, Double)]? {
    let policy: String
    let loop: (Gate, Int) throws -> Void
    switch row {
    case "latency-bucket": (policy, loop) = (Policies.bucket, Loops.charge)
    case "latency-four": (policy, loop) = (Policies.four, Loops.acquireTokensAndComplete)
    default: return nil
    }
    let (limiter, gate) = try openGate(policy)
    defer { limiter.close() }
    try loop(gate, 16_000)
    let samples = try sortedBatchNanoseconds(seconds: seconds, calls: 16) { try loop(gate, $0) }
    func percentile(_ fraction: Double) -> Double {
        samples[min(samples.count - 1, Int(Double(samples.count) * fraction))]
    }
    return [
        ("p50", percentile(0.5)), ("p99", percentile(0.99)), ("p999", percentile(0.999)),
    ]
}

/// Allocations a call, counted by the interposed malloc of `allocations.c`.
func allocationRow(_ row: String) throws -> [(String, Double)]? {
    guard row == "allocations" else { return nil }
    guard let symbol = dlsym(nil, "admission_bench_allocations")
    else { throw BenchError("run with LD_PRELOAD=…/allocations.so") }
    typealias Counter = @convention(c) () -> UInt64
    let allocations = unsafeBitCast(symbol, to: Counter.self)
    let calls = 10_000
    func perCall(_ policy: String, before: Int = 0, _ loop: (Gate, Int) throws -> Void) throws
        -> Double
    {
        let (limiter, gate) = try openGate(policy)
        defer { limiter.close() }
        if before > 0 { try Loops.acquireTokensAndComplete(gate, before) }
        try loop(gate, batchCalls)
        let start = allocations()
        try loop(gate, calls)
        return Double(allocations() - start) / Double(calls)
    }
    var kept: [[Int]] = []
    return [
        ("charge", try perCall(Policies.bucket, Loops.charge)),
        ("acquire", try perCall(Policies.bucket, Loops.acquireAndComplete)),
        ("four", try perCall(Policies.four, Loops.acquireTokensAndComplete)),
        ("settle", try perCall(Policies.four, Loops.acquireTokensAndSettle)),
        ("refuse", try perCall(Policies.fourSpent, before: 1, Loops.acquireRefused)),
        (
            "planted",
            try perCall(Policies.bucket) { gate, calls in
                for index in 0..<calls {
                    try Loops.charge(gate, 1)
                    kept = [[index]]
                }
                if kept.isEmpty { throw BenchError("nothing planted") }
            }
        ),
    ]
}
