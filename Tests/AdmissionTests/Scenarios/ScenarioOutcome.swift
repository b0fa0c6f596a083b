import Admission

/// What a decision was, with the values that the table can name.
struct ScenarioOutcome {
    var isAdmitted: Bool
    /// Nanoseconds; 0 admitted, -1 never, -2 unknown.
    var retryAfterNanoseconds: Int64
    var reason: String
    var startUnixNanoseconds: Int64
    var binding: Binding

    /// `ok`, `no` or `never`.
    var word: String {
        isAdmitted ? "ok" : retryAfterNanoseconds == -1 ? "never" : "no"
    }

    var values: [String: ScenarioValue] {
        [
            "retry": .number(retryAfterNanoseconds),
            "remaining": .number(binding.remaining),
            "capacity": .number(binding.limit),
            "asked": .number(binding.asked),
            "start": .number(startUnixNanoseconds),
            "limit": .text(binding.limitName ?? "none"),
            "policy": .text(binding.policyName ?? "none"),
            "reason": .text(reason),
        ]
    }

    init(admitted binding: Binding) {
        isAdmitted = true
        retryAfterNanoseconds = 0
        reason = "none"
        startUnixNanoseconds = binding.decidedAtWall.unixNanoseconds
        self.binding = binding
    }

    /// - Parameter scale: how long a nanosecond of the case is.
    init(rejected rejection: Rejection, scale: Int64) {
        let unknown: Int64 = rejection.isNever ? -1 : -2
        isAdmitted = false
        retryAfterNanoseconds = rejection.retryAfterNanoseconds.map { $0 / scale } ?? unknown
        reason = rejection.reason.name
        startUnixNanoseconds = rejection.predictedStart?.unixNanoseconds ?? unknown
        binding = rejection.binding
    }
}

/// A permit by a name; whoever ends it takes it out.
final class ScenarioPermit {
    var permit: Permit?

    init(_ permit: consuming Permit) {
        self.permit = consume permit
    }
}

/// One decision that a gate admitted: when, by `decidedAt`, and how many units.
struct ScenarioLogEntry {
    let instant: Int64
    let units: Int64
}

extension [ScenarioLogEntry] {
    /// How long a plain log would let `units` wait for a window of `limit`, in nanoseconds.
    func wait(from now: Int64, for units: Int64, limit: Int64, window: Int64) -> Int64 {
        var used: Int64 = 0
        for entry in reversed() {
            used += entry.units
            if used > limit - units { return Swift.max(0, entry.instant + window - now) }
        }
        return 0
    }

    /// The most units in any half-open window of that length.
    func most(in window: Int64) -> Int64 {
        var (used, most, first) = (Int64(0), Int64(0), 0)
        for entry in self {
            used += entry.units
            while self[first].instant <= entry.instant - window {
                used -= self[first].units
                first += 1
            }
            most = Swift.max(most, used)
        }
        return most
    }
}
