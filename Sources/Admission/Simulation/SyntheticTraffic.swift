/// Traffic made from a seed, for when there is no trace: a steady base with bursts.
///
/// ```swift
/// var traffic = SyntheticTraffic(seed: 7)
/// traffic.requestsPerMinute = 20
/// let workload = try Workload(traffic)
/// ```
///
/// Equal values give equal workloads, on every machine: the numbers come from SplitMix64 and
/// integers alone. The defaults look like an hour of a coding assistant: about 165 calls a minute,
/// six times the base for a minute in every ten, prompts from 64 to 7,437 tokens. Bursts take turns:
/// one of rather short prompts, one of rather long ones, so that limits on calls and limits on tokens
/// both have something to do. It models no daily rhythm, and callers are equally busy.
public struct SyntheticTraffic: Sendable, Hashable {
    /// Chooses the traffic among all that these settings allow.
    public var seed: UInt64
    /// How long calls arrive, 0 to 366 days.
    public var durationNanoseconds: Int64 = 3_600_000_000_000
    /// Calls a minute outside bursts, on average, 1 to 1,000,000.
    public var requestsPerMinute: Int64 = 110
    /// How many times the base rate a burst has, 1 to 1,000; 1 makes no bursts.
    public var burstFactor: Int64 = 6
    /// A burst begins somewhere in each of these spans; more than 0.
    public var burstEveryNanoseconds: Int64 = 600_000_000_000
    /// How long a burst lasts: 0 to `burstEveryNanoseconds`.
    public var burstNanoseconds: Int64 = 60_000_000_000
    /// Tokens that a call sends; small ones are more frequent than large ones.
    public var inputTokens: ClosedRange<Int64> = 64...7_437
    /// Tokens that a call gets back; small ones are more frequent than large ones.
    public var outputTokens: ClosedRange<Int64> = 4...255
    /// Wall time of the start; 2025-11-17 18:00 UTC by default, ten in the morning in California.
    public var startUnixNanoseconds: Int64 = 1_763_402_400_000_000_000
    /// Who calls, one attribute set each; at least one.
    public var callers: [[Attribute]] = [[]]

    /// The default traffic of that seed.
    public init(seed: UInt64) {
        self.seed = seed
    }

    /// Why the settings cannot be used, or nil.
    fileprivate var complaint: String? {
        let tokens = 0...Workload.maximumTokens
        if !(0...31_622_400_000_000_000).contains(durationNanoseconds) {
            return "the duration is \(durationNanoseconds) ns; 0 to 366 days fit"
        }
        if !(1...1_000_000).contains(requestsPerMinute) {
            return "\(requestsPerMinute) requests a minute; 1 to 1,000,000 fit"
        }
        if !(1...1_000).contains(burstFactor) {
            return "the burst factor is \(burstFactor); 1 to 1,000 fit"
        }
        if burstEveryNanoseconds <= 0 || !(0...burstEveryNanoseconds).contains(burstNanoseconds) {
            return "a burst of \(burstNanoseconds) ns does not fit into \(burstEveryNanoseconds) ns"
        }
        for range in [inputTokens, outputTokens]
        where !tokens.contains(range.lowerBound) || !tokens.contains(range.upperBound) {
            return
                "\(range.lowerBound) to \(range.upperBound) tokens; 0 to \(tokens.upperBound) fit"
        }
        return callers.isEmpty ? "there is no caller" : nil
    }
}

extension Workload {
    /// The workload of synthetic traffic; its title names the seed.
    ///
    /// - Throws: `WorkloadError` where a setting is out of its range.
    /// - Complexity: O(slots): 16 short slots for each call at the burst's rate.
    public init(_ traffic: SyntheticTraffic) throws(WorkloadError) {
        if let complaint = traffic.complaint { throw WorkloadError(line: nil, complaint) }
        var random = SplitMix64(seed: traffic.seed)
        var arrivals: [Arrival] = []
        // Time is cut into slots so short that a call comes in one of 16 even within a burst: a
        // draw for each makes arrivals as irregular as independent callers do (Poisson), with
        // integers alone.
        let fastest = traffic.requestsPerMinute * traffic.burstFactor
        let slotNanoseconds = max(1, 60_000_000_000 / (fastest * 16))
        let chances = UInt64(traffic.burstFactor * 16)
        var slotStart: Int64 = 0
        var spanEnd: Int64 = 0
        var burst: Range<Int64> = 0..<0
        var burstSkew = PromptSkew.long
        while slotStart < traffic.durationNanoseconds {
            if slotStart >= spanEnd {
                let slack = traffic.burstEveryNanoseconds - traffic.burstNanoseconds
                let begin = spanEnd + random.next(upTo: slack)
                burst = begin..<begin + traffic.burstNanoseconds
                spanEnd += traffic.burstEveryNanoseconds
                burstSkew = burstSkew == .short ? .long : .short
            }
            let isBurst = burst.contains(slotStart)
            let chance = isBurst ? UInt64(traffic.burstFactor) : 1
            if random.next(below: chances) < chance {
                let offset = slotStart + random.next(upTo: slotNanoseconds - 1)
                arrivals.append(
                    Arrival(
                        offsetNanoseconds: offset,
                        inputTokens: random.nextSkewed(
                            in: traffic.inputTokens, isBurst ? burstSkew : .none),
                        outputTokens: random.nextSkewed(in: traffic.outputTokens),
                        caller: Int(random.next(below: UInt64(traffic.callers.count)))))
            }
            slotStart += slotNanoseconds
        }
        self.init(
            checkedTitle: "synthetic traffic, seed \(traffic.seed)",
            startUnixNanoseconds: traffic.startUnixNanoseconds, callers: traffic.callers,
            arrivals: arrivals)
    }
}

/// What prompts are like for a while.
enum PromptSkew {
    case none, short, long
}

/// A generator of 64-bit numbers: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014 (https://doi.org/10.1145/2660193.2660195). Not for secrets.
package struct SplitMix64: Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one below `bound`, which is at least 1. The share of one number differs
    /// from another's by at most bound/2^64, which no simulation sees.
    package mutating func next(below bound: UInt64) -> UInt64 {
        next().multipliedFullWidth(by: bound).high
    }

    /// A number from 0 to `most`, which is at least 0.
    mutating func next(upTo most: Int64) -> Int64 {
        Int64(next(below: UInt64(most) + 1))
    }

    /// A number in the range, each doubling of the size as frequent as the next; a skew leaves out
    /// two of them at one end, where there are more than that.
    mutating func nextSkewed(in range: ClosedRange<Int64>, _ skew: PromptSkew = .none) -> Int64 {
        var shortest = Int64.bitWidth - range.lowerBound.leadingZeroBitCount
        var longest = Int64.bitWidth - range.upperBound.leadingZeroBitCount
        if longest - shortest > 2 {
            if skew == .long { shortest += 2 }
            if skew == .short { longest -= 2 }
        }
        let bits = shortest + Int(next(below: UInt64(longest - shortest + 1)))
        let least = max(range.lowerBound, bits == 0 ? 0 : 1 << (bits - 1))
        let most = min(range.upperBound, (1 << bits) - 1)
        return least + next(upTo: most - least)
    }
}
