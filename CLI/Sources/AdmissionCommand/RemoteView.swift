import Admission
import AdmissionRedis

/// A store in a server at a glance, as a page of text.
///
/// What lies there was written by whoever may write it: it comes to the terminal through cells, which
/// escape it, and cut to a length.
struct RemoteView {
    let store: RedisInspection

    private static let mostCharacters = 60

    var text: String {
        var sections = [heading]
        if !store.limits.isEmpty { sections.append(limits) }
        if store.limits.contains(where: { !$0.keys.isEmpty }) { sections.append(keys) }
        if !store.leases.isEmpty { sections.append(leases) }
        if !store.shards.isEmpty { sections.append(shards) }
        let footer = footer
        if !footer.isEmpty { sections.append(footer.joined(separator: "\n")) }
        return sections.joined(separator: "\n\n")
    }

    private var heading: String {
        let clock =
            store.isManualClock
            ? Terminal.styled("runs on a manual clock", .yellow) : "the server's"
        let lines = [
            ("store", Wording.printable(store.url)),
            ("clock", "\(clock), \(Self.time(store.wall))"),
            (
                "keys",
                "\(Wording.number(store.serverKeys)) in the server's database, whatever they hold"
            ),
            (
                "policy",
                store.documentHash == 0
                    ? "none was ever loaded" : Wording.hexadecimal(store.documentHash)
            ),
        ]
        return lines.map { label, value in
            let padding = String(repeating: " ", count: 11 - label.count)
            return Terminal.styled(label, .bold) + padding + value
        }.joined(separator: "\n")
    }

    private var limits: String {
        var table = TextTable([("limit", .left), ("bound", .left), ("keys", .right)])
        for row in store.limits {
            table.add([
                cell("\(row.policy) · \(row.limit)"), cell(bound(row.bound)),
                cell(Wording.number(row.keyCount)),
            ])
        }
        return section("Limits", table)
    }

    /// The server does not know how long a lease may be renewed.
    private func bound(_ kind: LimitKind) -> String {
        guard case .concurrency(let limit, let lease, _) = kind else { return Wording.bound(kind) }
        return "\(Wording.number(limit)) calls at once, lease \(Wording.duration(lease))"
    }

    /// Those nearest their limit first, whichever it is.
    private var keys: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("used", .right), ("of", .right), ("", .right),
            ("left", .right), ("full again in", .right),
        ])
        let rows = store.limits.flatMap { limit in limit.keys.map { (limit, $0) } }
        let sorted = rows.enumerated().sorted { one, other in
            let shares = [one, other].map {
                Double($0.element.1.used) / Double($0.element.0.bound.capacity)
            }
            return shares[0] == shares[1] ? one.offset < other.offset : shares[0] > shares[1]
        }
        for (_, (limit, key)) in sorted {
            let capacity = limit.bound.capacity
            table.add([
                cell("\(limit.policy) · \(limit.limit)"), self.key(key.attributes),
                cell(Wording.number(key.used)), cell(Wording.number(capacity)),
                cell(
                    Wording.percent(key.used, of: capacity),
                    key.remaining == 0 ? .yellow : nil),
                cell(Wording.number(key.remaining)),
                cell(key.fullAgainNanoseconds.map { Wording.duration(max(0, $0)) } ?? "–"),
            ])
        }
        return section("Keys", table)
    }

    private var leases: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("owner", .left), ("renewed", .right),
            ("runs out in", .right),
        ])
        for lease in store.leases {
            table.add([
                cell("\(lease.policy) · \(lease.limit)"), key(lease.attributes), cell(lease.owner),
                cell("\(Wording.duration(lease.renewedNanoseconds)) ago"),
                cell(Wording.duration(lease.runsOutNanoseconds)),
            ])
        }
        return section("Leases", table)
    }

    private var shards: String {
        var table = TextTable([("shard", .left), ("", .left), ("at", .left)])
        for shard in store.shards {
            let name = shard.name.isEmpty ? "one for all" : shard.name
            if let at = shard.lostAt {
                table.add([cell(name), cell("counters were lost", .yellow), cell(Self.time(at))])
            }
            if let at = shard.resetAt {
                table.add([cell(name), cell("reset"), cell(Self.time(at))])
            }
        }
        return section("Losses", table)
    }

    private var footer: [String] {
        var lines: [String] = []
        if store.omitted > 0 {
            lines.append(
                "  \(Wording.number(store.omitted)) more keys and leases are not listed: --keys")
        }
        if !store.faults.isEmpty {
            lines.append(Terminal.styled("✗ damaged: admission inspect --check says where", .red))
        }
        return lines
    }

    private func key(_ attributes: [Attribute]) -> TextTable.Cell {
        cell(attributes.isEmpty ? "one for all" : Wording.attributes(attributes))
    }

    private func section(_ title: String, _ table: TextTable) -> String {
        Terminal.styled(title, .bold) + "\n" + table.text
    }

    private func cell(_ text: String, _ style: Terminal.Style? = nil) -> TextTable.Cell {
        TextTable.Cell(Wording.shortened(text, to: Self.mostCharacters), style)
    }

    private static func time(_ instant: WallInstant) -> String {
        "\(Wording.date(instant.unixNanoseconds)) \(Wording.time(instant.unixNanoseconds)) UTC"
    }
}
