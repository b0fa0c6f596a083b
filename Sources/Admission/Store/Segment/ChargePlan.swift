import Glibc
import Synchronization

/// What a limit is called and what the process knows of it.
///
/// Made once per distinct definition and parameters, kept as long as the store.
package final class LimitNotes: Sendable {
    package let definition: Definition
    /// The store's clock, for who must read it again in the middle of a decision.
    package let clock: StoreClock
    /// Interned, NUL-terminated, never freed.
    package let policyName: InternedName
    package let limitName: InternedName
    /// The limit's name where a remote store's decision was made without asking it.
    let localNames: (slice: InternedName, outage: InternedName)?
    package let limit: Limit
    /// Names of the attributes in a key, sorted.
    package let attributeNames: [String]
    /// Number of these parameters in the definition.
    package let parameterNumber: UInt64
    /// The same with when they were loaded; `limit` says the same numbers.
    package let parameters: Definition.Parameters
    /// The definition's word that published them.
    private let publication: UInt64
    /// What this process counts of the limit, whatever its parameters.
    package let tally: LimitTally
    /// What decisions on a single bucket read of their limit; owned by these notes.
    package let shared: SharedLimitReference

    /// Calendar words that were found ahead of time and taken for damage.
    package var damages: LimitTally.Count { tally.damages }
    /// Rejections by reason (`Verdict.Refusal`).
    package var rejections: [LimitTally.Count] { tally.rejections }

    /// - Parameters:
    ///   - limit: with the numbers of `block`.
    ///   - block: read from the definition, and checked.
    init(
        definition: Definition, clock: StoreClock, mode: StoreMode, policyName: String,
        limit: Limit,
        attributeNames: [String], block: PublishedBlock, tally: LimitTally
    ) {
        self.definition = definition
        self.clock = clock
        self.policyName = InternedName(policyName, mode: mode)
        limitName = InternedName(limit.name, mode: mode)
        localNames =
            mode == .redis
            ? (InternedName(limit.name, mode: .slice), InternedName(limit.name, mode: .outage))
            : nil
        self.limit = limit
        self.attributeNames = attributeNames
        parameterNumber = block.number
        parameters = Definition.Parameters(block)
        publication = block.word
        self.tally = tally
        var reciprocal: UInt64 = 0
        if case .tokenBucket = limit.kind { reciprocal = parameters.bucket.reciprocal }
        shared = SharedLimitReference(
            SharedLimit(
                capacity: limit.kind.capacity, countIndex: limit.count.index,
                reciprocal: reciprocal, policyName: self.policyName.address,
                limitName: limitName.address))
    }

    /// Whether these parameters are the ones in force.
    var isInForce: Bool {
        definition.published.word.load() == publication
            || definition.parameterNumber == parameterNumber
    }

    deinit {
        shared.address.deallocate()
    }

    /// A cost above 0 met these parameters since they were loaded.
    package var wasCharged: Bool {
        get { shared.wasCharged.loadRelaxed() != 0 }
        set {
            shared.wasCharged.storeRelaxed(newValue ? 1 : 0)
            tally.wasCharged.store(newValue, ordering: .relaxed)
        }
    }
}

/// What all keys of a limit share on the path of a single bucket: one line for all of them.
@frozen
@usableFromInline
package struct SharedLimit {
    /// 1 once a cost above 0 met the limit; relaxed, any thread.
    @usableFromInline var wasCharged: UInt64 = 0
    @usableFromInline package var capacity: Int64
    /// floor((2^64 - 1) / interval) of a bucket.
    @usableFromInline var reciprocal: UInt64
    /// Index of what the limit counts.
    @usableFromInline package var countIndex: Int64
    /// Interned, never freed.
    @usableFromInline package var policyName: UnsafePointer<CChar>?
    @usableFromInline package var limitName: UnsafePointer<CChar>?

    init(
        capacity: Int64, countIndex: Int32, reciprocal: UInt64, policyName: UnsafePointer<CChar>,
        limitName: UnsafePointer<CChar>
    ) {
        self.capacity = capacity
        self.countIndex = Int64(countIndex)
        self.reciprocal = reciprocal
        self.policyName = policyName
        self.limitName = limitName
    }
}

/// The address of a `SharedLimit`, which lives as long as its notes.
package struct SharedLimitReference: @unchecked Sendable {
    // Unchecked: written before it is published, but for its first word, which is atomic.
    package let address: UnsafeMutablePointer<SharedLimit>

    init(_ limit: SharedLimit) {
        address = UnsafeMutablePointer<SharedLimit>.allocate(capacity: 1)
        address.initialize(to: limit)
    }

    @inline(__always)
    init(_ address: UnsafeMutablePointer<SharedLimit>) { self.address = address }

    @inline(__always)
    var wasCharged: SharedWord { SharedWord(UnsafeMutableRawPointer(address), at: 0) }
}

/// One charge of a plan: which key, and under which parameters. Plain data in plan memory.
///
/// The parameters lie in `parameters`, read as the algorithm's own type: see `bucket`, `rolling`.
package struct ChargeStep {
    /// The key's record; valid while the segment is mapped.
    var record: UnsafeMutableRawPointer
    /// The record's tag when the plan was made.
    var tag: UInt64
    /// Burst or limit.
    package var capacity: Int64
    /// Unowned: the store keeps it.
    var notes: Unmanaged<LimitNotes>
    var kind: LimitKindCode
    /// Whether this limit's first charge was noted; see `isNoted` of the pointer.
    var isNoted: Bool
    var documentIndex: UInt16
    var countIndex: Int32
    /// Bucket: parity of words under these parameters. Calendar: guard. Concurrency: lease ns.
    var detail: UInt64
    /// Changed by any thread, relaxed. Concurrency: offset of the slot to try first. Rolling: a
    /// cell's `epoch << 7 | slot`, most often the current one's, which spares two divisions.
    var hint: UInt64
    /// Calendar: address of the `CalendarCell`.
    var calendar: UnsafeRawPointer?
    ///
    /// Concurrency: segment's address, max hold ns, 1 where the key has more slots than the limit,
    /// segment's size, the first slot block's offset and slots.
    var parameters: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    /// Where the key's text lies behind the steps, in bytes from the plan's start, and its length.
    var textOffset: UInt32
    var textLength: UInt32
    /// Interned, never freed.
    package var policyName: UnsafePointer<CChar>?
    package var limitName: UnsafePointer<CChar>?
}

/// The memory of a plan: a head of one cache line, then the steps.
///
/// ```
/// head:  core · version and flags · record · tag · interval · tolerance · shared limit · offset
///        of steady time · successor · latest · sizes
/// steps: 192 bytes each, in the order in which charges are taken (concurrency, then by address)
/// texts: the keys' attribute values, to find or make a key again that was reclaimed
/// attributes: of the gate, to make its next plan from
/// ```
/// The head repeats the one step of a plan with a single bucket, so that such a decision touches
/// one line of the plan and one of the key. Owner: the gate that made it; see `GateStorage`. Its
/// memory is the store's `PlanMemory`.
package struct ChargePlan {
    /// The owner's context: `Limiter`'s hot core.
    package var core: UnsafeMutableRawPointer
    /// `loadVersion` of the segment for which the plan was made, its lower half.
    package var version: UInt32
    package var stepCount: UInt16
    private var flags: UInt8
    /// Count of the single bucket.
    package var countIndex: UInt8
    var record: UnsafeMutableRawPointer
    var tag: UInt64
    var interval: UInt64
    var tolerance: UInt64
    /// The single bucket's limit.
    package var shared: UnsafeMutablePointer<SharedLimit>?
    /// What the at-once ways add to the process's clock: `StoreClock.steadyOffset`.
    var steadyOffset: Int64

    /// A plan of one bucket on the system's clock that needs no stamp, so that its instants are in
    /// half nanoseconds.
    @inline(__always)
    package var isSingleBucket: Bool {
        get { flags & 1 != 0 }
        set { flags = flags & ~1 | (newValue ? 1 : 0) }
    }

    /// `isSingleBucket` of requests or input tokens, which the functions for a single one serve.
    @inline(__always)
    package var isPlainBucket: Bool {
        get { flags & 8 != 0 }
        set { flags = flags & ~8 | (newValue ? 8 : 0) }
    }

    /// A plan of a few windows and a concurrency limit on the system's clock, which
    /// `acquireAtOnce` serves.
    @inline(__always)
    package var isOfFewLimits: Bool {
        get { flags & 16 != 0 }
        set { flags = flags & ~16 | (newValue ? 16 : 0) }
    }

    /// A plan whose counters are a remote store's: no way but the general one serves it.
    @inline(__always)
    package var isRemote: Bool {
        get { flags & 32 != 0 }
        set { flags = flags & ~32 | (newValue ? 32 : 0) }
    }

    @inline(__always)
    package var hasConcurrency: Bool {
        get { flags & 2 != 0 }
        set { flags = flags & ~2 | (newValue ? 2 : 0) }
    }

    /// Parity of the single bucket's words.
    @inline(__always)
    var parity: UInt64 {
        get { UInt64(flags >> 2 & 1) }
        set { flags = flags & ~4 | UInt8(newValue & 1) << 2 }
    }

    /// Bytes of the head and of a step.
    package static var headBytes: Int { StepFacts.stepsOffset }
    package static var stepBytes: Int { StepFacts.stepBytes }
    /// Limits that may apply to one gate.
    package static let maximumSteps = 256

    /// Second line of the head: the plan that replaced this one, the newest known one, bytes of the
    /// plan and where a gate's attributes lie in it, whether every step's first charge was noted,
    /// what a remote store keeps of the plan.
    static var successorOffset: Int { 64 }
    static var latestOffset: Int { 72 }
    static var bytesOffset: Int { 80 }
    static var attributesOffset: Int { 84 }
    static var allNotedOffset: Int { 88 }
    static var remoteOffset: Int { 96 }
}

/// Address of a plan. The gate's storage owns the memory.
@frozen
@usableFromInline
package struct ChargePlanReference: @unchecked Sendable, Equatable {
    // Unchecked: an address; what it points at is written before it is published, but for words
    // that are read and written relaxed.
    @usableFromInline package let address: UnsafeMutableRawPointer

    @inline(__always)
    package init(_ address: UnsafeMutableRawPointer) { self.address = address }

    @inline(__always)
    package var head: UnsafeMutablePointer<ChargePlan> {
        address.assumingMemoryBound(to: ChargePlan.self)
    }

    @inline(__always)
    package func step(_ index: Int) -> UnsafeMutablePointer<ChargeStep> {
        (address + ChargePlan.headBytes + index &* ChargePlan.stepBytes)
            .assumingMemoryBound(to: ChargeStep.self)
    }

    @inline(__always)
    package var stepCount: Int { Int(head.pointee.stepCount) }

    /// Whether the word that loads raise still is as it was when the plan was made.
    ///
    /// A decision asks behind reading the keys' words that it is going to swap. Asked in front of
    /// that, two documents could be loaded in between, after which a bucket's word has the parity of
    /// the plan's parameters again and is under others. A load raises the version before it publishes:
    /// who reads a key's word of its making reads the raised version behind it, and a key's word that
    /// was read before has changed by the time that the load is over.
    @inline(__always)
    package func isInForce(by version: SharedWord) -> Bool {
        UInt32(truncatingIfNeeded: version.loadRelaxed()) == head.pointee.version
    }

    /// Address of the plan that replaced this one, 0 while none did.
    @inline(__always)
    package var successor: SharedWord { SharedWord(address, at: ChargePlan.successorOffset) }

    /// Address of a plan at or near the end of the chain that begins here, so that a walk is short.
    @inline(__always)
    package var latest: SharedWord { SharedWord(address, at: ChargePlan.latestOffset) }

    /// What the single bucket's keys share; only where `isSingleBucket` holds.
    @inline(__always)
    package var shared: SharedLimitReference {
        SharedLimitReference(head.pointee.shared.unsafelyUnwrapped)  // set with `isSingleBucket`
    }

    /// The record of the single bucket, for who can ask the processor for it before it reads the
    /// head. Of other plans an address that nobody needs.
    package var nearest: UnsafeRawPointer { UnsafeRawPointer(head.pointee.record) }

    /// The bytes of a step's key: its attributes' values.
    package func text(of index: Int) -> UnsafeRawBufferPointer {
        let step = step(index)
        return UnsafeRawBufferPointer(
            start: address + Int(step.pointee.textOffset), count: Int(step.pointee.textLength))
    }
}

/// A step's parameters as its algorithm's type.
extension UnsafeMutablePointer where Pointee == ChargeStep {
    private static var parametersOffset: Int { 64 }

    @inline(__always)
    private var rawParameters: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(self) + Self.parametersOffset
    }

    @inline(__always)
    var bucket: UnsafePointer<TokenBucket> {
        UnsafePointer(rawParameters.assumingMemoryBound(to: TokenBucket.self))
    }

    @inline(__always)
    var rolling: UnsafePointer<RollingWindow> {
        UnsafePointer(rawParameters.assumingMemoryBound(to: RollingWindow.self))
    }

    @inline(__always)
    var state: SharedWord { SharedWord(pointee.record, at: KeyRecord.state) }

    /// Whether this limit's first charge was noted. Any thread writes it; relaxed, since noting it
    /// twice does no harm.
    @inline(__always)
    var isNoted: Bool {
        get { notedByte.pointee.load(ordering: .relaxed) != 0 }
        nonmutating set { notedByte.pointee.store(newValue ? 1 : 0, ordering: .relaxed) }
    }

    @inline(__always)
    private var notedByte: UnsafeMutablePointer<Atomic<UInt8>> {
        (UnsafeMutableRawPointer(self) + 33).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    @inline(__always)
    var hint: SharedWord { SharedWord(UnsafeMutableRawPointer(self), at: 48) }

    /// Whether the record still is the key that the plan means. Call it behind the load of the word
    /// that is to be swapped: a record that was reused in between holds another word then.
    @inline(__always)
    var isCurrent: Bool {
        SharedWord(pointee.record, at: KeyRecord.tag).load() == pointee.tag
    }

    func setParameters(_ bucket: TokenBucket) {
        rawParameters.storeBytes(of: bucket, as: TokenBucket.self)
    }

    func setParameters(_ rolling: RollingWindow) {
        rawParameters.storeBytes(of: rolling, as: RollingWindow.self)
    }

    @inline(__always)
    var calendarCell: UnsafePointer<CalendarCell>? {
        pointee.calendar?.assumingMemoryBound(to: CalendarCell.self)
    }

    /// Offsets that `hint` and the parameters rely on.
    static func checkLayout() -> Bool {
        MemoryLayout<ChargeStep>.offset(of: \.parameters) == parametersOffset
            && MemoryLayout<ChargeStep>.offset(of: \.hint) == 48
            && MemoryLayout<ChargeStep>.offset(of: \.capacity) == StepFacts.capacityOffset
            && MemoryLayout<ChargeStep>.offset(of: \.countIndex) == StepFacts.countOffset
            && MemoryLayout<ChargeStep>.offset(of: \.policyName) == StepFacts.policyOffset
            && MemoryLayout<ChargeStep>.offset(of: \.limitName) == StepFacts.limitOffset
            && MemoryLayout<ChargePlan>.offset(of: \.core) == 0
            && MemoryLayout<ChargeStep>.offset(of: \.isNoted) == 33
            && MemoryLayout<ChargeStep>.size <= ChargePlan.stepBytes
            && MemoryLayout<ChargePlan>.size <= ChargePlan.successorOffset
            && MemoryLayout<TokenBucket>.size <= 48 && MemoryLayout<RollingWindow>.size <= 48
    }
}
