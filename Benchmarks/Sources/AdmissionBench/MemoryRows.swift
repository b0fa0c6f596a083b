import Admission
import Glibc

/// Rows that give bytes: resident memory, shared mappings included, less what the process held
/// before the limiter was opened.
func memoryRow(_ row: String) throws -> [(String, Double)]? {
    switch row {
    case "memory-bucket": try memory(Policies.bucket, keys: 1_000_000)
    case "memory-rolling": try memory(Policies.rolling, keys: 100_000)
    case "memory-calendar": try memory(Policies.calendar, keys: 200_000)
    case "memory-untouched": try untouchedCapacity()
    default: nil
    }
}

/// Bytes a key with its text: a gate is opened on each, charges once and is closed.
private func memory(_ policy: String, keys: Int) throws -> [(String, Double)] {
    try warmUp(policy)
    let before = try residentBytes()
    var options = Limiter.Options()
    options.store = "memory:"
    options.keyCapacity = keys
    let limiter = try Limiter(policyJSON: policy, options: options)
    defer { limiter.close() }
    for index in 0..<keys { try Loops.charge(try limiter.gate(["project": keyValue(index)]), 1) }
    returnFreeMemory()
    let after = try residentBytes()
    return [("bytes", Double(after - before) / Double(keys)), ("keys", Double(keys))]
}

/// What a capacity of 50 million keys and four million permits costs while nobody uses it.
private func untouchedCapacity() throws -> [(String, Double)] {
    try warmUp(Policies.four)
    func opened(keys: Int, permits: Int) throws -> Int {
        let before = try residentBytes()
        var options = Limiter.Options()
        options.store = "memory:"
        options.keyCapacity = keys
        options.permitCapacity = permits
        let limiter = try Limiter(policyJSON: Policies.four, options: options)
        defer { limiter.close() }
        try Loops.acquireTokensAndComplete(
            try limiter.gate(["project": "acme", "model": "gemini-2.5-flash"]), 1)
        return try residentBytes() - before
    }
    // The median of nine: each opening finds the heap as the one before left it, some pages up or down.
    let pairs = try (0..<9).map { _ in
        let small = try opened(keys: 1_000, permits: 1_000)
        return (small, try opened(keys: 50_000_000, permits: 4_000_000) - small)
    }
    let median = pairs.sorted { $0.1 < $1.1 }[pairs.count / 2]
    return [("bytes", Double(median.1)), ("small", Double(median.0))]
}

/// Opens and uses a limiter once, so that code pages and zone tables are resident before the count.
private func warmUp(_ policy: String) throws {
    let (limiter, gate) = try openGate(policy)
    defer { limiter.close() }
    guard case .admitted(let permit) = try gate.tryAcquire() else { throw BenchError("refused") }
    _ = permit.drop()
}

/// Hands the heap's free pages back to the system, so that what closed gates left is not counted.
private func returnFreeMemory() {
    typealias Trim = @convention(c) (Int) -> Int32
    guard let symbol = dlsym(nil, "malloc_trim") else { return }
    _ = unsafeBitCast(symbol, to: Trim.self)(0)
}

/// Resident bytes of this process, anonymous, file-backed and shared together.
private func residentBytes() throws -> Int {
    guard let file = fopen("/proc/self/smaps_rollup", "r") else {
        throw BenchError("no /proc/self/smaps_rollup")
    }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard text.hasPrefix("Rss:") else { continue }
        guard let kilobytes = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else {
            break
        }
        return kilobytes * 1_024
    }
    throw BenchError("no Rss line")
}
