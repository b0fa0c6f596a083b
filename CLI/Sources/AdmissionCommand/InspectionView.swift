import Admission

/// A store at a glance, as a page of text.
///
/// What the file holds was written by whoever may write it: it comes to the terminal through cells,
/// which escape it, and cut to a length.
struct InspectionView {
    let store: StoreInspection

    private static let mostCharacters = 60

    var text: String {
        var sections = [heading]
        if !store.limits.isEmpty { sections.append(limits) }
        if store.limits.contains(where: { !$0.keys.isEmpty }) { sections.append(keys) }
        if !store.leases.isEmpty { sections.append(leases) }
        if !store.owners.isEmpty { sections.append(owners) }
        if !store.events.isEmpty { sections.append(events) }
        let footer = footer
        if !footer.isEmpty { sections.append(footer.joined(separator: "\n")) }
        return sections.joined(separator: "\n\n")
    }

    private var heading: String {
        let steady = Wording.duration(store.steady.nanoseconds)
        let wall = Self.time(store.wall.unixNanoseconds)
        let clock =
            store.isManualClock
            ? Terminal.styled("runs on a manual clock", .yellow) : "the host's clocks"
        let hash = Wording.hexadecimal(store.documentHash)
        var lines = [
            ("store", Wording.printable(store.path ?? "memory:")),
            ("clock", "\(clock), \(wall), steady \(steady)"),
            ("keys", "\(Wording.number(store.keys)) of \(Wording.number(store.keyCapacity))"),
            (
                "bytes",
                "\(Wording.bytes(store.usedBytes)) used, \(Wording.bytes(store.reservedBytes)) "
                    + "reserved, \(Wording.bytes(store.sizeBytes)) at most"
            ),
            (
                "policy",
                store.loads == 0
                    ? "none was ever loaded"
                    : "\(hash), \(Wording.counted(Int(clamping: store.loads), "load")) so far"
            ),
        ]
        if store.reclaimedLeases > 0 {
            lines.append(("reclaimed", leaseCount(store.reclaimedLeases) + " of dead processes"))
        }
        return lines.map { label, value in
            let padding = String(repeating: " ", count: 11 - label.count)
            return Terminal.styled(label, .bold) + padding + value
        }.joined(separator: "\n")
    }

    private var limits: String {
        var table = TextTable([("limit", .left), ("bound", .left), ("keys", .right)])
        // As a document has them: the newest come first.
        for row in store.limits.reversed() {
            table.add([
                cell("\(row.policy) · \(row.limit)"), cell(Wording.bound(row.bound)),
                cell(Wording.number(row.keyCount)),
            ])
        }
        return section("Limits", table)
    }

    /// Those nearest their limit first, whichever it is.
    private var keys: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("used", .right), ("of", .right), ("", .right),
            ("left", .right), ("full again in", .right),
        ])
        let rows = store.limits.reversed().flatMap { limit in limit.keys.map { (limit, $0) } }
        let sorted = rows.enumerated().sorted { one, other in
            let shares = [one, other].map {
                Double($0.element.1.used) / Double($0.element.0.capacity)
            }
            return shares[0] == shares[1] ? one.offset < other.offset : shares[0] > shares[1]
        }
        for (_, (limit, key)) in sorted {
            let isFull = key.remaining == 0
            table.add([
                cell("\(limit.policy) · \(limit.limit)"), self.key(key.attributes),
                cell(Wording.number(key.used)), cell(Wording.number(limit.capacity)),
                cell(Wording.percent(key.used, of: limit.capacity), isFull ? .yellow : nil),
                cell(Wording.number(key.remaining)), cell(fullAgain(key)),
            ])
        }
        return section("Keys", table)
    }

    private func fullAgain(_ key: StoreInspection.KeyRow) -> String {
        guard key.used > 0 else { return "" }
        return key.fullAgainNanoseconds.map { Wording.duration(max(0, $0)) } ?? "–"
    }

    private var leases: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("slot", .right), ("owner", .right), ("pid", .right),
            ("namespace", .right), ("", .left), ("held for", .right), ("runs out in", .right),
        ])
        for lease in store.leases {
            let owner = store.owners.first { $0.number == lease.owner }
            table.add([
                cell("\(lease.policy) · \(lease.limit)"), key(lease.attributes),
                cell("\(lease.slot)"), cell("\(lease.owner)"),
                cell(lease.pid.map { "\($0)" } ?? "–"),
                cell(owner.map { "\($0.pidNamespace)" } ?? "–"), life(owner, lease),
                cell(Wording.duration(lease.ageNanoseconds)),
                cell(Wording.duration(max(0, lease.runsOutNanoseconds))),
            ])
        }
        return section("Leases", table)
    }

    private func life(
        _ owner: StoreInspection.Owner?, _ lease: StoreInspection.Lease
    ) -> TextTable.Cell {
        if lease.isReclaimable { return cell("dead, reclaimable", .yellow) }
        guard let owner else { return cell("nobody's", .yellow) }
        return state(owner)
    }

    private var owners: String {
        var table = TextTable([
            ("owner", .right), ("pid", .right), ("namespace", .right), ("", .left),
            ("last sign of life", .right), ("leases", .right),
        ])
        for owner in store.owners {
            table.add([
                cell("\(owner.number)"), cell("\(owner.pid)"), cell("\(owner.pidNamespace)"),
                state(owner),
                cell("\(Wording.duration(max(0, owner.heartbeatAgeNanoseconds))) ago"),
                cell(Wording.number(owner.leases)),
            ])
        }
        return section("Processes", table)
    }

    private func state(_ owner: StoreInspection.Owner) -> TextTable.Cell {
        switch (owner.state, owner.isAlive) {
        case ("live", true): cell("alive")
        case ("live", false): cell("dead, not noticed yet", .yellow)
        case ("live", nil): cell("out of sight")
        case ("claimed", _): cell("opening")
        case ("dead", _): cell("dead", .yellow)
        case ("silent", _): cell("silent", .yellow)
        default: cell(owner.state, .red)
        }
    }

    /// The newest last.
    private var events: String {
        var table = TextTable([("at", .left), ("pid", .right), ("event", .left), ("", .left)])
        for event in store.events.suffix(20) {
            table.add([
                cell(Self.time(event.instant.unixNanoseconds)), cell("\(event.processID)"),
                cell(event.kind.rawValue, Self.isAlarming(event.kind) ? .yellow : nil),
                TextTable.Cell(event.text),
            ])
        }
        return section("Events", table)
    }

    private static func isAlarming(_ kind: Event.Kind) -> Bool {
        switch kind {
        case .reloadRefused, .policyBroken, .damagedWindow, .storeReplaced: true
        default: false
        }
    }

    private var footer: [String] {
        var lines: [String] = []
        if let refused = store.refusedReload {
            let text = Wording.printable(refused.text)
            lines.append(
                Terminal.styled("✗ a broken policy was refused, the one before goes on: ", .red)
                    + text)
        }
        // A process has an entry for each limiter.
        let behind = Set(
            store.owners.filter(\.isPolicyBroken).map { [$0.pidNamespace, UInt64($0.pid)] }
        ).count
        if behind > 0 {
            lines.append(
                Terminal.styled(
                    "✗ \(Wording.counted(behind, "process goes", "processes go")) on with another "
                        + "policy than the file that is watched holds", .red))
        }
        if store.omitted > 0 {
            lines.append(
                "  \(Wording.number(store.omitted)) more keys and leases are not listed: --keys")
        }
        if store.isReplaced {
            lines.append(
                Terminal.styled(
                    "✗ given up: the file was deleted or replaced while it was in use", .red))
        }
        if store.isDamaged {
            lines.append(
                Terminal.styled("✗ damaged: admission inspect --check says where", .red))
        }
        return lines
    }

    private func leaseCount(_ number: UInt64) -> String {
        Wording.counted(Int(clamping: number), "lease")
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

    private static func time(_ unixNanoseconds: Int64) -> String {
        "\(Wording.date(unixNanoseconds)) \(Wording.time(unixNanoseconds)) UTC"
    }
}
