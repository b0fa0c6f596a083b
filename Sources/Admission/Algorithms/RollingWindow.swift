/// At most `limit` units in every window of a length plus its guard: a hard bound, no estimate.
///
/// Time is cut into cells of (window + guard) / cells, rounded up to a nanosecond. The current
/// cell and the `cells` before it are counted in full, so any window of the promised length lies
/// inside what is counted. A unit comes back at the latest (cells + 1) cells - window after a plain
/// log would give it back; a saturated limit yields 60/61 of the log (96/97 above an hour).
///
/// State: a ring of cells + 1 words, each `epoch:22 | sealed:1 | count:41`, and a word `base`,
/// `epoch:22 | sum:42`, with the sum of the sealed cells that still count in its epoch. This type
/// is the arithmetic of those words; `RollingCells` in the segment is the protocol on them.
///
/// Sub-windows counted in full are the usual sliding-window counter made exact (compare Figma's
/// and Cloudflare's, 2017, which weigh the oldest part and so only estimate); the turn by sealing
/// is ours.
package struct RollingWindow: Sendable, Hashable {
    /// The most units in any window.
    package let limit: Int64
    /// Window plus guard, in nanoseconds.
    package let spanNanoseconds: Int64
    /// Length of a cell in nanoseconds.
    package let cellNanoseconds: UInt64
    /// Number of full cells behind the current one: 60, or 96 above an hour.
    package let cells: Int
    /// floor((2^64 - 1) / cellNanoseconds).
    package let cellReciprocal: UInt64
    /// ceil(2^64 / (cells + 1)).
    package let ringReciprocal: UInt64

    /// Added to every epoch, so that the epochs before the first are not negative.
    private static let firstEpoch: UInt64 = 128

    /// - Parameters:
    ///   - limit: units, 1 … 10^12.
    ///   - windowNanoseconds: 1 or more.
    ///   - guardNanoseconds: 0 or more, below the window.
    package init(limit: Int64, windowNanoseconds: Int64, guardNanoseconds: Int64) {
        self.limit = limit
        spanNanoseconds = max(1, windowNanoseconds.addingSaturated(guardNanoseconds))
        cells = windowNanoseconds > 3_600_000_000_000 ? 96 : 60
        let length = UInt64(spanNanoseconds)
        cellNanoseconds = (length + UInt64(cells) - 1) / UInt64(cells)
        cellReciprocal = UInt64.max / cellNanoseconds
        ringReciprocal = UInt64.max / UInt64(cells + 1) + 1
    }

    /// Words in the ring.
    package var ringCount: Int { cells + 1 }

    /// The number of the cell that holds an instant.
    @inline(__always)
    package func epoch(at now: Int64) -> UInt64 {
        let now = UInt64(bitPattern: now)
        var quotient = now.multipliedFullWidth(by: cellReciprocal).high
        // The reciprocal is rounded down: the quotient is exact or one too small.
        if now &- quotient &* cellNanoseconds >= cellNanoseconds { quotient &+= 1 }
        return quotient &+ Self.firstEpoch
    }

    /// The first instant of a cell.
    @inline(__always)
    package func start(ofEpoch epoch: UInt64) -> Int64 {
        Int64(bitPattern: (epoch &- Self.firstEpoch) &* cellNanoseconds)
    }

    /// Whether a cell holds an instant; for an epoch that may be any number.
    @inline(__always)
    package func holds(_ epoch: UInt64, _ now: Int64) -> Bool {
        UInt64(bitPattern: now &- start(ofEpoch: epoch)) < cellNanoseconds
    }

    /// Where in the ring a cell lies. Exact for epochs below 2^57.
    @inline(__always)
    package func slot(ofEpoch epoch: UInt64) -> Int {
        let quotient = epoch.multipliedFullWidth(by: ringReciprocal).high
        return Int(truncatingIfNeeded: epoch &- quotient &* UInt64(truncatingIfNeeded: cells &+ 1))
    }
}

/// The words of a rolling window.
extension RollingWindow {
    /// Bits of an epoch that a word keeps.
    package static let epochMask: UInt64 = (1 << 22) - 1
    /// The newest epoch that any clock reaches: `slot` is exact up to here.
    package static let largestEpoch: UInt64 = (1 << 57) - 1
    /// The largest count a cell holds; more saturates.
    package static let largestCount: UInt64 = (1 << 41) - 2
    /// The largest sum a base holds.
    package static let largestSum: UInt64 = (1 << 42) - 2

    private static let countMask: UInt64 = (1 << 41) - 1
    private static let sumMask: UInt64 = (1 << 42) - 1
    private static let sealedBit: UInt64 = 1 << 41

    /// A cell's word.
    @inline(__always)
    package static func cell(epoch: UInt64, count: UInt64, isSealed: Bool) -> UInt64 {
        epoch << 42 | (isSealed ? sealedBit : 0) | count
    }

    /// The word of the current cell of a key that was retired; final.
    @inline(__always)
    package static func retiredCell(epoch: UInt64) -> UInt64 {
        epoch << 42 | sealedBit | countMask
    }

    @inline(__always)
    package static func isRetired(cell: UInt64) -> Bool {
        cell & (sealedBit | countMask) == sealedBit | countMask
    }

    @inline(__always)
    package static func isSealed(cell: UInt64) -> Bool { cell & sealedBit != 0 }

    @inline(__always)
    package static func count(ofCell cell: UInt64) -> UInt64 { cell & countMask }

    @inline(__always)
    package static func sealing(cell: UInt64) -> UInt64 { cell | sealedBit }

    /// The same cell with another count.
    @inline(__always)
    package static func cell(_ cell: UInt64, counting count: UInt64) -> UInt64 {
        cell & ~countMask | count
    }

    /// Whether a cell or base word carries this epoch, as far as it keeps epochs.
    @inline(__always)
    package static func carries(_ word: UInt64, epoch: UInt64) -> Bool {
        word >> 42 == epoch & epochMask
    }

    /// Whether a cell's word is of a later epoch, by signed distance.
    package static func isLater(_ word: UInt64, than epoch: UInt64) -> Bool {
        let distance = (word >> 42 &- epoch) & epochMask
        return distance != 0 && distance < 1 << 21
    }

    @inline(__always)
    package static func base(epoch: UInt64, sum: UInt64) -> UInt64 {
        epoch << 42 | min(sum, largestSum)
    }

    @inline(__always)
    package static func sum(ofBase base: UInt64) -> UInt64 { base & sumMask }
}
