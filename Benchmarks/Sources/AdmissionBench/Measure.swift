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

/// Wall nanoseconds a call of all threads together: two threads that do not disturb each other give
/// half of what one gives.
func nanosecondsPerCall(
    seconds: Double, threads batches: [@Sendable (Int) throws -> Void]
) throws -> Double {
    let run = ThreadedRun()
    let threads = try batches.map { batch in
        try startThread {
            run.ready.wrappingAdd(1, ordering: .relaxed)
            do {
                while run.phase.load(ordering: .acquiring) == 0 { try batch(batchCalls) }
                var calls = 0
                while run.phase.load(ordering: .acquiring) == 1 {
                    try batch(batchCalls)
                    calls += batchCalls
                }
                run.calls.wrappingAdd(calls, ordering: .relaxed)
            } catch {
                run.failures.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }
    pause(seconds: seconds / 10)
    let start = monotonicNanoseconds()
    run.phase.store(1, ordering: .releasing)
    pause(seconds: seconds)
    run.phase.store(2, ordering: .releasing)
    let end = monotonicNanoseconds()
    for thread in threads { pthread_join(thread, nil) }
    guard run.failures.load(ordering: .relaxed) == 0 else { throw BenchError("a thread failed") }
    return Double(end - start) / Double(run.calls.load(ordering: .relaxed))
}

/// What the threads of one run share: the phase (0 warm up, 1 count, 2 stop) and their sums.
private final class ThreadedRun: Sendable {
    let phase = Atomic<Int>(0)
    let ready = Atomic<Int>(0)
    let calls = Atomic<Int>(0)
    let failures = Atomic<Int>(0)
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
