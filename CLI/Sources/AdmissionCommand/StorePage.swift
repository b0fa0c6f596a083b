import Admission

/// The parts of a page about a store, wherever it lies.
///
/// What a store holds was written by whoever may write it: it comes to the terminal through cells, which
/// escape it, and cut to a length.
enum StorePage {
    private static let mostCharacters = 60

    /// Labels and what they say, one below the other.
    static func heading(_ lines: [(label: String, value: String)]) -> String {
        lines.map { label, value in
            let padding = String(repeating: " ", count: 11 - label.count)
            return Terminal.styled(label, .bold) + padding + value
        }.joined(separator: "\n")
    }

    static func section(_ title: String, _ table: TextTable) -> String {
        Terminal.styled(title, .bold) + "\n" + table.text
    }

    static func cell(_ text: String, _ style: Terminal.Style? = nil) -> TextTable.Cell {
        TextTable.Cell(Wording.shortened(text, to: mostCharacters), style)
    }

    static func key(_ attributes: [Attribute]) -> TextTable.Cell {
        cell(attributes.isEmpty ? "one for all" : Wording.attributes(attributes))
    }

    static func time(_ instant: WallInstant) -> String {
        "\(Wording.date(instant.unixNanoseconds)) \(Wording.time(instant.unixNanoseconds)) UTC"
    }

    static func limits(
        _ rows: [StoreInspection.LimitRow], bound: (LimitKind) -> String
    ) -> String {
        var table = TextTable([("limit", .left), ("bound", .left), ("keys", .right)])
        for row in rows {
            table.add([
                cell("\(row.policy) · \(row.limit)"), cell(bound(row.bound)),
                cell(Wording.number(row.keyCount)),
            ])
        }
        return section("Limits", table)
    }

    /// Those nearest their limit first, whichever it is.
    static func keys(
        _ rows: [StoreInspection.LimitRow], fullAgain: (StoreInspection.KeyRow) -> String
    ) -> String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("used", .right), ("of", .right), ("", .right),
            ("left", .right), ("full again in", .right),
        ])
        let rows = rows.flatMap { limit in limit.keys.map { (limit, $0) } }
        let sorted = rows.enumerated().sorted { one, other in
            let shares = [one, other].map {
                Double($0.element.1.used) / Double($0.element.0.capacity)
            }
            return shares[0] == shares[1] ? one.offset < other.offset : shares[0] > shares[1]
        }
        for (_, (limit, key)) in sorted {
            table.add([
                cell("\(limit.policy) · \(limit.limit)"), self.key(key.attributes),
                cell(Wording.number(key.used)), cell(Wording.number(limit.capacity)),
                cell(
                    Wording.percent(key.used, of: limit.capacity),
                    key.remaining == 0 ? .yellow : nil),
                cell(Wording.number(key.remaining)), cell(fullAgain(key)),
            ])
        }
        return section("Keys", table)
    }

    static func fullAgain(_ key: StoreInspection.KeyRow) -> String {
        key.fullAgainNanoseconds.map { Wording.duration(max(0, $0)) } ?? "–"
    }

    static func omitted(_ count: Int) -> String {
        "  \(Wording.number(count)) more keys and leases are not listed: --keys"
    }

    static var damaged: String {
        Terminal.styled("✗ damaged: admission inspect --check says where", .red)
    }
}
