import Admission
import Glibc

/// A file with some history, a process that survives, and what it expects of the file afterwards.
final class World {
    enum Kind {
        /// Time stands still until it is moved.
        case manual
        /// The same with hundreds of slots.
        case wide
        /// The system's clocks, on which the short ways of a decision are open.
        case system

        var document: Document {
            switch self {
            case .manual: .manual
            case .wide: .wide
            case .system: .system
            }
        }
    }

    let path: String
    let kind: Kind
    private var survivor: Member?
    private var held: [PermitBox] = []
    private var before: [String: Int64] = [:]
    private var keys = 0
    /// The calendar window in which it was made.
    private let year = World.year()

    /// - Parameters:
    ///   - operation: what is going to be done.
    ///   - isNew: make the file, not open the one that is there.
    init(path: String, for operation: Operation, isNew: Bool = true) throws {
        self.path = path
        kind = operation.kind
        if isNew { unlink(path) }
        let member = try Member(self)
        survivor = member
        for gate in [\Member.call, \Member.few] {
            try member.acquire(gate, tokens: 5).complete()
            let permit = PermitBox(try member.acquire(gate, tokens: 5))
            if !operation.leavesSlots { held.append(permit) }
        }
        try member.charge(tokens: 5)
        try member.charge(\.single, tokens: 0)
        if operation.laterNanoseconds > 0 {
            try member.limiter.advance(nanoseconds: operation.laterNanoseconds)
        }
        before = try member.use()
        keys = member.limiter.snapshot().keys
    }

    /// - Parameter document: nil: that of the world's kind.
    func open(_ document: Document? = nil) throws -> Limiter {
        let start: Int64 = 1_700_000_000_000_000_000
        return try Limiter(
            policyJSON: (document ?? kind.document).json,
            options: Limiter.Options(
                store: "file:\(path)",
                clock: kind == .system ? .system : .manual(startUnixNanoseconds: start),
                permitCapacity: 512, keyCapacity: 200,
                // A thread would write beside the operation, and take the survivor's part in finding
                // the dead.
                heartbeat: kind == .system ? .manual : .automatic))
    }

    /// Whether a boundary of the calendar passed since the world was made: its figures are void.
    var isOver: Bool { kind == .system && World.year() != year }

    /// Owners that somebody found dead and has not swept to the end.
    var ownersBeingSwept: Int { survivor?.ownersBeingSwept ?? 0 }

    /// What the survivor finds after a process died in an operation, or came to its end.
    ///
    /// - Parameters:
    ///   - write: the one at which it died; nil: it came to its end.
    ///   - instant: monotonic nanoseconds at which its death was seen.
    /// - Returns: whether it died between taking and giving back.
    @discardableResult
    func inspect(_ operation: Operation, diedAt write: Int?, seen instant: Int64) throws -> Bool {
        if operation.reloads {
            // Who was there goes on with the numbers in force; then comes one who loads anew.
            if let survivor { try outlives(survivor) }
            survivor = try Member(self)
        }
        guard let member = survivor else { throw Fault("no survivor") }
        try consistent()
        let use = try member.use()
        if operation.reloads { try keptCounts(use) }
        let isBetween =
            operation.reloads ? false : try compare(use, operation, diedAt: write)
        let keys = member.limiter.snapshot().keys
        guard operation.newKeys.contains(keys - self.keys) else {
            throw Fault("\(keys) keys, \(self.keys) before")
        }
        if kind != .system { try member.limiter.advance(nanoseconds: 1_000_000_000) }
        let own = operation.leavesSlots ? 0 : 1
        let slots = operation.slots ?? kind.document.slots
        try slotsComeBack(member, \.call, slots - own, since: instant)
        try slotsComeBack(member, \.few, Document.fewSlots - own, since: instant)
        try spend(member)
        try goOn(member)
        return isBetween
    }

    /// What a process that was attached finds when another one died while it loaded a document: counts
    /// are as they were, and it decides.
    private func outlives(_ member: Member) throws {
        try keptCounts(try member.use())
        for gate in [\Member.call, \Member.few] {
            if case .admitted(let permit) = try member[keyPath: gate]
                .tryAcquire(Cost(inputTokens: 1))
            {
                permit.abandon()
            }
        }
        for gate in [\Member.pace, \Member.single] {
            _ = try member[keyPath: gate].tryCharge(Cost(requests: 0))
        }
        try keptCounts(try member.use())
    }

    /// A load changes no count, but a bucket's level is cut to the new burst, in whole units.
    private func keptCounts(_ use: [String: Int64]) throws {
        let (document, next) = (kind.document, kind.document.successor)
        for (limit, now) in use {
            let begun = before[limit, default: 0]
            var accepted = [begun]
            if Document.buckets.contains(limit) {
                let level = Int64(document.burst) - begun
                for burst in [Int64(document.burst), Int64(next.burst)] {
                    let kept = min(level, Int64(next.burst), burst)
                    accepted += [burst - kept, burst - kept + 1]
                }
            }
            guard accepted.contains(now) else {
                throw Fault("\(limit): \(now) used behind a load; \(begun) before")
            }
        }
    }

    /// All that a life may bring: nothing that the dead left stands in its way.
    private func goOn(_ member: Member) throws {
        held = []
        let gate = try member.limiter.gate(["project": "new", "kind": "call"])
        try member.limiter.reload(policyJSON: kind.document.successor.json)
        if kind != .system { try member.limiter.advance(nanoseconds: 70_000_000_000) }
        _ = member.limiter.reclaim()
        try consistent(isMended: true)
        // What was spent comes back with the time, which stands still or hardly moves on a system.
        let gates = kind == .system ? [gate, member.few] : [gate, member.few, member.call]
        for gate in gates {
            guard case .admitted(let permit) = try gate.tryAcquire(Cost(inputTokens: 1)) else {
                throw Fault("refused at last")
            }
            permit.abandon()
        }
    }

    /// Lets go of the file: the limiter and its mappings.
    func end() {
        held = []
        survivor = nil
    }

    /// - Parameter isMended: a count of keys that a process did not live to correct is right again.
    private func consistent(isMended: Bool = false) throws {
        let report = try StoreCheck.run(store: "file:\(path)")
        guard report.faults.isEmpty else { throw Fault("check: \(report.faults)") }
        let counts = report.notes.filter { $0.contains("keys counted") }
        guard !isMended || counts.isEmpty else { throw Fault("check: \(counts)") }
    }

    /// - Returns: whether a limit counts what the dead had taken and was to give back.
    private func compare(
        _ use: [String: Int64], _ operation: Operation, diedAt write: Int?
    ) throws -> Bool {
        var isBetween = false
        let other = operation.other.flatMap { $0.write <= write ?? .max ? $0.change : nil } ?? [:]
        for (limit, now) in use {
            let begun =
                before[limit, default: 0] + operation.held[limit, default: 0]
                + other[limit, default: 0]
            let ended = begun + operation.change[limit, default: 0]
            if now == ended || write != nil && now == begun { continue }
            let most = begun + operation.taken[limit, default: 0]
            guard write != nil, now > begun, now <= most else {
                throw Fault("\(limit): \(now) used; \(begun) before, \(ended) behind")
            }
            isBetween = true
        }
        return isBetween
    }

    /// Every slot but the survivor's own can be taken, and no other: at once on a manual clock; on the
    /// system's by a claim that begins a second behind the death, if not before.
    private func slotsComeBack(
        _ member: Member, _ gate: KeyPath<Member, Gate>, _ expected: Int, since instant: Int64
    ) throws {
        var permits: [PermitBox] = []
        while true {
            // Read first: a test that is held up between both is no slower store.
            let now = monotonicNanoseconds()
            if case .admitted(let permit) = try member[keyPath: gate]
                .tryAcquire(Cost(requests: 0))
            {
                permits.append(PermitBox(permit))
                continue
            }
            if permits.count == expected { return }
            guard permits.count < expected, kind == .system, now < instant + 1_000_000_000 else {
                throw Fault("\(permits.count) of \(expected) slots came back")
            }
            sched_yield()
        }
    }

    /// Spends what is left, which `use` holds against the limits.
    private func spend(_ member: Member) throws {
        for gate in [\Member.call, \Member.few] {
            var granted = 0
            while case .admitted(let permit) = try member[keyPath: gate]
                .tryAcquire(Cost(inputTokens: 5))
            {
                granted += 1
                permit.drop()
                guard granted < 100 else { throw Fault("never refused") }
            }
        }
        for gate in [\Member.pace, \Member.single] {
            var granted = 0
            while case .admitted = try member[keyPath: gate].tryCharge(Cost(inputTokens: 5)) {
                granted += 1
                guard granted < 100 else { throw Fault("never refused") }
            }
        }
        _ = try member.use()
    }

    /// Leaves a permit open when the process ends.
    static func finish<Value: ~Copyable>(_ value: consuming Value) {
        let box = UnsafeMutablePointer<Value>.allocate(capacity: 1)
        box.initialize(to: value)
    }

    private static func year() -> Int32 {
        var now = time(nil)
        var date = tm()
        gmtime_r(&now, &date)
        return date.tm_year
    }
}

/// Keeps a permit in an array.
final class PermitBox {
    private let permit: Permit
    init(_ permit: consuming Permit) { self.permit = consume permit }
}

func monotonicNanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
