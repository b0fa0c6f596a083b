/// A charge of a single bucket, in as many words as are returned in registers.
///
/// As a record in memory an answer would be written in words and read again in pairs, which
/// processors cannot forward. What is made of it is inlined into the caller, who pays for what it
/// looks at.
@frozen
@usableFromInline
struct ChargedAtOnce {
    /// The limit; nil: nothing was decided, take the general way.
    @usableFromInline let limit: UnsafeMutablePointer<SharedLimit>?
    /// Steady and wall nanoseconds of the decision.
    @usableFromInline let now: Int64
    @usableFromInline let wall: Int64
    @usableFromInline let remaining: Int64

    @inline(__always)
    init(limit: UnsafeMutablePointer<SharedLimit>?, now: Int64, wall: Int64, remaining: Int64) {
        self.limit = limit
        self.now = now
        self.wall = wall
        self.remaining = remaining
    }

    @inline(__always)
    static var none: ChargedAtOnce { ChargedAtOnce(limit: nil, now: 0, wall: 0, remaining: 0) }
}

/// An admission with a permit, in as many words: see `ChargedAtOnce`.
@frozen
@usableFromInline
struct GrantedAtOnce {
    /// The permit's id; 0: nothing was decided, take the general way.
    @usableFromInline let permit: UInt64
    /// Steady and wall nanoseconds of the decision.
    @usableFromInline let now: Int64
    @usableFromInline let wall: Int64
    /// `step:8 | remaining:56`: counts and limits are below 2^42.
    @usableFromInline let tightest: UInt64

    @inline(__always)
    init(permit: UInt64, now: Int64, wall: Int64, tightest: UInt64) {
        self.permit = permit
        self.now = now
        self.wall = wall
        self.tightest = tightest
    }

    @inline(__always)
    init(permit: UInt64, now: Int64, wall: Int64, step: Int, remaining: Int64) {
        self.init(
            permit: permit, now: now, wall: wall,
            tightest: Self.tightest(step: step, remaining: remaining))
    }

    @inline(__always)
    static func tightest(step: Int, remaining: Int64) -> UInt64 {
        UInt64(truncatingIfNeeded: step) &<< 56 | UInt64(bitPattern: remaining)
    }

    @inline(__always)
    static var none: GrantedAtOnce { GrantedAtOnce(permit: 0, now: 0, wall: 0, tightest: 0) }

    @inlinable @inline(__always)
    var step: Int { Int(truncatingIfNeeded: tightest &>> 56) }
    @inlinable @inline(__always)
    var remaining: Int64 { Int64(bitPattern: tightest & (1 &<< 56 &- 1)) }
}

extension Binding {
    /// What a charge of a single bucket says.
    @inlinable @inline(__always)
    init(
        _ charged: ChargedAtOnce, of limit: UnsafeMutablePointer<SharedLimit>,
        _ cost: borrowing Cost
    ) {
        self.init(
            now: charged.now, wall: charged.wall, limit: limit.pointee.capacity,
            asked: limit.pointee.countIndex == 0 ? cost.requests : cost.inputTokens,
            remaining: charged.remaining, policyAddress: limit.pointee.policyName,
            limitAddress: limit.pointee.limitName)
    }

    /// What an admission of a plan says.
    @inlinable @inline(__always)
    init(_ granted: GrantedAtOnce, of plan: ChargePlanReference, _ cost: borrowing Cost) {
        let facts = StepFacts(of: plan, granted.step)
        self.init(
            now: granted.now, wall: granted.wall, limit: facts.capacity,
            asked: cost.amount(ofPlainCount: facts.countIndex), remaining: granted.remaining,
            policyAddress: facts.policyName, limitAddress: facts.limitName)
    }
}

extension Permit {
    /// The permit of an admission.
    @inlinable @inline(__always)
    init(_ granted: GrantedAtOnce, of plan: ChargePlanReference, _ cost: borrowing Cost) {
        self.init(
            binding: Binding(granted, of: plan, cost), number: granted.permit,
            core: PermitCore(plan.owner))
    }
}

extension Cost {
    /// Units of a count that is not extra.
    @inlinable @inline(__always)
    func amount(ofPlainCount index: Int32) -> Int64 {
        if index == 0 { return requests }
        if index == 1 { return inputTokens }
        if index == 2 { return outputTokens }
        if index != 3 { return 1 }
        let (tokens, overflow) = inputTokens.addingReportingOverflow(outputTokens)
        return overflow ? .max : tokens
    }
}
