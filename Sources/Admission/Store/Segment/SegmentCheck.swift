/// What a look at everything in a segment found.
public struct SegmentCheckReport: Sendable {
    /// What no writer of this library leaves, whenever it dies. Empty for a sound segment.
    public internal(set) var faults: [String] = []
    /// What processes that died leave, and what is mended or does no harm.
    public internal(set) var notes: [String] = []
    /// Faults and notes beyond those that are listed.
    public internal(set) var omitted = 0

    /// Keys that live.
    public internal(set) var keys = 0
    /// Limits ever loaded.
    public internal(set) var definitions = 0
    /// Blocks of lease slots.
    public internal(set) var slotBlocks = 0
    /// Records on free lists.
    public internal(set) var freeRecords = 0
    /// Bytes handed out.
    public internal(set) var bytesUsed = 0
    /// Of these, bytes on free lists.
    public internal(set) var bytesFree = 0
    /// Of these, bytes that nothing leads to.
    public internal(set) var bytesLost = 0

    /// Lines that a report lists.
    private static let mostLines = 100

    /// Whether there are no faults.
    public var isSound: Bool { faults.isEmpty }

    mutating func fault(_ text: String) {
        if faults.count < Self.mostLines { faults.append(text) } else { omitted += 1 }
    }

    mutating func note(_ text: String) {
        if notes.count < Self.mostLines { notes.append(text) } else { omitted += 1 }
    }

    /// Only the faults that another look found too.
    func confirmed(by other: SegmentCheckReport) -> SegmentCheckReport {
        var report = other
        let seen = Set(faults)
        report.faults.removeAll { !seen.contains($0) }
        return report
    }

    /// The report as JSON.
    public var json: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("sound", isSound)
            for (name, lines) in [("faults", faults), ("notes", notes)] {
                writer.key(name)
                writer.array { writer in for line in lines { writer.value(line) } }
            }
            writer.member("omitted", omitted)
            writer.member("keys", keys)
            writer.member("definitions", definitions)
            writer.member("slot_blocks", slotBlocks)
            writer.member("free_records", freeRecords)
            writer.member("bytes_used", bytesUsed)
            writer.member("bytes_free", bytesFree)
            writer.member("bytes_lost", bytesLost)
        }
        return writer.text
    }
}

extension Segment {
    /// Looks at every chain, record, definition, block and free list; changes nothing.
    ///
    /// What a writer is just changing looks wrong for a moment: faults count when three looks in
    /// turn find them. Safe on any garbage: nothing is followed unchecked, every walk is bounded.
    ///
    /// - Complexity: O(bytes handed out), allocates O(records).
    package func check() -> SegmentCheckReport {
        func look() -> SegmentCheckReport {
            var check = SegmentCheck(self)
            return check.run()
        }
        var report = look()
        for _ in 0..<2 where !report.isSound { report = report.confirmed(by: look()) }
        return report
    }
}

/// One look at everything.
struct SegmentCheck {
    let segment: Segment
    var report = SegmentCheckReport()
    /// Everything that something leads to: where it lies and what it is.
    var extents: [Extent] = []
    var known: [Int: Definition] = [:]

    struct Extent {
        var start: Int
        var end: Int
        var what: What

        enum What {
            case key, definition, slots, parameters, clock
            case free
        }
    }

    init(_ segment: Segment) { self.segment = segment }

    mutating func run() -> SegmentCheckReport {
        checkHeader()
        checkDefinitions()
        checkChains()
        checkFreeLists()
        checkExtents()
        return report
    }

    private typealias Header = Segment.Header

    func word(_ offset: Int) -> UInt64 { segment.word(offset).load() }

    mutating func add(_ start: Int, _ bytes: Int, _ what: Extent.What) {
        extents.append(Extent(start: start, end: start + Segment.roundedSize(bytes), what: what))
    }

    private mutating func checkHeader() {
        if word(Header.magic) != Segment.magic { report.fault("header: magic") }
        if word(Header.layoutVersion) != Segment.layoutVersion {
            report.fault("header: layout version \(word(Header.layoutVersion))")
        }
        if word(Header.size) != UInt64(segment.size) {
            report.fault("header: size \(word(Header.size)), mapped are \(segment.size)")
        }
        if word(Header.keyCapacity) != UInt64(segment.keyCapacity) {
            report.fault("header: key capacity \(word(Header.keyCapacity))")
        }
        let allocated = word(Header.allocated)
        if allocated < UInt64(segment.arenaStart) || allocated > UInt64(segment.arenaEnd)
            || allocated & 15 != 0
        {
            report.fault("header: \(allocated) bytes handed out of \(segment.size)")
        }
        report.bytesUsed = segment.allocatedBytes
        let record = word(Header.clockRecord)
        if record != 0 {
            let offset = Int(clamping: record).multipliedReportingOverflow(by: 16)
            if !offset.overflow, segment.contains(offset.partialValue, 32) {
                add(offset.partialValue, 32, .clock)
            } else {
                report.fault("header: clock record \(record)")
            }
        }
    }

    private mutating func checkDefinitions() {
        if let document = segment.document.load() {
            add(document.offset, PublishedBlock.bytes, .parameters)
        } else if word(Header.document) != 0 {
            report.fault("header: document \(word(Header.document))")
        }
        let (offsets, isSound) = segment.definitionOffsets()
        if !isSound { report.fault("definitions: the list leads nowhere") }
        var identities: Set<[UInt8]> = []
        for offset in offsets {
            guard let definition = segment.definition(at: offset),
                let bytes = segment.identity(ofDefinitionAt: offset)
            else {
                report.fault("definition \(offset): identity, kind or hash")
                continue
            }
            let identity = [UInt8](bytes)
            if !identities.insert(identity).inserted {
                report.fault("definition \(offset): doubled")
            }
            if LimitIdentity(identity)?.kind != definition.kind {
                report.fault("definition \(offset): identity")
            }
            if let block = definition.blockInForce() {
                add(block.offset, PublishedBlock.bytes, .parameters)
                if segment.contains(block.previous, PublishedBlock.bytes) {
                    add(block.previous, PublishedBlock.bytes, .parameters)
                } else {
                    report.fault("definition \(offset): parameters before")
                }
            } else {
                report.fault("definition \(offset): parameters")
            }
            known[offset] = definition
            // Its first two blocks lie behind it, and may be another's by now.
            let end = (offset + Definition.identity + identity.count + 15) & ~15
            extents.append(Extent(start: offset, end: end, what: .definition))
        }
        report.definitions = known.count
    }

    private mutating func checkChains() {
        var budget = segment.maximumChain
        var linked = 0
        let buckets = Int(segment.indexMask) + 1
        let granule = segment.bucketsPerGranule
        for part in 0..<(buckets + granule - 1) / granule where segment.isTouched(granule: part) {
            for bucket in part * granule..<min(buckets, (part + 1) * granule) {
                if word(Header.bytes + bucket * 8) == 0 { continue }
                let (keys, isSound) = segment.chain(bucket: bucket, atMost: budget)
                budget -= keys.count
                linked += keys.count
                if !isSound { report.fault("chain \(bucket): leads nowhere") }
                checkChain(keys, bucket)
            }
        }
        let count = Int64(bitPattern: word(Header.keyCount))
        if count != Int64(linked) { report.note("header: \(count) keys counted, \(linked) linked") }
    }

    private mutating func checkChain(
        _ chain: [(key: KeyReference, isMarked: Bool)], _ bucket: Int
    ) {
        var texts: Set<[UInt8]> = []
        for (key, isMarked) in chain {
            let name = "key \(key.offset)"
            guard let definition = known[Int(key.tag & 0xffff_ffff) * 16] else {
                report.fault("\(name): definition")
                continue
            }
            guard let text = segment.textBytes(of: key.offset, definition: definition) else {
                report.fault("\(name): text length")
                continue
            }
            let hash = Segment.hash(definition, text)
            let stored = word(key.offset + KeyRecord.hashAndLength)
            if hash >> 32 != stored >> 32 { report.fault("\(name): hash") }
            if hash & segment.indexMask != UInt64(bucket) { report.fault("\(name): chain") }
            let start = KeyRecord.textStart(kind: definition.kind, ringCount: definition.ringCount)
            add(key.offset, start + text.count, .key)
            let isRetired = segment.isRetired(key.offset, kind: definition.kind)
            if isMarked || isRetired {
                report.note("\(name): its removal is not finished")
            } else {
                report.keys += 1
                let identity = withUnsafeBytes(of: definition.offset) { [UInt8]($0) } + text
                if !texts.insert(identity).inserted { report.fault("\(name): doubled") }
                checkWords(of: key.offset, definition, name)
            }
            if definition.kind == .concurrency { checkBlocks(of: key.offset, name) }
        }
    }

    /// Free lists, each to its end.
    private mutating func checkFreeLists() {
        let most = (segment.arenaEnd - segment.arenaStart) / 16
        for kind in [LimitKindCode.bucket, .rolling, .calendar, .concurrency, .slots, .parameters] {
            for sizeClass in 0..<Segment.sizeClasses {
                let bytes = Segment.bytes(ofSizeClass: sizeClass)
                var offset =
                    Int(
                        segment.freeList(kind: kind, sizeClass: sizeClass).load() & 0xffff_ffff)
                    * 16
                var seen: Set<Int> = []
                while offset != 0 {
                    guard bytes > 0, segment.contains(offset, bytes),
                        seen.insert(offset).inserted, seen.count <= most
                    else {
                        report.fault("free list \(kind) of \(bytes) bytes: leads nowhere")
                        break
                    }
                    if kind.rawValue < LimitKindCode.slots.rawValue,
                        word(offset + KeyRecord.tag) & 0xffff_ffff != 0
                    {
                        report.fault("free record \(offset): tag")
                    }
                    extents.append(Extent(start: offset, end: offset + bytes, what: .free))
                    offset = Int(word(offset + KeyRecord.link) & 0xffff_ffff) * 16
                }
                report.freeRecords += seen.count
                report.bytesFree += seen.count * bytes
            }
        }
    }
}
