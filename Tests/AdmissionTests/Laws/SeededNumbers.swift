import Foundation

/// Numbers that look random and come back with the same seed: splitmix64 (Steele, Lea, Flood 2014).
struct SeededNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// 0 … bound - 1; the bias of the remainder does not matter here.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

    mutating func number(_ range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(range.upperBound - range.lowerBound)
        return range.lowerBound + Int64(width == .max ? next() : next() % (width + 1))
    }

    /// True in `part` of `whole` cases.
    mutating func isOne(of whole: Int, parts: Int = 1) -> Bool { below(whole) < parts }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[below(elements.count)]
    }
}

/// How long the tests of this run may take.
enum TestLength {
    /// `make soak`: minutes instead of seconds.
    static let isSoak = ProcessInfo.processInfo.environment["ADMISSION_SOAK"] == "1"

    /// The seed to begin with: `ADMISSION_SEED`, or one that never changes.
    static let seed =
        ProcessInfo.processInfo.environment["ADMISSION_SEED"].flatMap { UInt64($0) } ?? 20_261_122
}
