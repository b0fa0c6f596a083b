import Admission
import Glibc

/// Rows on the file store: the decisions of the memory rows, two processes on one gate, and what it
/// takes to open a file that holds keys.
func fileRow(_ row: String, _ seconds: Double) throws -> [(String, Double)]? {
    switch row {
    case "file-bucket-charge": try alone(Policies.bucket, seconds, Loops.charge)
    case "file-bucket-acquire": try alone(Policies.bucket, seconds, Loops.acquireAndComplete)
    case "file-four-acquire": try alone(Policies.four, seconds, Loops.acquireTokensAndComplete)
    case "file-bucket-two-processes":
        try onTwoProcesses(row, Policies.bucket, seconds, Loops.charge)
    case "file-four-two-processes":
        try onTwoProcesses(row, Policies.four, seconds, Loops.acquireTokensAndComplete)
    case "file-open-100k": try openings(row, Policies.bucket, seconds, limits: 1, Loops.charge)
    case "file-open-kinds-100k":
        try openings(row, Policies.everyKind, seconds, limits: 4, Loops.acquireTokensAndComplete)
    default: nil
    }
}

/// A process that a row above has started.
func fileWorker(_ row: String, in directory: String) throws {
    switch row {
    case "file-bucket-two-processes": try join(Policies.bucket, directory, Loops.charge)
    case "file-four-two-processes":
        try join(Policies.four, directory, Loops.acquireTokensAndComplete)
    case "file-open-100k": try openFresh(Policies.bucket, directory)
    case "file-open-kinds-100k": try openFresh(Policies.everyKind, directory)
    default: throw BenchError("no such row")
    }
}

private func openFresh(_ policy: String, _ directory: String) throws {
    let nanoseconds = try openingNanoseconds(policy, store(in: directory))
    guard let file = fopen("\(directory)/fresh", "w") else { throw BenchError("fopen") }
    fputs("\(nanoseconds)", file)
    fclose(file)
}

/// Nanoseconds a call, and how many times the same on `memory:` that is: batches on both take turns,
/// so that a neighbour on the core has its share of both.
private func alone(
    _ policy: String, _ seconds: Double, _ loop: (Gate, Int) throws -> Void
) throws -> [(String, Double)] {
    try inDirectory { directory in
        let (limiter, gate) = try openGate(policy, store: store(in: directory))
        defer { limiter.close() }
        let (memoryLimiter, memoryGate) = try openGate(policy)
        defer { memoryLimiter.close() }
        let (file, memory) = try nanosecondsPerCall(
            seconds: seconds, inTurn: { try loop(gate, $0) }, { try loop(memoryGate, $0) })
        return [("ns", file), ("times", file / memory)]
    }
}

/// Wall nanoseconds a call of both processes together, which this one only starts and stops, and how
/// many times what two threads on `memory:` take that is. Both take turns, and the medians count: a
/// neighbour that keeps one of the two from its core makes the other's calls faster.
private func onTwoProcesses(
    _ row: String, _ policy: String, _ seconds: Double,
    _ loop: @escaping @Sendable (Gate, Int) throws -> Void
) throws -> [(String, Double)] {
    var file: [Double] = []
    var times: [Double] = []
    for _ in 0..<5 {
        let memory = try onTwoThreads(policy, seconds / 2, gates: 1, loop)
        file.append(try processesTogether(row, seconds / 2))
        times.append(file[file.count - 1] / memory)
    }
    return [("ns", median(file)), ("times", median(times))]
}

private func processesTogether(_ row: String, _ seconds: Double) throws -> Double {
    try inDirectory { directory in
        let run = try SharedRun(path: runFile(in: directory))
        let workers = try (0..<2).map { _ in try startWorker(row, directory) }
        let result = Result { try run.nanosecondsPerCall(seconds: seconds, workers: 2) }
        for worker in workers { try finish(worker) }
        return try result.get()
    }
}

private func join(
    _ policy: String, _ directory: String, _ loop: (Gate, Int) throws -> Void
) throws {
    let run = try SharedRun(path: runFile(in: directory))
    let (limiter, gate) = try openGate(policy, store: store(in: directory))
    defer { limiter.close() }
    run.work { try loop(gate, $0) }
}

/// Milliseconds of opening a limiter on a file of 100,000 keys, with the document that it has: again
/// and again in one process, and for the first time in a process. Medians.
///
/// - Parameter limits: of the policy; each project has a key of each.
private func openings(
    _ row: String, _ policy: String, _ seconds: Double, limits: Int,
    _ loop: (Gate, Int) throws -> Void
) throws -> [(String, Double)] {
    try inDirectory { directory in
        let store = store(in: directory)
        do {
            let (limiter, _) = try openGate(policy, store: store)
            defer { limiter.close() }
            for index in 0..<100_000 / limits {
                try loop(try limiter.gate(["project": keyValue(index)]), 1)
            }
        }
        var again: [Double] = []
        let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
        repeat {
            again.append(try openingNanoseconds(policy, store))
        } while monotonicNanoseconds() < end
        let fresh = try (0..<9).map { _ in
            try finish(try startWorker(row, directory))
            return try number(in: "\(directory)/fresh")
        }
        return [("ms", median(again) / 1e6), ("fresh", median(fresh) / 1e6)]
    }
}

/// Closing is not counted.
private func openingNanoseconds(_ policy: String, _ store: String) throws -> Double {
    var options = Limiter.Options()
    options.store = store
    let start = monotonicNanoseconds()
    let limiter = try Limiter(policyJSON: policy, options: options)
    let end = monotonicNanoseconds()
    limiter.close()
    return Double(end - start)
}

private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

private func number(in path: String) throws -> Double {
    guard let file = fopen(path, "r") else { throw BenchError("\(path): errno \(errno)") }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 64)
    guard fgets(&line, Int32(line.count), file) != nil else { throw BenchError("\(path): empty") }
    return atof(line)
}

private func store(in directory: String) -> String { "file:\(directory)/quota" }

private func runFile(in directory: String) -> String { "\(directory)/run" }

/// A directory of its own in memory, or where temporary files go; it is gone afterwards.
private func inDirectory<Answer>(_ body: (String) throws -> Answer) throws -> Answer {
    let inMemory = access("/dev/shm", W_OK) == 0
    let parent = inMemory ? "/dev/shm" : getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    guard let template = strdup("\(parent)/admission-bench-XXXXXX") else {
        throw BenchError("strdup: errno \(errno)")
    }
    defer { free(template) }
    guard mkdtemp(template) != nil else { throw BenchError("mkdtemp: errno \(errno)") }
    let directory = String(cString: template)
    defer {
        for name in ["quota", "run", "fresh"] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }
    return try body(directory)
}

private func startWorker(_ row: String, _ directory: String) throws -> pid_t {
    let words = [CommandLine.arguments[0], "--worker", row, directory]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var worker: pid_t = 0
    let status = posix_spawn(&worker, "/proc/self/exe", nil, nil, &arguments, environ)
    guard status == 0 else { throw BenchError("posix_spawn: errno \(status)") }
    return worker
}

private func finish(_ worker: pid_t) throws {
    var status: Int32 = 0
    while waitpid(worker, &status, 0) < 0 {
        guard errno == EINTR else { throw BenchError("waitpid: errno \(errno)") }
    }
    guard status == 0 else { throw BenchError("a worker ended with status \(status)") }
}
