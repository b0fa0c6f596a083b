@testable import Admission

/// The oracle of a whole limiter: a document, a log for each key, the permits that are open.
final class PlainLimiter {
    /// One limit of a gate at work.
    struct Part {
        var policy: String
        var limit: Limit
        var key: Int
        var log: any KeyLog
    }

    /// What one permit holds on one key.
    struct Holding {
        var part: Part
        var incarnation: Int
        var first: LogPlace
        var firstAmount: Int64
        /// What was added to the newest group; older additions can't be given back.
        var later: [(place: LogPlace, amount: Int64)] = []
        var total: Int64
        var lease: (length: Int64, holdUntil: Int64)?
    }

    struct Permit {
        var holdings: [Holding]
        var requests: Int64
        var input: Int64
        var output: Int64
    }

    /// What a decision must be.
    struct Prediction {
        var reason: RejectionReason?
        var retryAfterNanoseconds: Int64 = 0
        var policy: String?
        var limitName: String?
        var limit: Int64 = 0
        var asked: Int64 = 0
        var remaining: Int64 = 0
        var moment: LogMoment
    }

    private(set) var document: PolicyDocument
    private var keys: [[String]: Int] = [:]
    private var logs: [any KeyLog] = []
    private var incarnations: [Int] = []
    /// Keys that were reclaimed and not made anew yet: a reload finds nothing to convert.
    private var absent: Set<Int> = []
    private var zones: [String: Zone] = [:]
    private(set) var permits: [UInt64: Permit] = [:]
    private(set) var broken: [String] = []
    var now: Int64 = 0
    var wallOffset: Int64

    private let grain: Int64

    /// - Parameter grain: nanoseconds that the store's time comes in.
    init(_ document: PolicyDocument, wall: Int64, grain: Int64) {
        self.document = document
        self.grain = grain
        wallOffset = wall
    }

    var moment: LogMoment { LogMoment(now: now, wall: now + wallOffset) }

    /// The limits that apply, in document order.
    func parts(_ attributes: [Attribute]) throws -> [Part] {
        func value(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
        func holds(_ policy: Policy) -> Bool {
            policy.match.allSatisfy { match in
                guard let value = value(match.name) else { return false }
                switch match.condition {
                case .value(let wanted): return value == wanted
                case .oneOf(let wanted): return wanted.contains(value)
                case .present: return true
                }
            }
        }
        let isSpoken = document.policies.contains {
            !$0.isDefault && !$0.match.isEmpty && holds($0)
        }
        var parts: [Part] = []
        for policy in document.policies where policy.isDefault ? !isSpoken : holds(policy) {
            let values = policy.per.sorted().map { "\($0)=\(value($0) ?? "")" }
            for limit in policy.limits {
                let key = try key(policy.name, limit, values)
                parts.append(Part(policy: policy.name, limit: limit, key: key, log: logs[key]))
            }
        }
        return parts
    }

    private func key(_ policy: String, _ limit: Limit, _ values: [String]) throws -> Int {
        var identity = [policy, limit.name, limit.kind.name]
        let log: any KeyLog
        switch limit.kind {
        case .tokenBucket(let units, let period, let burst):
            log = BucketLog(
                units: units, period: period, burst: burst, at: now, grain: grain)
        case .rollingWindow(let limit, let window, let guarding):
            identity.append("\(window)+\(guarding)")
            log = RollingLog(limit: limit, window: window, guarding: guarding, grain: grain)
        case .calendarWindow(let limit, let unit, let zone, let guarding):
            identity.append("\(unit) \(zone)")
            let known = try zones[zone] ?? Zone(named: zone)
            zones[zone] = known
            log = CalendarLog(limit: limit, unit: unit, zone: known, guarding: guarding)
        case .concurrency(let limit, let lease, let hold):
            log = LeaseLog(limit: limit, lease: lease, hold: hold, grain: grain)
        }
        identity += values
        if let known = keys[identity] {
            open(known)
            return known
        }
        keys[identity] = logs.count
        logs.append(log)
        incarnations.append(0)
        open(logs.count - 1)
        return logs.count - 1
    }

    private func open(_ key: Int) {
        absent.remove(key)
        (logs[key] as? CalendarLog)?.open(moment.wall)
    }

    static func amount(_ count: Count, of cost: Cost) -> Int64 {
        switch count {
        case .requests: cost.requests
        case .inputTokens: cost.inputTokens
        case .outputTokens: cost.outputTokens
        case .tokens: cost.inputTokens + cost.outputTokens
        case .concurrency: 1
        default: cost.extra.reduce(0) { $0 + ($1.count == count ? $1.amount : 0) }
        }
    }

    /// What a decision on these limits must be now; nothing is booked.
    func predict(_ parts: [Part], _ cost: Cost) -> Prediction {
        var moment = moment
        for part in parts {
            if let calendar = part.log as? CalendarLog {
                moment.wall = calendar.raised(moment.wall)
            }
        }
        var refusal: Prediction?
        var admission: Prediction?
        for part in parts {
            let amount = Self.amount(part.limit.count, of: cost)
            let answer = part.log.answer(amount, at: moment)
            var seen = Prediction(
                reason: answer.reason, retryAfterNanoseconds: answer.retryAfterNanoseconds,
                policy: part.policy, limitName: part.limit.name, limit: part.log.capacity,
                asked: amount, remaining: answer.remaining, moment: moment)
            if answer.reason != nil {
                if refusal.map({ Self.isWorse(seen, than: $0) }) ?? true { refusal = seen }
            } else {
                seen.remaining -= amount
                let isTighter =
                    admission.map {
                        Int128(seen.remaining) * Int128($0.limit)
                            < Int128($0.remaining) * Int128(seen.limit)
                    } ?? true
                if isTighter { admission = seen }
            }
        }
        return refusal ?? admission ?? Prediction(moment: moment)
    }

    private static func isWorse(_ new: Prediction, than old: Prediction) -> Bool {
        func rank(_ reason: RejectionReason?) -> Int {
            reason == .exceedsLimit ? 2 : reason == .concurrency ? 1 : 0
        }
        if rank(new.reason) != rank(old.reason) { return rank(new.reason) > rank(old.reason) }
        return new.retryAfterNanoseconds > old.retryAfterNanoseconds
    }

    /// Whether a calendar's word may stand ahead of the log's. A server writes a scope as a whole: a
    /// decision that charges a calendar limit nothing begins its window all the same.
    var isUnsure: Bool {
        logs.contains { log in
            guard let calendar = log as? CalendarLog else { return false }
            return calendar.isUnsure || grain > 1 && calendar.isBehind(moment.wall)
        }
    }

    /// Notes a refused decision, which books nothing.
    func refuse(_ parts: [Part], at moment: LogMoment) {
        for part in parts { (part.log as? CalendarLog)?.refuse(at: moment) }
    }

    /// Books an admitted decision.
    func admit(_ parts: [Part], _ cost: Cost, at moment: LogMoment, permit: UInt64) {
        var holdings: [Holding] = []
        for part in parts {
            let amount = Self.amount(part.limit.count, of: cost)
            let place = part.log.charge(amount, at: moment) {
                broken.append("\(part.policy)/\(part.limit.name): \($0)")
            }
            var holding = Holding(
                part: part, incarnation: incarnations[part.key], first: place,
                firstAmount: amount, total: amount)
            if let leases = part.log as? LeaseLog {
                holding.lease = (leases.lease, moment.now + leases.hold)
            }
            holdings.append(holding)
        }
        guard permit != 0 else { return }
        permits[permit] = Permit(
            holdings: holdings, requests: cost.requests, input: cost.inputTokens,
            output: cost.outputTokens)
    }

    /// Records that an all-or-nothing promise or another law was broken.
    func report(_ text: String) { broken.append(text) }
}

/// The ends of permits. Each gives whether the permit's leases still were its own.
extension PlainLimiter {
    func add(_ id: UInt64, _ usage: Usage) -> Bool {
        guard var permit = permits[id] else { return false }
        let requests = usage.requests ?? 0
        let (input, output) = (usage.inputTokens ?? 0, usage.outputTokens ?? 0)
        permit.requests += requests
        permit.input += input
        permit.output += output
        for index in permit.holdings.indices {
            let amount: Int64
            switch permit.holdings[index].part.limit.count {
            case .requests: amount = requests
            case .inputTokens: amount = input
            case .outputTokens: amount = output
            case .tokens: amount = input + output
            case .concurrency: continue
            case let count: amount = Self.extra(count, usage) ?? 0
            }
            if amount > 0 { book(amount, &permit.holdings[index]) }
        }
        permits[id] = permit
        return areLeasesLive(permit)
    }

    func complete(_ id: UInt64, _ usage: Usage) -> Bool {
        guard var permit = permits.removeValue(forKey: id) else { return false }
        let areLive = release(permit)
        for index in permit.holdings.indices {
            let used: Int64?
            switch permit.holdings[index].part.limit.count {
            case .requests: used = usage.requests
            case .inputTokens: used = usage.inputTokens
            case .outputTokens: used = usage.outputTokens
            case .tokens:
                let isGiven = usage.inputTokens != nil || usage.outputTokens != nil
                used =
                    isGiven
                    ? (usage.inputTokens ?? permit.input) + (usage.outputTokens ?? permit.output)
                    : nil
            case .concurrency: continue
            case let count: used = Self.extra(count, usage)
            }
            guard let used else { continue }
            let total = permit.holdings[index].total
            if used > total {
                book(used - total, &permit.holdings[index])
            } else if usage.isExact {
                giveBack(total - used, permit.holdings[index])
            }
        }
        return areLive
    }

    func abandon(_ id: UInt64) -> Bool {
        guard let permit = permits.removeValue(forKey: id) else { return false }
        let areLive = release(permit)
        for holding in permit.holdings where holding.lease == nil {
            giveBack(holding.total, holding)
        }
        return areLive
    }

    func drop(_ id: UInt64) -> Bool {
        guard let permit = permits.removeValue(forKey: id) else { return false }
        return release(permit)
    }

    func renew(_ id: UInt64) -> Bool {
        permits[id].map { renew($0, until: now) } ?? false
    }

    private func renew(_ permit: Permit, until: Int64) -> Bool {
        var areLive = true
        for holding in permit.holdings {
            guard let lease = holding.lease, let log = holding.part.log as? LeaseLog else {
                continue
            }
            let isLive = log.renew(
                holding.first, lease: lease.length, holdUntil: lease.holdUntil, now: now,
                until: until)
            areLive = areLive && isLive
        }
        return areLive
    }

    private func areLeasesLive(_ permit: Permit) -> Bool {
        permit.holdings.allSatisfy { holding in
            guard let log = holding.part.log as? LeaseLog else { return true }
            return log.isLive(holding.first.id, at: now)
        }
    }

    private func release(_ permit: Permit) -> Bool {
        let areLive = areLeasesLive(permit)
        for holding in permit.holdings where holding.lease != nil {
            holding.part.log.refund(1, from: holding.first, at: moment)
        }
        return areLive
    }

    private static func extra(_ count: Count, _ usage: Usage) -> Int64? {
        let given = usage.extra.filter { $0.count == count }
        return given.isEmpty ? nil : given.reduce(0) { $0 + $1.amount }
    }

    private func book(_ amount: Int64, _ holding: inout Holding) {
        open(holding.part.key)
        let place = holding.part.log.exceed(amount, at: moment)
        if holding.later.first.map({ $0.place.group != place.group }) ?? false {
            holding.later = []
        }
        holding.later.append((place, amount))
        holding.total += amount
    }

    private func giveBack(_ amount: Int64, _ holding: Holding) {
        guard incarnations[holding.part.key] == holding.incarnation else { return }
        var left = amount
        for (place, units) in holding.later.reversed() {
            let back = min(left, units)
            holding.part.log.refund(back, from: place, at: moment)
            left -= back
        }
        holding.part.log.refund(min(left, holding.firstAmount), from: holding.first, at: moment)
    }
}

/// What happens around decisions.
extension PlainLimiter {
    func advance(_ nanoseconds: Int64, renewsLeases: Bool) {
        if renewsLeases {
            for permit in permits.values { _ = renew(permit, until: now + nanoseconds) }
        }
        now += nanoseconds
    }

    func reload(_ document: PolicyDocument) throws {
        self.document = document
        for policy in document.policies {
            for limit in policy.limits {
                for (identity, key) in keys
                where identity[0] == policy.name && identity[1] == limit.name
                    && identity[2] == limit.kind.name
                {
                    guard hasShape(identity, limit.kind) else { continue }
                    logs[key].reload(limit.kind, at: moment)
                    if absent.contains(key) { (logs[key] as? BucketLog)?.fill() }
                }
            }
        }
    }

    private func hasShape(_ identity: [String], _ kind: LimitKind) -> Bool {
        switch kind {
        case .rollingWindow(_, let window, let guarding): identity[3] == "\(window)+\(guarding)"
        case .calendarWindow(_, let unit, let zone, _): identity[3] == "\(unit) \(zone)"
        case .tokenBucket, .concurrency: true
        }
    }

    func reclaim() {
        for (index, log) in logs.enumerated() where log.reclaim(at: moment) {
            incarnations[index] += 1
            absent.insert(index)
        }
    }
}
