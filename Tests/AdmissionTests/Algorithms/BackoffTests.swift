import Testing

@testable import Admission

@Suite struct BackoffTests {
    private let backoff = Backoff(baseNanoseconds: 50, ceilingNanoseconds: 1_000)

    @Test("the longest wait doubles up to the ceiling, at any attempt")
    func longest() {
        let longest = [-1, 0, 1, 4, 5, 62, 63, 64, 1_000, .max].map(backoff.longestNanoseconds)
        #expect(longest == [50, 50, 100, 800, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000])
        let wide = Backoff(baseNanoseconds: 1, ceilingNanoseconds: .max)
        #expect(wide.longestNanoseconds(attempt: 61) == 1 << 61)
        #expect(wide.longestNanoseconds(attempt: 62) == .max)
        #expect(
            Backoff(baseNanoseconds: .max, ceilingNanoseconds: .max).longestNanoseconds(attempt: 1)
                == .max)
    }

    @Test("the jitter is full: from nothing to the longest wait, evenly")
    func jitter() {
        #expect(backoff.nanoseconds(attempt: 1, random: 0) == 0)
        #expect(backoff.nanoseconds(attempt: 1, random: .max) == 100)
        #expect(backoff.nanoseconds(attempt: 1, random: 1 << 63) == 50)
        let wide = Backoff(baseNanoseconds: .max, ceilingNanoseconds: .max)
        #expect(wide.nanoseconds(attempt: 9, random: .max) == .max)
        var numbers = SeededNumbers(seed: TestLength.seed)
        var counts = [Int](repeating: 0, count: 4)
        for _ in 0..<40_000 {
            let wait = backoff.nanoseconds(attempt: 4, random: numbers.next())
            counts[Int(min(3, wait * 4 / 801))] += 1
        }
        #expect(counts.allSatisfy { (9_500...10_500).contains($0) }, "\(counts)")
    }
}
