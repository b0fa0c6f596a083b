import Glibc
import Testing

@testable import Admission

/// A segment of its own with limits of every kind and traffic on them, for checks, garbage and
/// inspection.
final class SegmentBench {
    let limiter: Limiter
    private(set) var gates: [Gate] = []
    private(set) var permits: [UInt64] = []
    private(set) var reloads = 0

    var segment: Segment { limiter.core.store.segment }
    var store: SegmentStore { limiter.core.store }

    static let start: Int64 = 1_700_000_000_000_000_000

    static func policy(rate: Int = 100, limit: Int = 10) -> String {
        """
        {"admission": 1, "policies": [{"name": "p", "per": ["k"], "limits": [
          {"name": "bucket", "count": "requests", "rate": "\(rate)/s", "burst": 50},
          {"name": "fast", "count": "requests", "rate": "300007/s", "burst": 1000},
          {"name": "rolling", "count": "requests", "limit": \(limit), "window": "1m"},
          {"name": "week", "count": "input_tokens", "limit": 100000, "window": "168h"},
          {"name": "day", "count": "requests", "limit": 250, "window": "day"},
          {"name": "parallel", "count": "concurrency", "limit": 8},
          {"name": "wide", "count": "concurrency", "limit": 40}]}]}
        """
    }

    init(keys: Int = 6, capacity: Int = 64) throws {
        limiter = try Limiter(
            policyJSON: Self.policy(),
            options: Limiter.Options(
                store: "memory:", clock: .manual(startUnixNanoseconds: Self.start),
                permitCapacity: 1_024, keyCapacity: capacity, heartbeat: .manual))
        try limiter.advance(nanoseconds: 3_600_000_000_000)
        for number in 0..<keys { gates.append(try limiter.gate(["k": "key \(number)"])) }
    }

    /// What a service does with all of it; errors are for the caller to look at.
    func operate(_ numbers: inout SeededNumbers) -> [LimiterError] {
        var errors: [LimiterError] = []
        func attempt<Value>(_ body: () throws(LimiterError) -> Value) -> Value? {
            do throws(LimiterError) {
                return try body()
            } catch {
                errors.append(error)
                return nil
            }
        }
        for gate in gates {
            for _ in 0..<3 {
                let (status, record) = gate.ask(
                    inputTokens: numbers.number(0...1_000), takesPermit: true)
                if status == 0, record.outcome == 1 { permits.append(record.permit) }
                if status != 0 { errors.append(gate.error(status)) }
            }
            _ = attempt { () throws(LimiterError) in try gate.explain() }
        }
        // A key that comes and goes.
        let passing = attempt { () throws(LimiterError) in
            try limiter.gate(["k": "passing \(numbers.below(20))"])
        }
        if let passing {
            let (status, record) = passing.ask(takesPermit: true)
            if status == 0, record.outcome == 1 { permits.append(record.permit) }
        }
        for permit in permits {
            switch numbers.below(4) {
            case 0: _ = limiter.abandonPermit(permit)
            case 1: _ = limiter.dropPermit(permit)
            default:
                let usage = Usage(requests: 1, inputTokens: numbers.number(0...2_000))
                _ = usage.withAmounts { limiter.completePermit(permit, $0) }
            }
        }
        permits = []
        _ = attempt { () throws(LimiterError) in
            try limiter.advance(nanoseconds: numbers.number(0...100_000_000_000))
        }
        return errors
    }

    /// Plans are made anew, as after a reload by somebody else.
    func reload() throws(LimiterError) {
        reloads += 1
        try limiter.reload(
            policyJSON: Self.policy(rate: 100 + reloads % 7, limit: 10 + reloads % 3))
    }

    /// Takes every owner for dead.
    func endOwners() {
        for owner in segment.owners() {
            segment.ownerWord(owner.number).store(OwnerEntry.word(owner.word, turned: .dead))
        }
    }

    func key(_ kind: LimitKindCode, named name: String? = nil) -> (KeyReference, Definition)? {
        var found: (KeyReference, Definition)?
        segment.forEachKey { key, definition in
            let identity = segment.identity(ofDefinitionAt: definition.offset)
                .flatMap { LimitIdentity([UInt8]($0)) }
            if definition.kind == kind, name == nil || identity?.limit == name {
                found = found ?? (key, definition)
            }
        }
        return found
    }
}
