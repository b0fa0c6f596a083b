import Admission
import Glibc

/// A file with some history, a process that survives, and what it expects of the file afterwards.
final class World {
    /// A process's limiter and gates.
    struct Member {
        let world: World
        let limiter: Limiter
        let call: Gate
        let pace: Gate

        init(_ world: World) throws {
            self.world = world
            limiter = try world.open()
            call = try limiter.gate(["kind": "call", "project": "old"])
            pace = try limiter.gate(["kind": "pace", "project": "old"])
        }

        func acquire(requests: Int64 = 1, tokens: Int64) throws -> Permit {
            switch try call.tryAcquire(Cost(requests: requests, inputTokens: tokens)) {
            case .admitted(let permit): return permit
            case .rejected(let rejection): throw Fault("rejected: \(rejection)")
            }
        }

        func charge(tokens: Int64) throws {
            switch try pace.tryCharge(Cost(inputTokens: tokens)) {
            case .admitted: return
            case .rejected(let rejection): throw Fault("rejected: \(rejection)")
            }
        }

        /// Use by limit, those of concurrency left out.
        func use() throws -> [String: Int64] {
            var use: [String: Int64] = [:]
            for gate in [call, pace] {
                for limit in try gate.explain().limits where limit.kind != "concurrency" {
                    use[limit.limit] = limit.used
                    guard limit.used <= limit.capacity else {
                        throw Fault("\(limit.limit): \(limit.used) of \(limit.capacity) used")
                    }
                }
            }
            return use
        }
    }

    static func policy(rate: String, burst: Int, roll: Int, lease: String) -> String {
        """
        {"admission": 1, "policies": [
          {"name": "calls", "match": {"kind": "call"}, "per": ["project"], "limits": [
            {"name": "pace", "count": "requests", "rate": "\(rate)", "burst": \(burst)},
            {"name": "roll", "count": "requests", "limit": \(roll), "window": "10s"},
            {"name": "minute", "count": "requests", "limit": 12, "window": "minute"},
            {"name": "tokens", "count": "input_tokens", "limit": 60, "window": "10s"},
            {"name": "parallel", "count": "concurrency", "limit": 4, "lease": "\(lease)"}]},
          {"name": "pacing", "match": {"kind": "pace"}, "per": ["project"], "limits": [
            {"name": "pace2", "count": "requests", "rate": "1/s", "burst": 7},
            {"name": "tokens2", "count": "input_tokens", "limit": 50, "window": "10s"}]},
          {"name": "everything", "match": {"project": "*"}, "per": ["project"], "limits": [
            {"name": "all", "count": "requests", "limit": 1000, "window": "1h"}]}]}
        """
    }

    static let firstPolicy = policy(rate: "1/s", burst: 10, roll: 11, lease: "60s")
    static let otherPolicy = policy(rate: "2/s", burst: 9, roll: 8, lease: "30s")
    static let slots = 4

    let path: String
    private(set) var limiter: Member!
    private var held: Permit?
    private var before: [String: Int64] = [:]
    private var keys = 0

    init(path: String, isLater: Bool, isNew: Bool = true) throws {
        self.path = path
        if isNew { unlink(path) }
        let member = try Member(self)
        limiter = member
        try member.acquire(tokens: 5).complete()
        try member.charge(tokens: 5)
        held = try member.acquire(tokens: 5)
        if isLater { try member.limiter.advance(nanoseconds: 3_000_000_000) }
        before = try member.use()
        keys = member.limiter.snapshot().keys
    }

    func open() throws -> Limiter {
        try Limiter(
            policyJSON: Self.firstPolicy,
            options: Limiter.Options(
                store: "file:\(path)",
                clock: .manual(startUnixNanoseconds: 1_700_000_000_000_000_000),
                permitCapacity: 64, keyCapacity: 200))
    }

    /// What the survivor finds after a process died in an operation, or came to its end.
    func inspect(_ operation: Operation, isComplete: Bool) throws {
        let member = try operation.reloads ? Member(self) : limiter!
        try consistent()
        let use = try member.use()
        if !operation.reloads { try compare(use, operation, isComplete: isComplete) }
        let keys = member.limiter.snapshot().keys
        guard (self.keys...self.keys + operation.newKeys).contains(keys) else {
            throw Fault("\(keys) keys, \(self.keys) before")
        }
        try member.limiter.advance(nanoseconds: 1_000_000_000)
        try slotsComeBack(member)
        try spend(member)
        _ = held.take()?.drop()
        _ = try member.limiter.gate(["project": "new", "kind": "call"])
        try member.limiter.reload(policyJSON: Self.otherPolicy)
        try member.limiter.advance(nanoseconds: 70_000_000_000)
        _ = member.limiter.reclaim()
        try consistent(isMended: true)
        try member.acquire(tokens: 1).abandon()
    }

    /// - Parameter isMended: a count of keys that a process did not live to correct is right again.
    private func consistent(isMended: Bool = false) throws {
        let report = try StoreCheck.run(store: "file:\(path)")
        guard report.faults.isEmpty else { throw Fault("check: \(report.faults)") }
        let counts = report.notes.filter { $0.contains("keys counted") }
        guard !isMended || counts.isEmpty else { throw Fault("check: \(counts)") }
    }

    private func compare(
        _ use: [String: Int64], _ operation: Operation, isComplete: Bool
    ) throws {
        for (limit, now) in use {
            let begun = before[limit, default: 0] + operation.held[limit, default: 0]
            let ended = begun + operation.change[limit, default: 0]
            guard now == ended || !isComplete && now == begun else {
                throw Fault("\(limit): \(now) used; \(begun) before, \(ended) behind")
            }
        }
    }

    /// Every slot but the survivor's own can be taken at once.
    private func slotsComeBack(_ member: Member) throws {
        var permits: [PermitBox] = []
        while true {
            guard
                case .admitted(let permit) = try member.call.tryAcquire(Cost(requests: 0))
            else { break }
            permits.append(PermitBox(permit))
        }
        guard permits.count == Self.slots - 1 else {
            throw Fault("\(permits.count) of \(Self.slots - 1) slots came back")
        }
    }

    /// Spends what is left, which `use` holds against the limits.
    private func spend(_ member: Member) throws {
        var granted = 0
        while case .admitted(let permit) = try member.call.tryAcquire(Cost(inputTokens: 5)) {
            granted += 1
            permit.drop()
            guard granted < 100 else { throw Fault("never refused") }
        }
        _ = try member.use()
    }

    /// Leaves a permit open when the process ends.
    static func finish<Value: ~Copyable>(_ value: consuming Value) {
        let box = UnsafeMutablePointer<Value>.allocate(capacity: 1)
        box.initialize(to: value)
    }
}

/// Keeps a permit in an array.
final class PermitBox {
    private let permit: Permit
    init(_ permit: consuming Permit) { self.permit = consume permit }
}
