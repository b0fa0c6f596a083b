import CCounter
import Glibc
import Synchronization

/// Where steady time is read from.
package enum ClockSource: UInt64, Sendable {
    /// The processor's counter, scaled; checked against the kernel's clock every second.
    case counter = 1
    /// `clock_gettime(CLOCK_MONOTONIC)` for every reading.
    case kernel = 2
}

/// The process's steady clock: the processor's counter where the kernel itself keeps time by it.
///
/// A reading costs one counter read, one multiplication and five loads (about 10 ns where
/// `clock_gettime` takes 25). Once a second one caller compares with the kernel's monotonic clock
/// and lays a new anchor that starts at the larger of both and slews; a disagreement of more than
/// 1 ms plus a thousandth of the time since the last anchor means `clock_gettime` for good. The
/// same caller reads the wall clock's offset again.
///
/// Threads: any. Progress: wait-free; a caller that finds another one laying an anchor goes on
/// with the old. After fork() the child takes over a claim that its parent's thread held.
///
/// It lies in the program's own data and not behind a pointer, so that a decision reads it beside
/// what it looks up, and not behind that. Before `start()` no anchor is valid.
package struct CounterClock: ~Copyable, Sendable {
    /// The one clock of this process. Its fields are constants: the compiler lays it out, and no
    /// one-time initialisation runs in front of a reading.
    package static let shared = CounterClock()

    /// Keeps the fields below off the line of whatever lies in front: they are hardly ever written.
    private let front = CounterAnchor()
    /// Number of anchors laid; its lowest bit tells the slot in use. Written by the claimant only.
    private let index = Atomic<UInt64>(0)
    private let even = CounterAnchor()
    private let odd = CounterAnchor()
    /// Wall nanoseconds minus steady nanoseconds.
    private let wallOffset = Atomic<Int64>(0)
    /// Identity of the process of which a thread is laying an anchor; 0 when none is.
    private let claim = Atomic<UInt64>(0)
    /// `ClockSource`; never goes from kernel to counter.
    private let source = Atomic<UInt64>(ClockSource.counter.rawValue)
    /// Added to the kernel's clock once the counter was given up, so that time never goes back.
    private let kernelOffset = Atomic<Int64>(0)
    /// Monotonic instant of the last reading of the wall clock.
    private let wallReadAt = Atomic<Int64>(0)
    /// Nanoseconds by which counter and kernel disagreed when the counter was given up.
    private let disagreement = Atomic<Int64>(0)
    /// First sample of the calibration: ticks and nanoseconds. Written by `start()` alone.
    private let firstTicks = Atomic<UInt64>(0)
    private let firstNanoseconds = Atomic<Int64>(0)
    private let back = CounterAnchor()

    private init() {}

    /// Why the counter is not trusted from the beginning, if so; asking for it begins calibration.
    private static let distrust: String? = {
        let sample = CounterSample.take()
        shared.firstTicks.store(sample.ticks, ordering: .relaxed)
        shared.firstNanoseconds.store(sample.monotonicNanoseconds, ordering: .relaxed)
        let distrust = reasonForDistrust()
        if distrust != nil {
            shared.source.store(ClockSource.kernel.rawValue, ordering: .relaxed)
        }
        shared.readWall(
            monotonic: sample.monotonicNanoseconds, steady: sample.monotonicNanoseconds)
        return distrust
    }()

    /// Begins calibration, unless it has begun. Before the first reading.
    package static func start() { _ = distrust }

    /// Monotonic nanoseconds, never below what the same thread read before.
    @inline(__always)
    package func nanoseconds() -> Int64 {
        nanosecondsByAnchor() ?? slowNanoseconds()
    }

    /// The same where the last anchor is good; nil: ask `nanoseconds()`. Calls nothing, so that a
    /// caller that can return on nil keeps its registers.
    @inline(__always)
    package func nanosecondsByAnchor() -> Int64? {
        // Acquire: pairs with the release in `lay(_:)`; the slot's fields are whole.
        let number = index.load(ordering: .acquiring)
        let anchorTicks: UInt64
        let start: UInt64
        let multiplier: UInt64
        let valid: UInt64
        if number & 1 == 0 {
            anchorTicks = even.ticks.load(ordering: .relaxed)
            start = even.nanoseconds.load(ordering: .relaxed)
            multiplier = even.multiplier.load(ordering: .relaxed)
            valid = even.validTicks.load(ordering: .relaxed)
        } else {
            anchorTicks = odd.ticks.load(ordering: .relaxed)
            start = odd.nanoseconds.load(ordering: .relaxed)
            multiplier = odd.multiplier.load(ordering: .relaxed)
            valid = odd.validTicks.load(ordering: .relaxed)
        }
        let elapsed = admission_counter_read() &- anchorTicks
        atomicMemoryFence(ordering: .acquiring)
        // The product stays below 2^63: `valid` is one second, so it is at most 2^62.
        if _fastPath(elapsed < valid && index.load(ordering: .relaxed) == number) {
            return Int64(bitPattern: start &+ (elapsed &* multiplier) >> 32)
        }
        return nil
    }

    /// Steady nanoseconds at the kernel's last tick, some milliseconds late.
    package func coarseNanoseconds() -> Int64 {
        KernelClock.coarseNanoseconds() &+ kernelOffset.load(ordering: .relaxed)
    }

    /// What to add to steady nanoseconds to get wall nanoseconds; at most a second old.
    @inline(__always)
    package func wallOffsetNanoseconds() -> Int64 {
        wallOffset.load(ordering: .relaxed)
    }

    /// The source in use and, where it is the kernel's clock, why.
    package func describe() -> (source: String, reason: String) {
        guard source.load(ordering: .relaxed) == ClockSource.kernel.rawValue else {
            #if arch(x86_64)
                return ("tsc", "the kernel's clock source is the counter")
            #else
                return ("cntvct", "the kernel's clock source is the counter")
            #endif
        }
        if let distrust = Self.distrust { return ("clock_gettime", distrust) }
        let nanoseconds = disagreement.load(ordering: .relaxed)
        return ("clock_gettime", "counter and kernel clock disagreed by \(nanoseconds) ns")
    }

    /// Why the counter is not to be trusted, or nil where the kernel itself keeps time by it.
    private static func reasonForDistrust() -> String? {
        if let forced = getenv("ADMISSION_CLOCK_SOURCE"), strcmp(forced, "clock_gettime") == 0 {
            return "ADMISSION_CLOCK_SOURCE asks for it"
        }
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        guard let file = fopen(path, "r") else { return "\(path) cannot be read" }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 64)
        let length = fread(&line, 1, line.count, file)
        let name = String(decoding: line[..<length].prefix { $0 > 32 }, as: UTF8.self)
        #if arch(x86_64)
            let trusted = "tsc"
        #elseif arch(arm64)
            let trusted = "arch_sys_counter"
        #else
            let trusted = "a counter that this processor's port knows"
        #endif
        return name == trusted ? nil : "the kernel's clock source is \(name), not \(trusted)"
    }
}

extension CounterClock {
    @inline(never)
    private func slowNanoseconds() -> Int64 {
        Self.start()
        if source.load(ordering: .relaxed) == ClockSource.kernel.rawValue {
            let monotonic = KernelClock.monotonicNanoseconds()
            let steady = monotonic &+ kernelOffset.load(ordering: .acquiring)
            if monotonic &- wallReadAt.load(ordering: .relaxed) >= 1_000_000_000 {
                readWall(monotonic: monotonic, steady: steady)
            }
            return steady
        }
        let identity = ProcessIdentity.current()
        let holder = claim.load(ordering: .relaxed)
        // Acquire and release on the claim order one claimant's writes before the next one's.
        guard holder != identity,
            claim.compareExchange(
                expected: holder, desired: identity, ordering: .acquiringAndReleasing
            ).exchanged
        else { return extrapolated() }
        let steady = lay(CounterSample.take())
        claim.store(0, ordering: .releasing)
        return steady
    }

    /// The last anchor's line, however old it is: for callers that meet a claimant at work.
    private func extrapolated() -> Int64 {
        while true {
            let number = index.load(ordering: .acquiring)
            guard number > 0 else { return KernelClock.monotonicNanoseconds() }
            let value = scaled(admission_counter_read(), number)
            atomicMemoryFence(ordering: .acquiring)
            if index.load(ordering: .relaxed) == number { return value }
        }
    }

    private func scaled(_ ticks: UInt64, _ number: UInt64) -> Int64 {
        let anchorTicks: UInt64
        let start: UInt64
        let multiplier: UInt64
        if number & 1 == 0 {
            anchorTicks = even.ticks.load(ordering: .relaxed)
            start = even.nanoseconds.load(ordering: .relaxed)
            multiplier = even.multiplier.load(ordering: .relaxed)
        } else {
            anchorTicks = odd.ticks.load(ordering: .relaxed)
            start = odd.nanoseconds.load(ordering: .relaxed)
            multiplier = odd.multiplier.load(ordering: .relaxed)
        }
        let elapsed = max(0, Int64(bitPattern: ticks &- anchorTicks))
        let product = UInt64(elapsed).multipliedFullWidth(by: multiplier)
        return Int64(bitPattern: start &+ (product.high << 32 | product.low >> 32))
    }

    /// Lays the next anchor from a fresh sample and returns steady time at it. Claimant only.
    private func lay(_ sample: CounterSample) -> Int64 {
        let number = index.load(ordering: .relaxed)
        let monotonic = sample.monotonicNanoseconds
        guard number > 0 else { return layFirst(sample) }
        let estimate = scaled(sample.ticks, number)
        let error = monotonic &- estimate
        let slot = number & 1
        let lastTicks =
            slot == 0 ? even.ticks.load(ordering: .relaxed) : odd.ticks.load(ordering: .relaxed)
        let lastStart = Int64(
            bitPattern: slot == 0
                ? even.nanoseconds.load(ordering: .relaxed)
                : odd.nanoseconds.load(ordering: .relaxed))
        let elapsed = estimate &- lastStart
        if abs(error) > 1_000_000 &+ elapsed / 1_000 {
            disagreement.store(error, ordering: .relaxed)
            kernelOffset.store(max(0, -error), ordering: .releasing)
            source.store(ClockSource.kernel.rawValue, ordering: .releasing)
            lay(number: number, ticks: lastTicks, start: lastStart, multiplier: 0, valid: 0)
            return max(estimate, monotonic)
        }
        let start = max(estimate, monotonic)
        var multiplier = scaleSinceStart(to: sample)
        // Ahead of the kernel: run slower by the lead, so that both meet after a second.
        let lead = start &- monotonic
        multiplier -= multiplier * UInt64(min(lead, 500_000)) / 1_000_000_000
        install(number: number, ticks: sample.ticks, start: start, multiplier: multiplier)
        readWall(monotonic: monotonic, steady: start)
        return start
    }

    /// Lays the first anchor once the calibration spans 2 ms; the kernel's clock serves till then.
    private func layFirst(_ sample: CounterSample) -> Int64 {
        let monotonic = sample.monotonicNanoseconds
        guard monotonic &- firstNanoseconds.load(ordering: .relaxed) >= 2_000_000,
            sample.ticks > firstTicks.load(ordering: .relaxed)
        else { return monotonic }
        let multiplier = scaleSinceStart(to: sample)
        install(number: 0, ticks: sample.ticks, start: monotonic, multiplier: multiplier)
        readWall(monotonic: monotonic, steady: monotonic)
        return monotonic
    }

    /// Nanoseconds per tick, times 2^32, from the first sample to this one.
    private func scaleSinceStart(to sample: CounterSample) -> UInt64 {
        let first = firstNanoseconds.load(ordering: .relaxed)
        let span = UInt64(sample.monotonicNanoseconds &- first)
        let divisor = max(1, sample.ticks &- firstTicks.load(ordering: .relaxed))
        let dividend = span.multipliedFullWidth(by: 1 << 32)
        guard dividend.high < divisor else { return 1 << 32 }
        return divisor.dividingFullWidth(dividend).quotient
    }

    private func install(number: UInt64, ticks: UInt64, start: Int64, multiplier: UInt64) {
        let second = (UInt64(1_000_000_000) << 32) / max(1, multiplier)
        lay(number: number, ticks: ticks, start: start, multiplier: multiplier, valid: second)
    }

    private func lay(number: UInt64, ticks: UInt64, start: Int64, multiplier: UInt64, valid: UInt64)
    {
        let next = number &+ 1
        // Readers of slot `next & 1` are gone or will see `index` change: it held anchor next - 2.
        func fill(_ anchor: borrowing CounterAnchor) {
            anchor.ticks.store(ticks, ordering: .relaxed)
            anchor.nanoseconds.store(UInt64(bitPattern: start), ordering: .relaxed)
            anchor.multiplier.store(multiplier, ordering: .relaxed)
            anchor.validTicks.store(valid, ordering: .relaxed)
        }
        // The fence keeps the fields behind the last change of `index` for those readers.
        atomicMemoryFence(ordering: .acquiringAndReleasing)
        if next & 1 == 0 { fill(even) } else { fill(odd) }
        // Release: pairs with the acquire in `nanoseconds()`.
        index.store(next, ordering: .releasing)
    }

    private func readWall(monotonic: Int64, steady: Int64) {
        let behind = KernelClock.monotonicNanoseconds() &- monotonic
        let offset = KernelClock.wallNanoseconds() &- behind &- steady
        wallReadAt.store(monotonic, ordering: .relaxed)
        // An unmoved clock keeps its offset to the nanosecond: only a difference that reading two
        // clocks cannot explain is a step or a slew worth following.
        let last = wallOffset.load(ordering: .relaxed)
        if abs(offset &- last) > 50_000 { wallOffset.store(offset, ordering: .relaxed) }
        SecondHook.call()
    }
}
