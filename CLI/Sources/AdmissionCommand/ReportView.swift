import Admission

/// A simulation's report as a page of text.
struct ReportView {
    let report: SimulationReport
    let traffic: Traffic
    let file: PolicyFile
    let elapsedNanoseconds: Int64

    var text: String {
        var sections = [heading, calls]
        if !report.rejections.isEmpty { sections.append(rejections) }
        sections += [limits, footer]
        return sections.joined(separator: "\n\n")
    }

    private var heading: String {
        let start = report.startUnixNanoseconds
        let callers = traffic.workload.callers
        let caller =
            callers.count == 1
            ? Wording.attributes(callers[0]) : "\(Wording.number(callers.count)) attribute sets"
        var lines = [
            ("policy", file.path),
            (
                "traffic",
                "\(report.title), \(Wording.date(start)) \(Wording.time(start)) UTC, "
                    + Wording.duration(report.durationNanoseconds)
            ),
            ("caller", caller),
        ]
        lines += traffic.notes.map { ("note", $0) }
        return lines.map { label, value in
            let padding = String(repeating: " ", count: 9 - label.count)
            return Terminal.styled(label, .bold) + padding + value
        }.joined(separator: "\n")
    }

    private var calls: String {
        var table = TextTable([
            ("", .left), ("calls", .right), ("", .right), ("input tokens", .right),
            ("busiest 60 s", .right), ("from", .left), ("busiest 60 s", .right), ("from", .left),
        ])
        for (name, traffic) in [("offered", report.offered), ("admitted", report.admitted)] {
            table.add([
                cell(name), cell(Wording.number(traffic.calls)), cell(share(traffic.calls)),
                cell(Wording.number(traffic.inputTokens)),
                cell("\(Wording.number(traffic.busiestMinuteCalls)) calls"),
                cell(time(traffic.busiestMinuteCallsAtNanoseconds)),
                cell("\(Wording.number(traffic.busiestMinuteInputTokens)) tokens"),
                cell(time(traffic.busiestMinuteInputTokensAtNanoseconds)),
            ])
        }
        table.add([
            cell("rejected"), cell(Wording.number(report.rejectedCount)),
            cell(share(report.rejectedCount)),
            cell(Wording.number(report.offered.inputTokens - report.admitted.inputTokens)),
            cell(""), cell(""), cell(""), cell(""),
        ])
        return section("Calls", table)
    }

    private var rejections: String {
        var table = TextTable([
            ("limit", .left), ("reason", .left), ("calls", .right), ("", .right),
            ("first", .left), ("last", .left),
        ])
        for row in report.rejections {
            let name = [row.policyName, row.limitName].compactMap(\.self).joined(separator: " · ")
            table.add([
                cell(name.isEmpty ? "none" : name), cell(row.reason.name),
                cell(Wording.number(row.count), .yellow), cell(share(row.count)),
                cell(time(row.firstAtNanoseconds)), cell(time(row.lastAtNanoseconds)),
            ])
        }
        return section("Rejected by", table)
    }

    private var limits: String {
        var table = TextTable([
            ("limit", .left), ("bound", .left), ("peak", .right), ("of", .right), ("", .right),
            ("at", .left), ("used", .right), ("rejected", .right),
        ])
        for row in report.limits {
            let capacity = row.limit.kind.capacity
            let isFull = row.rejectedCount > 0
            let keys = row.keyCount > 1 ? ", \(Wording.number(row.keyCount)) keys" : ""
            table.add([
                cell("\(row.policyName) · \(row.limit.name)"),
                cell(row.keyCount == 0 ? "applied to no call" : Wording.limit(row.limit) + keys),
                cell(Wording.number(row.peak)), cell(Wording.number(capacity)),
                cell(Wording.percent(row.peak, of: capacity), isFull ? .yellow : nil),
                cell(row.peak > 0 ? time(row.peakAtNanoseconds) : ""),
                cell(Wording.permille(row.usedPermille)),
                cell(Wording.number(row.rejectedCount), isFull ? .yellow : nil),
            ])
        }
        return section("Limits", table)
    }

    private var footer: String {
        var lines: [String] = []
        if report.unlimitedCount > 0 {
            lines.append(
                Terminal.styled(
                    "\(Wording.number(report.unlimitedCount)) calls met no limit at all", .yellow))
        }
        if report.leasesExpiredCount > 0 {
            lines.append(
                "\(Wording.number(report.leasesExpiredCount)) calls outlived their lease")
        }
        if report.violationCount == 0 {
            let checked = Wording.number(report.admitted.calls)
            lines.append(
                "\(Terminal.styled("✓", .green)) no limit exceeded: \(checked) admissions checked "
                    + "against a plain log")
        } else {
            lines.append(
                Terminal.styled(
                    "✗ \(Wording.number(report.violationCount)) admissions above a limit", .red))
            lines += report.violations.prefix(10).map { "  \($0)" }
        }
        let hour = Wording.duration(report.durationNanoseconds)
        lines.append("  \(hour) of traffic in \(Wording.duration(elapsedNanoseconds))")
        return lines.joined(separator: "\n")
    }

    private func section(_ title: String, _ table: TextTable) -> String {
        Terminal.styled(title, .bold) + "\n" + table.text
    }

    private func cell(_ text: String, _ style: Terminal.Style? = nil) -> TextTable.Cell {
        TextTable.Cell(text, style)
    }

    private func share(_ calls: Int) -> String {
        Wording.percent(Int64(calls), of: Int64(report.offered.calls))
    }

    private func time(_ atNanoseconds: Int64) -> String {
        Wording.time(report.startUnixNanoseconds + atNanoseconds)
    }
}
