/// One load of a document's limits into a segment, as a row of steps.
///
/// Any process may stop between two of them, for ever, and others may take theirs in between. What
/// orders loads is a serial number, taken first: each definition ends with the parameters of the
/// latest load that names it, since a load replaces only what earlier ones published, and replaces
/// even equal values (by the same, under its own serial number), so that an earlier one that is
/// late finds itself overtaken. So does the word that tells which document was loaded last. Loads
/// of several limits are not one step: in between, one limit may have them and another not yet.
///
/// For a bucket, words of older parameters than the ones in force must be gone before new ones
/// follow, as one bit tells only two apart: `finishSweeps`. `loadVersion` is raised before new
/// parameters are published, so that no plan of the parameters before the present ones is taken for
/// current any more when theirs is the parity again, and afterwards, so that all plans follow.
///
/// A load holds one block of its own at a time: it brings one and gets one back with each swap.
/// Who dies leaks that block, and leaves at worst a part of the document's limits loaded, which the
/// next load of any of them goes on from. Progress: lock-free; a step that fails means that another
/// load's succeeded.
struct DocumentLoad {
    /// What is done next.
    enum Step: Hashable {
        /// Reads what is in force.
        case look
        /// Converts words that an earlier load has left behind.
        case finishSweeps
        /// Makes all plans stale.
        case announce
        /// Replaces the parameters of one limit.
        case publish(Int)
        /// Converts the words of buckets that got new parameters.
        case sweep
        /// Notes the document as the one loaded last.
        case publishDocument
        /// Makes all plans stale.
        case tell
        case done
    }

    /// What became of one limit.
    enum Outcome: Hashable {
        case open
        /// It had these values, or got them.
        case kept
        case changed(number: UInt64)
        /// A later load has come first.
        case overtaken
    }

    fileprivate struct Entry {
        let definition: Definition
        let values: SIMD4<Int64>
        var seen = PublishedBlock()
        var outcome = Outcome.open

        var differs: Bool { seen.values != values }
    }

    private(set) var step = Step.look
    /// Serial number of this load among all of the segment.
    let load: UInt64
    /// Hash of the document that was loaded last before; 0 for none.
    private(set) var hashBefore: UInt64 = 0
    private let segment: Segment
    private let clock: StoreClock
    private let hash: UInt64
    private var entries: [Entry]
    /// The block that is this load's own, 0 for none.
    private var block: Int

    /// - Throws: `StoreError`; nothing was changed.
    init(
        _ limits: [(definition: Definition, parameters: Definition.Parameters)], hash: UInt64,
        in segment: Segment, clock: StoreClock
    ) throws(StoreError) {
        self.segment = segment
        self.clock = clock
        self.hash = hash
        entries = limits.map { Entry(definition: $0.definition, values: $0.parameters.values) }
        for entry in entries where entry.definition.blockInForce() == nil {
            throw entry.definition.damage
        }
        block = try segment.allocateBlock()
        // From here on nothing but damage can fail.
        load = segment.word(Segment.Header.loads).fetchAdd(1) &+ 1
    }

    /// Whether any limit got new parameters by this load.
    var isChanged: Bool {
        entries.contains { if case .changed = $0.outcome { true } else { false } }
    }

    /// Whether a later load came first to any limit.
    var isOvertaken: Bool { entries.contains { $0.outcome == .overtaken } }

    /// In the order in which they were given.
    var definitions: [Definition] { entries.map(\.definition) }

    mutating func run() throws(StoreError) {
        while step != .done { try advance() }
    }

    /// Takes the next step.
    mutating func advance() throws(StoreError) {
        switch step {
        case .look: try look()
        case .finishSweeps:
            guard sweep(entries.filter(\.isUnswept).map { ($0.definition, $0.seen.number) }) else {
                throw segment.corrupted("a chain of keys leads nowhere")
            }
            step = .announce
        case .announce:
            segment.loadVersion.increment()
            step = .publish(0)
        case .publish(let index): try publish(index)
        case .sweep:
            _ = sweep(
                entries.compactMap { entry in
                    guard case .changed(let number) = entry.outcome else { return nil }
                    return (entry.definition, number)
                })
            step = .publishDocument
        case .publishDocument: publishDocument()
        case .tell:
            if isChanged { segment.loadVersion.increment() }
            segment.word(Segment.Header.loadsFinished).increment()
            step = .done
        case .done: break
        }
    }

    private mutating func look() throws(StoreError) {
        for index in entries.indices where entries[index].outcome == .open {
            guard let seen = entries[index].definition.blockInForce() else {
                throw entries[index].definition.damage
            }
            entries[index].seen = seen
            if segment.isLater(seen, than: load) { entries[index].outcome = .overtaken }
        }
        let open = entries.filter { $0.outcome == .open && $0.differs }
        step =
            open.isEmpty
            ? .publish(0) : open.contains(where: \.isUnswept) ? .finishSweeps : .announce
    }

    /// One try: where another load came first, this limit is looked at again with all that are open.
    private mutating func publish(_ index: Int) throws(StoreError) {
        guard index < entries.count else {
            let isOver = entries.allSatisfy { $0.outcome != .open }
            step = isOver ? .sweep : .look
            return
        }
        step = .publish(index + 1)
        let entry = entries[index]
        guard entry.outcome == .open else { return }
        let seen = entry.seen
        var new = PublishedBlock(
            number: seen.number, load: load, previous: seen.previous, values: entry.values,
            loadedAt: seen.loadedAt)
        if entry.differs {
            new.number = seen.number &+ 1
            new.previous = seen.offset
            // Read here: what is charged under the old parameters between this instant and the
            // swap is converted as if it were debt, to nobody's gain.
            new.loadedAt = max(clock.now(), seen.loadedAt)
        }
        if block == 0 { block = try segment.allocateBlock() }
        segment.write(new, at: block)
        guard entry.definition.published.replace(seen.word, withBlockAt: block) else { return }
        // Nothing leads to this one any more. A damaged one is left where it is.
        let free = entry.differs ? seen.previous : seen.offset
        block = segment.contains(free, PublishedBlock.bytes) ? free : 0
        entries[index].outcome = entry.differs ? .changed(number: new.number) : .kept
    }

    /// Brings every word of some buckets under the parameters in force, which are of these numbers
    /// or newer ones, and says so.
    ///
    /// - Returns: false when keys could not be found.
    private func sweep(_ definitions: [(Definition, number: UInt64)]) -> Bool {
        let buckets = definitions.filter { $0.0.kind == .bucket }
        guard !buckets.isEmpty else { return true }
        let byOffset = Dictionary(
            buckets.map { ($0.0.offset, $0.0) }, uniquingKeysWith: { first, _ in first })
        let isWhole = segment.forEachKey { key, owner in
            guard let definition = byOffset[owner.offset] else { return }
            _ = segment.convertBucket(key, of: definition)
        }
        // Keys behind damage were not met.
        guard isWhole else { return false }
        // The number that was in force before the walk began: a load that came while it lasted has
        // words of its own to convert. A key that was published behind the walk's back is full under
        // any parameters (`SegmentStore.seed`).
        for (definition, number) in buckets { definition.sweptNumber.raise(number) }
        return true
    }

    private mutating func publishDocument() {
        step = .tell
        let document = segment.document
        while true {
            let seen = document.load() ?? PublishedBlock(word: document.word.load())
            if segment.isLater(seen, than: load) { break }
            if block == 0 {
                guard let new = try? segment.allocateBlock() else { break }
                block = new
            }
            segment.write(
                PublishedBlock(
                    load: load, values: [Int64(bitPattern: hash), 0, 0, 0], loadedAt: clock.now()),
                at: block)
            hashBefore = UInt64(bitPattern: seen.values[0])
            if document.replace(seen.word, withBlockAt: block) {
                block = seen.offset
                break
            }
        }
        segment.freeBlock(block)
        block = 0
    }

    /// Gives the load up before its end: what was done stays.
    mutating func abandon() {
        segment.freeBlock(block)
        block = 0
    }
}

extension DocumentLoad.Entry {
    /// Whether words may be left of older parameters than the ones in force, in the way of new ones.
    fileprivate var isUnswept: Bool {
        outcome == .open && differs && definition.kind == .bucket
            && definition.sweptNumber.load() != seen.number
    }
}

extension Definition {
    /// Its parameters are none that a document can say.
    var damage: StoreError {
        segment.corrupted("the parameters of the definition at \(offset) are out of range")
    }
}

extension Segment.Header {
    /// The document that was loaded last, see `PublishedBlock`: its hash is the first value.
    static let document = 216
    /// Loads that came to their end.
    static let loadsFinished = 224
}

extension Segment {
    /// The document that was loaded last.
    var document: PublishedWord { PublishedWord(segment: self, place: Header.document) }

    /// Its hash and the serial number of its load; nil while none was loaded.
    package var documentInForce: (hash: UInt64, load: UInt64)? {
        document.load().map { (UInt64(bitPattern: $0.values[0]), $0.load) }
    }

    /// Whether a block was published by a later load. A number that no load has had yet is damage.
    func isLater(_ block: PublishedBlock, than load: UInt64) -> Bool {
        block.load > load && block.load <= word(Header.loads).load()
    }
}
