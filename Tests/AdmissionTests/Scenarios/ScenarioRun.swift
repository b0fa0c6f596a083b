import Foundation

@testable import Admission

/// One case of the table on one limiter.
final class ScenarioRun {
    /// The step as it stands in the table.
    var line = ""
    /// How many values were compared.
    var compared = 0
    /// Nanoseconds since the start of the case.
    var elapsed: Int64 = 0
    /// The steady instant at which the case began; nil until something was decided.
    var zero: Int64?
    let startUnixNanoseconds: Int64
    let store: TestStore
    /// How long a case's nanosecond is on this limiter.
    ///
    /// Redis keeps time in whole microseconds: a case that tells of nanoseconds runs there a thousand
    /// times slower, its limits' times with it, so that the same arithmetic meets the same numbers. Any
    /// other runs as it is, and is looked at a microsecond before its edges.
    let scale: Int64
    /// How far from what the case says a time may be: the cells of a rolling limit are rounded up to a
    /// microsecond each, and a load at an instant of the one before counts as one behind it.
    let rounding: Int64
    /// The least step of the store's time, in nanoseconds of the case.
    var tick: Int64 { store.keepsMicroseconds && scale == 1 ? 1_000 : 1 }
    /// Where the store's files lie.
    private var directories: [ScratchDirectory] = []
    var opened: Limiter?
    var gates: [String: Gate] = [:]
    var logs: [String: [ScenarioLogEntry]] = [:]
    var permits: [String: ScenarioPermit] = [:]
    /// Permits without a name, open to the end of the case.
    var held: [ScenarioPermit] = []

    init(_ scenario: ScenarioCase, opening: String?, store: TestStore) throws {
        self.store = store
        let tellsNanoseconds = scenario.steps.contains {
            $0.contains(/[0-9]ns/) || $0.hasPrefix("law")
        }
        scale = store.keepsMicroseconds && tellsNanoseconds && scenario.isScalable ? 1_000 : 1
        rounding = store.keepsMicroseconds && scale == 1 ? 97_000 : 0
        startUnixNanoseconds = try ScenarioText.number(scenario.start)
        line = opening ?? ""
        if let opening { opened = try open(ScenarioText.document(opening)) }
    }

    /// Runs the case with each of its openings.
    static func run(_ scenario: ScenarioCase, store: TestStore = .memory) throws {
        let openings = scenario.openings.isEmpty ? [nil] : scenario.openings.map(Optional.some)
        for opening in openings {
            let run = try ScenarioRun(scenario, opening: opening, store: store)
            defer { run.close() }
            for step in scenario.steps { try run.step(step) }
            guard run.compared > 0 else { throw run.failure("nothing was compared") }
        }
    }

    func step(_ text: String) throws {
        line = text
        var text = text
        if text.hasPrefix("in ") {
            let (languages, rest) = String(text.dropFirst(3)).cut(at: ": ")
            guard languages.split(separator: ",").contains("swift") else { return }
            text = rest
        }
        let hasArrow = text.contains(" -> ")
        let (left, right) = hasArrow ? text.cut(atLast: " -> ") : (text, "")
        let (verb, rest) = left.cut(at: " ")
        let before = compared
        try act(verb, rest, right.split(separator: " ").map(String.init))
        guard hasArrow == (compared > before) else { throw failure("nothing was compared") }
    }

    /// Ends what is still open.
    func close() {
        held = []
        permits = [:]
        gates = [:]
        opened?.close()
        opened = nil
    }

    // MARK: Comparing

    func failure(_ reason: String) -> ScenarioFailure {
        ScenarioFailure(line: line, reason: reason)
    }

    func same(_ actual: String, _ expected: [String]) throws {
        compared += 1
        guard [actual] == expected else { throw failure("got \(actual)") }
    }

    /// Compares words such as `remaining=4` and `retry>=1s` with the values.
    func expect(_ values: [String: ScenarioValue], _ words: some Sequence<String>) throws {
        for word in words {
            let comparison = [">=", "<=", "="].first { word.contains($0) } ?? "="
            let (key, text) = word.cut(at: comparison)
            guard let actual = values[key] else { throw failure("unknown key \(key)") }
            compared += 1
            let holds: Bool
            switch (actual, comparison) {
            case (.none, _): holds = text == "none" && comparison == "="
            case (.number(let number), ">="): holds = try number >= ScenarioText.number(text)
            case (.number(let number), "<="): holds = try number <= ScenarioText.number(text)
            case (.number(let number), _):
                let late = key == "retry" || key == "full_again" ? rounding : 0
                holds =
                    try text != "none"
                    && abs(number - ScenarioText.number(text)) <= late
            case (.text(let found), "=") where key == "text": holds = found.contains(text)
            case (.text(let found), _): holds = found == text && comparison == "="
            }
            guard holds else { throw failure("\(key) is \(actual)") }
        }
    }

    func expect(_ outcome: ScenarioOutcome, _ words: [String]) throws {
        try same(outcome.word, Array(words.prefix(1)))
        switch outcome.word {
        case "ok": try expect(outcome.values, ["retry=0", "reason=none"])
        case "never": try expect(outcome.values, ["reason=exceeds_limit"])
        default: break
        }
        try expect(outcome.values, words.dropFirst())
    }

    // MARK: Asking

    var limiter: Limiter {
        get throws {
            guard let opened else { throw failure("no limiter") }
            return opened
        }
    }

    func open(_ document: String) throws -> Limiter {
        let document = scaled(document)
        let (url, directory) = try store.fresh()
        var options = Limiter.Options(anyStore: url)
        if let directory { directories.append(directory) }
        options.clock = .manual(startUnixNanoseconds: startUnixNanoseconds)
        return try Limiter(policyJSON: document, options: options)
    }

    /// The document with its limits' times for the store.
    func scaled(_ document: String) -> String {
        guard scale != 1 else { return document }
        let times = /"(?<front>[0-9]+\/)?(?<number>[0-9]*)(?<unit>ms|s|m|h)"/
        return document.replacing(times) { match in
            let number = Int64(match.number) ?? 1
            return "\"\(match.front ?? "")\(number * scale)\(match.unit)\""
        }
    }

    func gate(_ name: String) throws -> Gate {
        guard let gate = gates[name] else { throw failure("no gate \(name)") }
        return gate
    }

    func advance(_ nanoseconds: Int64) throws {
        try limiter.advance(nanoseconds: nanoseconds * scale)
        elapsed += nanoseconds
    }

    /// Asks once; with a name, for a permit that is called so. Keeps what was admitted in the log.
    func ask(_ name: String, _ cost: Cost, permit: String? = nil) throws -> ScenarioOutcome {
        let outcome: ScenarioOutcome
        if let permit {
            switch try gate(name).tryAcquire(cost) {
            case .admitted(let taken):
                outcome = ScenarioOutcome(admitted: taken.binding)
                permits[permit] = ScenarioPermit(taken)
            case .rejected(let rejection):
                outcome = ScenarioOutcome(rejected: rejection, scale: scale)
            }
        } else {
            switch try gate(name).tryCharge(cost) {
            case .admitted(let binding): outcome = ScenarioOutcome(admitted: binding)
            case .rejected(let rejection):
                outcome = ScenarioOutcome(rejected: rejection, scale: scale)
            }
        }
        let decidedAt = outcome.binding.decidedAt.nanoseconds / scale
        zero = zero ?? decidedAt - elapsed
        guard decidedAt - elapsed == zero else { throw failure("decided at another instant") }
        if outcome.isAdmitted {
            logs[name, default: []].append(
                ScenarioLogEntry(instant: decidedAt, units: cost.requests))
        }
        return outcome
    }

    /// Refused now, refused a tick before the wait that this reports, admitted at it.
    @discardableResult
    func edge(_ name: String, _ cost: Cost) throws -> ScenarioOutcome {
        let first = try ask(name, cost)
        let wait = first.retryAfterNanoseconds
        guard !first.isAdmitted, wait > 0 else { throw failure("not refused for a time") }
        try advance(wait - tick)
        let last = try ask(name, cost)
        guard !last.isAdmitted, last.retryAfterNanoseconds == tick else {
            throw failure("\(last.retryAfterNanoseconds) left a tick before the wait was over")
        }
        try advance(tick)
        guard try ask(name, cost).isAdmitted else {
            throw failure("refused at the reported instant")
        }
        return first
    }

    /// The cost that words such as `n=2` and `images=1` spell.
    func cost(_ words: some Sequence<String>) throws -> Cost {
        var cost = Cost()
        for word in words {
            let (key, text) = word.cut(at: "=")
            let amount = try ScenarioText.number(text)
            switch key {
            case "n", "requests": cost.requests = amount
            case "input_tokens": cost.inputTokens = amount
            case "output_tokens": cost.outputTokens = amount
            default: cost.extra.append(CountAmount(Count(key), amount))
            }
        }
        return cost
    }

    func usage(_ words: some Sequence<String>) throws -> Usage {
        var usage = Usage()
        for word in words {
            let (key, text) = word.cut(at: "=")
            let amount = try ScenarioText.number(text)
            switch key {
            case "requests": usage.requests = amount
            case "input_tokens": usage.inputTokens = amount
            case "output_tokens": usage.outputTokens = amount
            case "exact": usage.isExact = amount == 1
            default: usage.extra.append(CountAmount(Count(key), amount))
            }
        }
        return usage
    }

    /// The number after `key=` in the word at that index.
    func argument(_ words: [String], _ index: Int, _ key: String) throws -> Int64 {
        guard words.indices.contains(index), words[index].hasPrefix(key + "=") else {
            throw failure("no \(key)= where it belongs")
        }
        return try ScenarioText.number(String(words[index].dropFirst(key.count + 1)))
    }
}
