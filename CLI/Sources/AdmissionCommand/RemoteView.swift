import Admission
import AdmissionRedis

/// A store in a server at a glance, as a page of text.
struct RemoteView {
    let store: RedisInspection

    var text: String {
        var sections = [heading]
        if !store.limits.isEmpty { sections.append(StorePage.limits(store.limits, bound: bound)) }
        if store.limits.contains(where: { !$0.keys.isEmpty }) {
            sections.append(StorePage.keys(store.limits, fullAgain: StorePage.fullAgain))
        }
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
        return StorePage.heading([
            ("store", Wording.printable(store.url)),
            ("clock", "\(clock), \(StorePage.time(store.wall))"),
            (
                "keys",
                "\(Wording.number(store.serverKeys)) in the server's database, whatever they hold"
            ),
            (
                "policy",
                store.documentHash == 0
                    ? "none was ever loaded" : Wording.hexadecimal(store.documentHash)
            ),
        ])
    }

    /// The server does not know how long a lease may be renewed.
    private func bound(_ kind: LimitKind) -> String {
        guard case .concurrency(let limit, let lease, _) = kind else { return Wording.bound(kind) }
        return "\(Wording.number(limit)) calls at once, lease \(Wording.duration(lease))"
    }

    private var leases: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("owner", .left), ("renewed", .right),
            ("runs out in", .right),
        ])
        for lease in store.leases {
            table.add([
                StorePage.cell("\(lease.policy) · \(lease.limit)"), StorePage.key(lease.attributes),
                StorePage.cell(lease.owner),
                StorePage.cell("\(Wording.duration(lease.renewedNanoseconds)) ago"),
                StorePage.cell(Wording.duration(lease.runsOutNanoseconds)),
            ])
        }
        return StorePage.section("Leases", table)
    }

    private var shards: String {
        var table = TextTable([("shard", .left), ("", .left), ("at", .left)])
        for shard in store.shards {
            let name = shard.name.isEmpty ? "one for all" : shard.name
            if let at = shard.lostAt {
                table.add([
                    StorePage.cell(name), StorePage.cell("counters were lost", .yellow),
                    StorePage.cell(StorePage.time(at)),
                ])
            }
            if let at = shard.resetAt {
                table.add([
                    StorePage.cell(name), StorePage.cell("reset"),
                    StorePage.cell(StorePage.time(at)),
                ])
            }
        }
        return StorePage.section("Losses", table)
    }

    private var footer: [String] {
        var lines: [String] = []
        if store.omitted > 0 {
            lines.append(StorePage.omitted(store.omitted))
        }
        if !store.faults.isEmpty {
            lines.append(StorePage.damaged)
        }
        return lines
    }
}
