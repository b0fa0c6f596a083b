import Admission

/// An explanation as a page of text.
struct ExplanationView {
    let explanation: Explanation
    let file: PolicyFile

    var text: String {
        guard !explanation.limits.isEmpty else {
            return ([Terminal.styled("no policy applies: the call is admitted", .yellow)] + unused)
                .joined(separator: "\n")
        }
        var table = TextTable([
            ("limit", .left), ("bound", .left), ("used", .right), ("left", .right), ("", .left),
            ("key", .left),
        ])
        for row in explanation.limits {
            let limit = file.limit(policy: row.policy, name: row.limit)
            table.add([
                TextTable.Cell("\(row.policy) · \(row.limit)"),
                TextTable.Cell(limit.map(Wording.limit) ?? ""),
                TextTable.Cell(Wording.number(row.used)),
                TextTable.Cell(Wording.number(row.remaining)), outcome(row),
                TextTable.Cell(row.key.isEmpty ? "one for all" : Wording.attributes(row.key)),
            ])
        }
        return ([table.text] + unused).joined(separator: "\n")
    }

    private func outcome(_ row: LimitExplanation) -> TextTable.Cell {
        let binds = row.binds ? ", binds" : ""
        switch row.outcome {
        case .admit: return TextTable.Cell("admits\(binds)", .green)
        case .reject: return TextTable.Cell("rejects\(binds)", .yellow)
        case .never: return TextTable.Cell("never fits\(binds)", .red)
        }
    }

    /// The limits that are not the call's own. (That no cost carried the count of the others only
    /// says that the limiter is fresh.)
    private var unused: [String] {
        explanation.unused.filter { row in
            !explanation.limits.contains { $0.policy == row.policy && $0.limit == row.limit }
        }.map { row in
            Terminal.styled("  does not apply: \(row.policy) · \(row.limit)", .dim)
        }
    }
}
