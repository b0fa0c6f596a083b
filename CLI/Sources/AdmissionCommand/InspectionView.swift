import Admission

/// A store at a glance, as a page of text.
struct InspectionView {
    let store: StoreInspection

    var text: String {
        var sections = [heading]
        // As a document has them: the newest come first.
        let limits = Array(store.limits.reversed())
        if !limits.isEmpty {
            sections.append(StorePage.limits(limits, bound: { Wording.bound($0) }))
        }
        if limits.contains(where: { !$0.keys.isEmpty }) {
            sections.append(StorePage.keys(limits, fullAgain: fullAgain))
        }
        if !store.leases.isEmpty { sections.append(leases) }
        if !store.owners.isEmpty { sections.append(owners) }
        if !store.events.isEmpty { sections.append(events) }
        let footer = footer
        if !footer.isEmpty { sections.append(footer.joined(separator: "\n")) }
        return sections.joined(separator: "\n\n")
    }

    private var heading: String {
        let steady = Wording.duration(store.steady.nanoseconds)
        let wall = StorePage.time(store.wall)
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
        return StorePage.heading(lines)
    }

    private func fullAgain(_ key: StoreInspection.KeyRow) -> String {
        key.used > 0 ? StorePage.fullAgain(key) : ""
    }

    private var leases: String {
        var table = TextTable([
            ("limit", .left), ("key", .left), ("slot", .right), ("owner", .right), ("pid", .right),
            ("namespace", .right), ("", .left), ("held for", .right), ("runs out in", .right),
        ])
        for lease in store.leases {
            let owner = store.owners.first { $0.number == lease.owner }
            table.add([
                StorePage.cell("\(lease.policy) · \(lease.limit)"), StorePage.key(lease.attributes),
                StorePage.cell("\(lease.slot)"), StorePage.cell("\(lease.owner)"),
                StorePage.cell(lease.pid.map { "\($0)" } ?? "–"),
                StorePage.cell(owner.map { "\($0.pidNamespace)" } ?? "–"), life(owner, lease),
                StorePage.cell(Wording.duration(lease.ageNanoseconds)),
                StorePage.cell(Wording.duration(max(0, lease.runsOutNanoseconds))),
            ])
        }
        return StorePage.section("Leases", table)
    }

    private func life(
        _ owner: StoreInspection.Owner?, _ lease: StoreInspection.Lease
    ) -> TextTable.Cell {
        if lease.isReclaimable { return StorePage.cell("dead, reclaimable", .yellow) }
        guard let owner else { return StorePage.cell("nobody's", .yellow) }
        return state(owner)
    }

    private var owners: String {
        var table = TextTable([
            ("owner", .right), ("pid", .right), ("namespace", .right), ("", .left),
            ("last sign of life", .right), ("leases", .right),
        ])
        for owner in store.owners {
            table.add([
                StorePage.cell("\(owner.number)"), StorePage.cell("\(owner.pid)"),
                StorePage.cell("\(owner.pidNamespace)"),
                state(owner),
                StorePage.cell("\(Wording.duration(max(0, owner.heartbeatAgeNanoseconds))) ago"),
                StorePage.cell(Wording.number(owner.leases)),
            ])
        }
        return StorePage.section("Processes", table)
    }

    private func state(_ owner: StoreInspection.Owner) -> TextTable.Cell {
        switch (owner.state, owner.isAlive) {
        case ("live", true): StorePage.cell("alive")
        case ("live", false): StorePage.cell("dead, not noticed yet", .yellow)
        case ("live", nil): StorePage.cell("out of sight")
        case ("claimed", _): StorePage.cell("opening")
        case ("dead", _): StorePage.cell("dead", .yellow)
        case ("silent", _): StorePage.cell("silent", .yellow)
        default: StorePage.cell(owner.state, .red)
        }
    }

    /// The newest last.
    private var events: String {
        var table = TextTable([("at", .left), ("pid", .right), ("event", .left), ("", .left)])
        for event in store.events.suffix(20) {
            table.add([
                StorePage.cell(StorePage.time(event.instant)), StorePage.cell("\(event.processID)"),
                StorePage.cell(event.kind.rawValue, Self.isAlarming(event.kind) ? .yellow : nil),
                TextTable.Cell(event.text),
            ])
        }
        return StorePage.section("Events", table)
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
            lines.append(StorePage.omitted(store.omitted))
        }
        if store.isReplaced {
            lines.append(
                Terminal.styled(
                    "✗ given up: the file was deleted or replaced while it was in use", .red))
        }
        if store.isDamaged {
            lines.append(StorePage.damaged)
        }
        return lines
    }

    private func leaseCount(_ number: UInt64) -> String {
        Wording.counted(Int(clamping: number), "lease")
    }
}
