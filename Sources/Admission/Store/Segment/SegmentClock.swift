import Glibc

/// Which clock a segment's times are of; a segment is made for one and refuses the other.
package enum SegmentClockKind: UInt64, Sendable {
    /// The host's clocks.
    case system = 0
    /// Two words of the header, moved by `advance` and `setTime`.
    case manual = 1
}

/// Steady time that all processes of a host share, and that goes on after a reboot.
///
/// ```
/// record: boot · time namespace · offset ns · unused
/// ```
/// Steady time is the kernel's monotonic clock plus the offset of this boot. The first process that
/// opens a file after a reboot lays a record by one swap: time goes on by what the wall clock
/// advanced since the last stamp, and never back. Stamps are written at most a second apart.
enum SegmentClock {
    private static let recordBytes = 32
    /// Steady times that make sense: 146 years.
    static let largest: Int64 = 1 << 62

    /// Finds or lays the record of this boot and gives its offset.
    static func offset(of segment: Segment, system: SystemFacts) throws(StoreError) -> Int64 {
        let word = segment.word(Segment.Header.clockRecord)
        while true {
            let known = word.load()
            if known != 0, let offset = try offset(segment, record: known, system) { return offset }
            let offset = try nextOffset(segment, isFirst: known == 0, system)
            let record = try segment.bump(recordBytes)
            segment.word(record).store(system.bootIdentity)
            segment.word(record + 8).store(system.timeNamespace)
            segment.word(record + 16).store(UInt64(bitPattern: offset))
            if word.swap(known, UInt64(record / 16)) { return offset }
        }
    }

    /// The offset of this boot, or the one that the next process to open the segment lays.
    static func offsetInForce(
        of segment: Segment, system: SystemFacts
    ) throws(StoreError) -> Int64 {
        let known = segment.word(Segment.Header.clockRecord).load()
        if known != 0, let offset = try offset(segment, record: known, system) { return offset }
        return try nextOffset(segment, isFirst: known == 0, system)
    }

    /// The offset that a record holds; nil: it is of another boot.
    private static func offset(
        _ segment: Segment, record: UInt64, _ system: SystemFacts
    ) throws(StoreError) -> Int64? {
        guard record < UInt64(segment.size / 16),
            segment.contains(Int(record) * 16, recordBytes)
        else { throw segment.corrupted("clock record at \(record)") }
        let start = Int(record) * 16
        guard segment.word(start).load() == system.bootIdentity else { return nil }
        let namespace = segment.word(start + 8).load()
        // 0: a kernel without time namespaces, or no /proc to ask.
        if namespace != 0, system.timeNamespace != 0, namespace != system.timeNamespace {
            throw .otherTimeNamespace(
                path: segment.path ?? "", found: namespace, own: system.timeNamespace)
        }
        let offset = Int64(bitPattern: segment.word(start + 16).load())
        let now = system.monotonicNanoseconds.addingReportingOverflow(offset)
        guard !now.overflow, (0..<largest).contains(now.partialValue) else {
            throw segment.corrupted("clock offset \(offset)")
        }
        // Without a boot's identity a clock that went back tells of a reboot.
        let stamp = Int64(bitPattern: segment.word(Segment.Header.stampSteady).load())
        if system.bootIdentity == 0, now.partialValue &+ 2_000_000_000 < stamp { return nil }
        return offset
    }

    private static func nextOffset(
        _ segment: Segment, isFirst: Bool, _ system: SystemFacts
    ) throws(StoreError) -> Int64 {
        guard !isFirst else { return 0 }
        let steady = Int64(bitPattern: segment.word(Segment.Header.stampSteady).load())
        let wallOffset = Int64(bitPattern: segment.word(Segment.Header.stampWallOffset).load())
        guard (0..<largest).contains(steady) else {
            throw segment.corrupted("steady stamp \(steady)")
        }
        let byWall = system.wallNanoseconds.subtractingReportingOverflow(wallOffset)
        guard !byWall.overflow, byWall.partialValue < largest else {
            throw segment.corrupted("wall stamp \(wallOffset)")
        }
        return max(steady, byWall.partialValue) &- system.monotonicNanoseconds
    }

    /// Notes both times, for the first process after a reboot.
    static func stamp(_ segment: Segment, _ clock: StoreClock) {
        segment.word(Segment.Header.stampWallOffset)
            .store(UInt64(bitPattern: clock.wallOffset()))
        segment.word(Segment.Header.stampSteady).raise(UInt64(bitPattern: clock.now()))
    }
}
