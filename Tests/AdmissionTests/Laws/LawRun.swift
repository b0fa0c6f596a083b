@testable import Admission

/// One seeded trace: a limiter and its oracle, asked the same, compared after every operation.
struct LawRun {
    let seed: UInt64
    /// Where the store's file lies.
    private let directory: ScratchDirectory?
    let store: TestStore
    /// Nanoseconds that the store's time comes in.
    let grain: Int64
    var numbers: SeededNumbers
    let limiter: Limiter
    let oracle: PlainLimiter
    let documents: LawDocuments
    let isManualHeartbeat: Bool
    private(set) var gates: [(attributes: [Attribute], gate: Gate)] = []
    var open: [UInt64] = []
    var ended: [UInt64] = []
    /// Permits older than the last reclaiming: nothing is added to them any more.
    var aged: Set<UInt64> = []
    var tally = Tally()
    var step = 0
    /// The last operations, for the text of a failure.
    var trail: [String] = []

    /// Steady time at which a run's clock stops: leases tell 2 years apart.
    static let end: Int64 = 500 * 86_400_000_000_000

    /// What a run met, so that a run which met nothing is noticed.
    struct Tally {
        var operations = 0
        var admitted = 0
        var refusals: [RejectionReason: Int] = [:]
        var jumps = 0
        var expired = 0
        var reloads = 0
        var reclaimed = 0

        static func += (left: inout Tally, right: Tally) {
            left.operations += right.operations
            left.admitted += right.admitted
            left.refusals.merge(right.refusals, uniquingKeysWith: +)
            left.jumps += right.jumps
            left.expired += right.expired
            left.reloads += right.reloads
            left.reclaimed += right.reclaimed
        }
    }

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    init(seed: UInt64, store: TestStore = .memory) throws {
        self.seed = seed
        self.store = store
        grain = store.keepsMicroseconds ? 1_000 : 1
        numbers = SeededNumbers(seed: seed)
        documents = LawDocuments(
            hasSteps: numbers.isOne(of: 3), hasConcurrency: numbers.isOne(of: 2),
            changesBuckets: grain == 1)
        isManualHeartbeat = numbers.isOne(of: 2)
        let document = try documents.document(&numbers)
        let start =
            numbers.number((grain > 1 ? 1 : -1)...2_000_000_000) * 1_000_000_000
            + numbers.number(0...999) * grain
        let (url, directory) = try store.fresh()
        self.directory = directory
        limiter = try Limiter(
            policy: document,
            options: Limiter.Options(
                anyStore: url, clock: .manual(startUnixNanoseconds: start),
                permitCapacity: 256, keyCapacity: 1_024,
                heartbeat: isManualHeartbeat ? .manual : .automatic))
        oracle = PlainLimiter(document, wall: start, grain: grain)
        // An instant of 0 is none to a server.
        if grain > 1 {
            try limiter.advance(nanoseconds: 1_000_000_000)
            oracle.advance(1_000_000_000, renewsLeases: false)
        }
        for project in ["acme", "b"] {
            for model in ["x", "y", ""] {
                var attributes = [Attribute("project", project), Attribute("model", model)]
                if model != "y" { attributes.append(Attribute("tenant", "t")) }
                gates.append((attributes, try limiter.gate(attributes)))
                _ = try oracle.parts(attributes)
            }
        }
    }

    mutating func run(operations: Int) throws {
        for _ in 0..<operations {
            step += 1
            tally.operations += 1
            try operate()
            if let broken = oracle.broken.first { throw fault(broken) }
        }
        try endAll()
    }

    func fault(_ text: String) -> Broken {
        Broken(
            description: "seed \(seed), operation \(step), steady \(oracle.now): \(text)\n"
                + oracle.document.canonicalJSON + "\n" + trail.joined(separator: "; "))
    }

    mutating func note(_ text: @autoclosure () -> String) {
        if trail.count >= 12 { trail.removeFirst() }
        trail.append(text())
    }

    private mutating func operate() throws {
        switch numbers.below(100) {
        case 0..<42: try decide(takesPermit: true)
        case 42..<52: try decide(takesPermit: false)
        case 52..<70: try endOne()
        case 70..<74: try addToOne()
        case 74..<76: try endTwice()
        case 76..<92: try advance(min(randomStep(), max(0, Self.end - oracle.now)))
        case 92..<95: try explain(numbers.pick(gates))
        case 95: try reload()
        case 96: if grain == 1 { reclaim() }
        case 97: try setTime()
        case 98: try renewOne()
        default: try openGateAnew()
        }
    }

    private mutating func randomStep() -> Int64 { wholeGrains(randomNanoseconds()) }

    /// The next instant of the store's time.
    func wholeGrains(_ nanoseconds: Int64) -> Int64 {
        nanoseconds % grain == 0 ? nanoseconds : (nanoseconds / grain + 1) * grain
    }

    private mutating func randomNanoseconds() -> Int64 {
        switch numbers.below(12) {
        case 0: 0
        case 1: 1
        case 2...4: numbers.number(1...2_000_000)
        case 5...7: numbers.number(1...1_500_000_000)
        case 8: numbers.number(1...90) * 1_000_000_000
        case 9: numbers.number(1...4_000) * 1_000_000_000
        case 10: numbers.number(1...3_600_000_000_000)
        default: numbers.isOne(of: 8) ? numbers.number(1...86_400 * 20) * 1_000_000_000 : 1_000
        }
    }

    mutating func advance(_ nanoseconds: Int64) throws {
        note("advance \(nanoseconds)")
        try limiter.advance(nanoseconds: nanoseconds)
        oracle.advance(nanoseconds, renewsLeases: !isManualHeartbeat)
    }

    private mutating func setTime() throws {
        let wall = oracle.moment.wall
        let day: Int64 = 86_400_000_000_000
        var step = numbers.number(0...day) * numbers.pick([1, 1, 30])
        if documents.hasSteps, !oracle.isUnsure, numbers.isOne(of: 2) { step = -step }
        if numbers.isOne(of: 2) { step /= 3_600 }
        step = step / grain * grain
        note("set time by \(step) to \(wall + step)")
        try limiter.setTime(unixNanoseconds: wall + step)
        oracle.wallOffset += step
    }

    private mutating func reload() throws {
        let document = try documents.changed(oracle.document, &numbers)
        note("reload")
        try limiter.reload(document)
        try oracle.reload(document)
        tally.reloads += 1
    }

    private mutating func reclaim() {
        // Whether a window was begun by a refused decision decides what is idle.
        guard !oracle.isUnsure else { return }
        note("reclaim")
        tally.reclaimed += limiter.reclaim()
        oracle.reclaim()
        aged = Set(open)
    }

    private mutating func openGateAnew() throws {
        let index = numbers.below(gates.count)
        gates[index].gate = try limiter.gate(gates[index].attributes)
        _ = try oracle.parts(gates[index].attributes)
    }

    /// After everything is ended, the counters are what the logs say.
    private mutating func endAll() throws {
        for id in open { try end(id) }
        open = []
        for gate in gates { try explain(gate) }
        let snapshot = limiter.snapshot()
        let report = limiter.core.store.segment.check()
        if !report.isSound || !report.notes.isEmpty { throw fault(report.json) }
        if snapshot.permitsOpen != 0 { throw fault("\(snapshot.permitsOpen) permits still open") }
    }
}
