@testable import Admission

/// The law of the table: at random limits every instant before the reported wait is refused, and
/// the wait itself admitted. `Tests/scenarios/README.md` spells out how the numbers are drawn.
struct ScenarioLaw {
    private var state: UInt64
    private let isRolling: Bool
    private(set) var admitted: Int64 = 0
    private(set) var refused: Int64 = 0

    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    private struct Bound {
        var text: String
        var capacity: Int64
        /// The longest pause after an admission.
        var stride: Int64
        /// 0 for a bucket.
        var window: Int64 = 0
    }

    init(isRolling: Bool, seed: UInt64) {
        self.isRolling = isRolling
        state = seed
    }

    private mutating func draw(_ below: Int64) -> Int64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int64((z ^ (z >> 31)) % UInt64(below))
    }

    private mutating func drawBound() -> Bound {
        let head = #"limits {"name":"law","count":"requests""#
        if isRolling {
            let (capacity, multiple) = (1 + draw(20), 1 + draw(60))
            let unit = Self.units[Int(draw(3))]
            let window = multiple * unit.nanoseconds
            return Bound(
                text: #"\#(head),"limit":\#(capacity),"window":"\#(multiple)\#(unit.name)"}"#,
                capacity: capacity, stride: window / capacity + 1, window: window)
        }
        let (units, multiple) = (1 + draw(1_000), 1 + draw(100))
        let unit = Self.units[Int(draw(4))]
        let capacity = 1 + draw(100)
        return Bound(
            text: #"\#(head),"rate":"\#(units)/\#(multiple)\#(unit.name)","burst":\#(capacity)}"#,
            capacity: capacity, stride: multiple * unit.nanoseconds / units + 1)
    }

    /// Some steps on one limiter of its own.
    mutating func round(_ run: ScenarioRun, steps: Int64) throws {
        let bound = drawBound()
        run.opened = try run.open(ScenarioText.document(bound.text))
        run.gates["law"] = try run.limiter.gate([])
        run.logs["law"] = []
        (run.elapsed, run.zero) = (0, nil)
        for _ in 0..<steps { try step(run, bound) }
        run.close()
    }

    private mutating func step(_ run: ScenarioRun, _ bound: Bound) throws {
        let cost = Cost(requests: 1 + draw(bound.capacity))
        let outcome = try run.ask("law", cost)
        if outcome.isAdmitted {
            admitted += 1
            if draw(2) == 1 { try run.advance(draw(bound.stride)) }
            return
        }
        refused += 1
        let wait = outcome.retryAfterNanoseconds
        let place = "\(bound.text) n=\(cost.requests): wait \(wait)"
        guard wait > 0 else { throw run.failure(place) }
        if bound.window > 0 {
            let least = (run.logs["law"] ?? []).wait(
                from: outcome.binding.decidedAt.nanoseconds / run.scale, for: cost.requests,
                limit: bound.capacity, window: bound.window)
            let slack = 61 * ((bound.window + 59) / 60) - bound.window
            guard least <= wait, wait <= least + slack else {
                throw run.failure("\(place), a log's \(least)")
            }
        }
        let x = draw(wait)
        try run.advance(x)
        let again = try run.ask("law", cost)
        guard !again.isAdmitted, again.retryAfterNanoseconds == wait - x else {
            throw run.failure("\(place), after \(x) it was \(again.retryAfterNanoseconds)")
        }
        try run.advance(wait - run.tick - x)
        try run.edge("law", cost)
        admitted += 1
    }
}

extension ScenarioRun {
    /// `law bucket|rolling seed=S rounds=R steps=K`.
    func law(_ words: [String], _ right: [String]) throws {
        guard words[0] == "bucket" || words[0] == "rolling" else { throw failure("unknown law") }
        var law = ScenarioLaw(
            isRolling: words[0] == "rolling", seed: UInt64(try argument(words, 1, "seed")))
        let steps = try argument(words, 3, "steps")
        for _ in 0..<(try argument(words, 2, "rounds")) { try law.round(self, steps: steps) }
        try expect(["ok": .number(law.admitted), "refused": .number(law.refused)], right)
    }
}
