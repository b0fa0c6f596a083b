import Foundation
import Testing

/// The shared table of scenarios, `Tests/scenarios/core.cases`; README.md beside it describes the
/// format, which the C and the Python runner read too.
struct ScenarioTable: Sendable {
    /// The ids that the table says it covers.
    var ids: [String] = []
    var cases: [ScenarioCase] = []

    /// The table at `ADMISSION_SCENARIOS`, or in this checkout; empty where it can't be read.
    static let shared = ScenarioTable(path: path)

    /// The cases beside it that do not hold, to show that the runner notices.
    static let refused = ScenarioTable(
        path: URL(fileURLWithPath: path).deletingLastPathComponent()
            .appendingPathComponent("refused.cases").path)

    static var path: String {
        ProcessInfo.processInfo.environment["ADMISSION_SCENARIOS"]
            ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../scenarios/core.cases").path
    }

    init(path: String) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return }
        var repeated: (times: Int, first: Int)?
        for line in text.split(separator: "\n").map(String.init) where !line.hasPrefix("#") {
            let (word, rest) = line.cut(at: " ")
            switch word {
            case "ids": ids = rest.split(separator: " ").map(String.init)
            case "case": cases.append(ScenarioCase(rest))
            case _ where cases.isEmpty: continue
            case "start": cases[cases.count - 1].start = rest
            case "limits", "policy": cases[cases.count - 1].openings.append(line)
            case "repeat": repeated = (Int(rest) ?? 0, cases[cases.count - 1].steps.count)
            case "end":
                guard let (times, first) = repeated else { continue }
                let steps = cases[cases.count - 1].steps[first...]
                for _ in 1..<max(1, times) { cases[cases.count - 1].steps += steps }
                repeated = nil
            default: cases[cases.count - 1].steps.append(line)
            }
        }
    }
}

/// One case: what it claims, the limiters it is run on, and its steps.
struct ScenarioCase: Sendable, CustomTestStringConvertible {
    let id: String
    let title: String
    var start = "1767225600s"
    /// `limits …` or `policy …`; the case is run once with each.
    var openings: [String] = []
    var steps: [String] = []

    var testDescription: String { "\(id) \(title)" }

    /// Whether it means the same a thousand times slower: boundaries of the calendar stay where they
    /// are, and a window above an hour has other cells.
    var isScalable: Bool {
        !openings.contains {
            $0.contains(/"window":"(minute|hour|day|week|month|year|[4-9]s|[0-9]+[mh])"/)
        }
    }

    init(_ text: String) {
        (id, title) = text.cut(at: " ")
    }
}

/// Why a case does not hold, with the line of the table.
struct ScenarioFailure: Error, CustomStringConvertible {
    let line: String
    let reason: String

    var description: String { "\(line): \(reason)" }
}

/// What the table can name: a number, a text, or nothing at all.
enum ScenarioValue: Sendable, CustomStringConvertible {
    case number(Int64)
    case text(String)
    case none

    var description: String {
        switch self {
        case .number(let number): "\(number)"
        case .text(let text): text
        case .none: "none"
        }
    }
}

enum ScenarioText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000), ("", 1),
    ]

    /// A count, or a duration in nanoseconds.
    static func number(_ text: String) throws -> Int64 {
        if text == "never" { return -1 }
        if text == "unknown" { return -2 }
        for unit in units where text.hasSuffix(unit.name) {
            if let value = Int64(text.dropLast(unit.name.count)) { return value * unit.nanoseconds }
        }
        throw ScenarioFailure(line: text, reason: "no number")
    }

    /// The policy document that `limits L` or `policy J` stands for.
    static func document(_ text: String) throws -> String {
        let (word, rest) = text.cut(at: " ")
        switch word {
        case "policy": return rest
        case "limits": return #"{"admission":1,"policies":[{"name":"p","limits":[\#(rest)]}]}"#
        default: throw ScenarioFailure(line: text, reason: "neither limits nor policy")
        }
    }
}

extension String {
    /// The parts before and after the first separator; all and nothing where there is none.
    func cut(at separator: String) -> (String, String) {
        guard let found = range(of: separator) else { return (self, "") }
        return (String(self[..<found.lowerBound]), String(self[found.upperBound...]))
    }

    /// As `cut(at:)`, at the last separator.
    func cut(atLast separator: String) -> (String, String) {
        guard let found = range(of: separator, options: .backwards) else { return (self, "") }
        return (String(self[..<found.lowerBound]), String(self[found.upperBound...]))
    }
}
