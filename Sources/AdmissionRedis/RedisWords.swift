/// Words of the scripts' wire format: integers below 2^53, packed as 64 bits, little endian.
enum RedisWords {
    /// 2^53 - 1: the largest integer that every number up to it tells apart in a script.
    static let most: Int64 = 9_007_199_254_740_991

    static func pack(_ words: some Sequence<Int64>) -> [UInt8] {
        var bytes: [UInt8] = []
        for word in words { bytes.append(word: word) }
        return bytes
    }

    /// Words that no script could have packed are those of no script.
    static func unpack(_ bytes: [UInt8]) -> [Int64]? {
        guard bytes.count % 8 == 0 else { return nil }
        var words: [Int64] = []
        words.reserveCapacity(bytes.count / 8)
        for start in stride(from: 0, to: bytes.count, by: 8) {
            var word: UInt64 = 0
            for place in (0..<8).reversed() { word = word << 8 | UInt64(bytes[start + place]) }
            guard word <= UInt64(most) else { return nil }
            words.append(Int64(word))
        }
        return words
    }

    /// Whole microseconds, rounded up: no lease, window or guard is shorter than its document says.
    static func microsecondsUp(_ nanoseconds: Int64) -> Int64 {
        min(most, nanoseconds / 1_000 + (nanoseconds % 1_000 > 0 ? 1 : 0))
    }

    /// Nanoseconds of an instant or span; beyond 292 years the end of the range.
    static func nanoseconds(_ microseconds: Int64) -> Int64 {
        let (product, overflow) = microseconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? .max : product
    }
}

extension [UInt8] {
    mutating func append(word: Int64) {
        let word = UInt64(bitPattern: Swift.min(Swift.max(0, word), RedisWords.most))
        for place in 0..<8 { append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(place)))) }
    }
}
