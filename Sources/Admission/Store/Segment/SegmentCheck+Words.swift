/// The words of one key: what no writer leaves there.
extension SegmentCheck {
    mutating func checkWords(of record: Int, _ definition: Definition, _ name: String) {
        let state = word(record + KeyRecord.state)
        switch definition.kind {
        case .bucket:
            if Int64(bitPattern: word(record + KeyRecord.stamp)) < 0 {
                report.fault("\(name): stamp")
            }
        case .calendar:
            if CalendarWindow.count(ofWord: state) > CalendarWindow.largestCount {
                report.fault("\(name): calendar word")
            }
        case .concurrency:
            if state & 3 == 0 { report.fault("\(name): lease state") }
        case .rolling: checkRolling(record, definition, name)
        case .slots, .parameters: break
        }
    }

    private mutating func checkRolling(_ record: Int, _ definition: Definition, _ name: String) {
        guard let parameters = definition.parameters()?.current else { return }
        let window = parameters.rolling
        let cells = RollingCells(record: segment.base + record)
        let base = cells.base.load()
        let stamp = cells.stamp.load()
        guard stamp >= UInt64(window.cells), stamp <= RollingWindow.largestEpoch else {
            report.fault("\(name): rolling stamp \(stamp)")
            return
        }
        guard RollingWindow.carries(base, epoch: stamp) else {
            report.note("\(name): a turn is not finished")
            return
        }
        var sum: UInt64 = 0
        for distance in 0...UInt64(window.cells) {
            let epoch = stamp - distance
            let cell = cells.cell(window.slot(ofEpoch: epoch)).load()
            guard RollingWindow.carries(cell, epoch: epoch) else {
                // A turn, or the reset of an idle key, writes the cells before the stamp.
                if RollingWindow.isLater(cell, than: epoch) {
                    report.note("\(name): a turn is not finished")
                } else {
                    report.fault("\(name): cell \(window.slot(ofEpoch: epoch))")
                }
                return
            }
            if distance > 0 {
                if !RollingWindow.isSealed(cell: cell) {
                    report.fault("\(name): cell \(window.slot(ofEpoch: epoch)) is open")
                }
                sum += RollingWindow.count(ofCell: cell)
            }
        }
        // A refund takes from the cell first.
        if RollingWindow.sum(ofBase: base) < min(sum, RollingWindow.largestSum) {
            report.fault("\(name): base counts less than its cells")
        }
    }

    mutating func checkBlocks(of record: Int, _ name: String) {
        let (blocks, isSound) = segment.blocks(of: record)
        if !isSound { report.fault("\(name): slot blocks") }
        for block in blocks {
            report.slotBlocks += 1
            add(block.offset, LeaseBlock.bytes(slots: block.count), .slots)
            for index in 0..<block.count {
                let slot = word(block.slot(index))
                // Freeing clears the expiry with the owner.
                if LeaseSlots.owner(of: slot) == 0, LeaseSlots.freed(slot) != slot {
                    report.fault("\(name): slot \(index) of block \(block.offset)")
                }
            }
        }
    }
}

/// Where everything lies: nothing twice, nothing forgotten.
extension SegmentCheck {
    mutating func checkExtents() {
        extents.sort { $0.start < $1.start }
        let end = segment.arenaStart + segment.allocatedBytes
        var position = segment.arenaStart
        var last: Extent?
        for extent in extents {
            if extent.start < position, let last {
                report.fault(
                    "\(extent.what) \(extent.start) lies in \(last.what) \(last.start)")
            } else if extent.start > position {
                checkGap(position, extent.start)
            }
            if extent.end > end {
                report.fault("\(extent.what) \(extent.start): beyond what was handed out")
            }
            if extent.end > position {
                position = extent.end
                last = extent
            }
        }
        if position < end { checkGap(position, end) }
        if report.bytesLost > 0 {
            report.note("\(report.bytesLost) bytes that nothing leads to")
        }
    }

    private static let mostGapBytes = 8 << 20

    /// Space that nothing leads to: left by who died, unless a key that was used lies there.
    private mutating func checkGap(_ start: Int, _ end: Int) {
        report.bytesLost += end - start
        // Bounded: a wrong count of bytes handed out makes the whole arena a gap.
        let last = min(end, start + Self.mostGapBytes)
        for record in stride(from: start, to: last, by: 16)
        where record + KeyRecord.smallest <= end {
            let tag = word(record + KeyRecord.tag)
            guard tag >> 32 != 0, let definition = known[Int(tag & 0xffff_ffff) * 16],
                let text = segment.textBytes(of: record, definition: definition),
                Segment.hash(definition, text) >> 32 == word(record + KeyRecord.hashAndLength)
                    >> 32,
                !segment.isRetired(record, kind: definition.kind), wasUsed(record, definition)
            else { continue }
            report.fault("key \(record): in no chain")
        }
    }

    /// Whether a record was charged: one that was never published was not.
    private func wasUsed(_ record: Int, _ definition: Definition) -> Bool {
        let state = word(record + KeyRecord.state)
        guard let parameters = definition.parameters()?.current else { return false }
        switch definition.kind {
        case .bucket:
            let stamp = Int64(bitPattern: word(record + KeyRecord.stamp))
            // One that never needed a stamp does not tell.
            return stamp != 0 && parameters.bucket.lead(of: state, now: stamp) > 2
        case .calendar: return CalendarWindow.count(ofWord: state) > 0
        case .rolling:
            let cells = RollingCells(record: segment.base + record)
            return (0..<definition.ringCount).contains {
                RollingWindow.count(ofCell: cells.cell($0).load()) > 0
            }
        case .concurrency, .slots, .parameters: return false
        }
    }
}
