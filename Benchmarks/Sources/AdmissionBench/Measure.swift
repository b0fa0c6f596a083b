import Glibc
import Synchronization

/// Calls between two looks at the clock: the look costs 25 ns, so it adds 0.025 ns to a call.
let batchCalls = 1_000

/// Steady nanoseconds of the kernel's clock: benchmarks do not measure with the clock they test.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Makes this many calls. Throws where a call does not do what the row claims to measure.
typealias Batch = (_ calls: Int) throws -> Void

/// Nanoseconds a call: the fastest tenth's slowest batch of `seconds`, after a warm-up of a tenth of
/// that. It leaves out the batches in which another process, or a neighbour on the same core, had
/// its share of it.
///
/// - Parameter calls: calls in a batch; fewer for rows whose call takes microseconds.
func nanosecondsPerCall(seconds: Double, calls: Int = batchCalls, _ batch: Batch) throws -> Double {
    let warm = monotonicNanoseconds() + UInt64(seconds * 1e8)
    repeat { try batch(calls) } while monotonicNanoseconds() < warm
    let samples = try sortedBatchNanoseconds(seconds: seconds, calls: calls, batch)
    return samples[samples.count / 10]
}

/// As above for two that take turns, batch by batch, so that what disturbs one disturbs the other.
func nanosecondsPerCall(
    seconds: Double, inTurn first: Batch, _ second: Batch
) throws -> (Double, Double) {
    var samples: (first: [Double], second: [Double]) = ([], [])
    let start = monotonicNanoseconds()
    let warm = start + UInt64(seconds * 2e8)
    let end = warm + UInt64(seconds * 2e9)
    var last = start
    func sample(_ batch: Batch, _ keep: inout [Double]) throws {
        try batch(batchCalls)
        let now = monotonicNanoseconds()
        if last >= warm { keep.append(Double(now - last) / Double(batchCalls)) }
        last = now
    }
    repeat {
        try sample(first, &samples.first)
        try sample(second, &samples.second)
    } while last < end
    samples.first.sort()
    samples.second.sort()
    return (samples.first[samples.first.count / 10], samples.second[samples.second.count / 10])
}

/// Wall nanoseconds a call of all threads together: two threads that do not disturb each other give
/// half of what one gives.
func nanosecondsPerCall(
    seconds: Double, threads batches: [@Sendable (Int) throws -> Void]
) throws -> Double {
    let run = try SharedRun()
    let threads = try batches.map { batch in try startThread { run.work(batch) } }
    let result = Result { try run.nanosecondsPerCall(seconds: seconds, workers: threads.count) }
    for thread in threads { pthread_join(thread, nil) }
    return try result.get()
}

/// What the threads or processes of one run share, each word on cache lines of its own: the phase
/// (0 warm up, 1 count, 2 stop) and their sums.
// Its memory holds atomics alone.
final class SharedRun: @unchecked Sendable {
    private static let bytes = 4_096
    private let memory: UnsafeMutableRawPointer

    /// - Parameter path: a file that holds the words, made where it is new; nil: this process alone.
    init(path: String? = nil) throws {
        var descriptor: Int32 = -1
        if let path {
            descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0, ftruncate(descriptor, Self.bytes) == 0 else {
                throw BenchError("\(path): errno \(errno)")
            }
        }
        let flags = path == nil ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED
        let mapped = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, flags, descriptor, 0)
        if descriptor >= 0 { close(descriptor) }
        guard let mapped, mapped != MAP_FAILED else { throw BenchError("mmap: errno \(errno)") }
        memory = mapped
    }

    deinit {
        munmap(memory, Self.bytes)
    }

    private func word(_ index: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        (memory + index * 256).assumingMemoryBound(to: Atomic<Int>.self)
    }

    private var phase: UnsafeMutablePointer<Atomic<Int>> { word(0) }
    private var ready: UnsafeMutablePointer<Atomic<Int>> { word(1) }
    private var calls: UnsafeMutablePointer<Atomic<Int>> { word(2) }
    private var ended: UnsafeMutablePointer<Atomic<Int>> { word(3) }
    private var failures: UnsafeMutablePointer<Atomic<Int>> { word(4) }

    /// One worker's part: calls until it is told to stop.
    func work(_ batch: Batch) {
        ready.pointee.wrappingAdd(1, ordering: .relaxed)
        do {
            while phase.pointee.load(ordering: .acquiring) == 0 { try batch(batchCalls) }
            var made = 0
            while phase.pointee.load(ordering: .acquiring) == 1 {
                try batch(batchCalls)
                made += batchCalls
            }
            calls.pointee.wrappingAdd(made, ordering: .relaxed)
        } catch {
            failures.pointee.wrappingAdd(1, ordering: .relaxed)
        }
        ended.pointee.wrappingAdd(1, ordering: .releasing)
    }

    /// Has the workers run together: wall nanoseconds a call of all of them.
    func nanosecondsPerCall(seconds: Double, workers: Int) throws -> Double {
        // However it ends, the workers do.
        defer { phase.pointee.store(2, ordering: .releasing) }
        try wait("begin") { ready.pointee.load(ordering: .acquiring) == workers }
        pause(seconds: seconds / 10)
        let start = monotonicNanoseconds()
        phase.pointee.store(1, ordering: .releasing)
        pause(seconds: seconds)
        phase.pointee.store(2, ordering: .releasing)
        let end = monotonicNanoseconds()
        try wait("end") { ended.pointee.load(ordering: .acquiring) == workers }
        guard failures.pointee.load(ordering: .relaxed) == 0 else {
            throw BenchError("a worker failed")
        }
        return Double(end - start) / Double(calls.pointee.load(ordering: .relaxed))
    }

    private func wait(_ what: String, until done: () -> Bool) throws {
        let limit = monotonicNanoseconds() + 20_000_000_000
        while !done() {
            guard monotonicNanoseconds() < limit else {
                throw BenchError("a worker did not \(what)")
            }
            pause(seconds: 0.000_1)
        }
    }
}

private final class ThreadBody {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}

private func startThread(_ body: @escaping @Sendable () -> Void) throws -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let status = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, argument)
    guard status == 0 else { throw BenchError("pthread_create: \(status)") }
    return thread
}

private func pause(seconds: Double) {
    var time = timespec(
        tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    nanosleep(&time, nil)
}

/// Nanoseconds a call of every batch of `calls`, sorted: what a percentile is read from.
///
/// A batch is as short as the clock allows: at 16 calls its reading adds under 2 ns to a call.
func sortedBatchNanoseconds(seconds: Double, calls: Int, _ batch: Batch) throws -> [Double] {
    var samples: [Double] = []
    samples.reserveCapacity(1 << 22)
    var last = monotonicNanoseconds()
    let end = last + UInt64(seconds * 1e9)
    repeat {
        try batch(calls)
        let now = monotonicNanoseconds()
        samples.append(Double(now - last) / Double(calls))
        last = now
    } while last < end && samples.count < 1 << 22
    samples.sort()
    return samples
}

/// What a row did that it does not claim to measure: a refusal where all should pass, for example.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A small seeded generator (PCG's multiplier), so that every run visits the same order.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var mixed = state
        mixed ^= mixed >> 32
        mixed = mixed &* 0xd6e8_feb8_6659_fd93
        return mixed ^ (mixed >> 32)
    }
}
