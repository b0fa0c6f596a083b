import Admission

/// How much of a scope's limits a process spends, and how large its next slice is to be.
///
/// Pure: counts and instants come in. Rates are units in a slice's lifetime, per limit.
struct SliceDemand: Sendable {
    private var rates: [Int64]
    private var countsBefore: [UInt64]
    private var ratedAt: Int64?

    init(count: Int) {
        rates = [Int64](repeating: 0, count: count)
        countsBefore = [UInt64](repeating: 0, count: count)
    }

    /// Units in a lifetime, by what was counted since the last look, which is believed at once where
    /// it is more, and by half where it is less.
    mutating func perLife(_ counts: [UInt64], now: Int64, lifetime: Int64) -> [Int64] {
        guard let ratedAt else {
            self.ratedAt = now
            countsBefore = counts
            return rates
        }
        let span = now - ratedAt
        guard span >= max(1, lifetime / 500) else { return rates }
        var found = rates
        for limit in counts.indices {
            let units = Int64(clamping: counts[limit] &- countsBefore[limit])
            let rate = units.scaled(by: lifetime, over: span)
            // A pause says that what was before it is over.
            let mean = span > 2 * lifetime ? rate : (rates[limit] + rate) / 2
            found[limit] = max(rate, mean)
        }
        if span >= lifetime / 8 {
            (rates, countsBefore, self.ratedAt) = (found, counts, now)
        } else {
            for limit in found.indices { found[limit] = max(found[limit], rates[limit]) }
        }
        return found
    }

    /// How much of some slices will have been spent when they end, one behind the other.
    ///
    /// - Parameter slices: units and how long they last, those that end first in front.
    static func spendable(
        _ slices: [(units: Int64, lasts: Int64)], perLife: Int64, lifetime: Int64
    ) -> Int64 {
        var (sum, spentAt) = (Int64(0), Int64(0))
        for slice in slices where slice.lasts > spentAt {
            let units = min(
                slice.units, perLife.scaled(by: slice.lasts - spentAt, over: lifetime))
            sum = sum.addingSaturated(units)
            spentAt += units.scaled(by: lifetime, over: perLife)
        }
        return sum
    }

    /// The part of what the server has left that one slice takes at most, as a divisor: processes that
    /// ask at the same time leave something for each other.
    static let shareDivisor: Int64 = 8

    /// The next slice, by limit; nil: none is worth asking for, or there is too little left, so that
    /// each decision is the server's.
    ///
    /// - Parameters:
    ///   - perLife: units in a lifetime.
    ///   - usual: units of one decision.
    ///   - inHand: units that the process will have spent in a lifetime of what it has.
    ///   - left: units that the server had left.
    static func slice(
        perLife: [Int64], usual: [Int64], inHand: [Int64], left: [Int64]
    ) -> [Int64]? {
        let targets = perLife.indices.map { limit in
            perLife[limit] == 0
                ? 0
                : max(
                    perLife[limit].scaled(by: 5, over: 4),
                    usual[limit].addingSaturated(usual[limit]))
        }
        // A decision takes from one slice alone: its limits are lacking together.
        var lacking: Int64 = 0
        for limit in targets.indices where targets[limit] > 0 {
            guard perLife[limit] >= usual[limit] else { return nil }
            let missing = targets[limit] - inHand[limit]
            lacking = max(lacking, missing.scaled(by: 1_024, over: targets[limit]))
        }
        guard lacking >= 64 else { return nil }
        for limit in targets.indices where targets[limit] > 0 {
            let most = (left[limit] / shareDivisor).scaled(by: 1_024, over: targets[limit])
            lacking = min(lacking, most)
        }
        let wanted = targets.indices.map { limit in
            min(
                max(targets[limit].scaled(by: lacking, over: 1_024), usual[limit] * 2),
                SliceSlots.mostUnits)
        }
        for limit in targets.indices where wanted[limit] > 0 {
            guard wanted[limit] <= left[limit] / shareDivisor else { return nil }
        }
        return wanted.contains { $0 > 0 } ? wanted : nil
    }
}

extension Int64 {
    /// `self x factor / divisor`, rounded down, saturated; 0 for what is below 0.
    func scaled(by factor: Int64, over divisor: Int64) -> Int64 {
        guard self > 0, factor > 0, divisor > 0 else { return 0 }
        let product = UInt128(UInt64(self)) * UInt128(UInt64(factor))
        return Int64(clamping: product / UInt128(UInt64(divisor)))
    }
}
