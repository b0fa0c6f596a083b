/// The right to make one call, ended once.
///
/// Complete it with the real usage, abandon it when the call was never sent, or let it go: a permit
/// that goes out of scope drops itself (charges stay, concurrency is freed). It may outlive its
/// gate and a closed limiter. Ending it costs no allocation; from any thread of the process.
public struct Permit: ~Copyable, Sendable {
    /// The limit with the smallest remaining/limit at the decision, and the decision's instants.
    public let binding: Binding
    /// The permit's number in its limiter, for logs.
    public let id: UInt64
    private let core: CoreReference
    private var isOpen = true

    init(_ record: borrowing DecisionRecord, core: CoreReference) {
        binding = Binding(record)
        id = record.permit
        self.core = core
    }

    deinit {
        if isOpen { _ = core.end { $0.drop(id) } }
    }

    /// Ends the permit with the call's real usage; a count that is nil counts as charged.
    ///
    /// Less than was charged is given back to where it came from; more is charged now and may put
    /// a limit into debt. With `usage.isExact == false` nothing is given back.
    ///
    /// - Throws: `LimiterError` `negativeUsage`; the permit is then dropped: its charges stay.
    @discardableResult
    public consuming func complete(
        _ usage: borrowing Usage = .asCharged
    ) throws(LimiterError) -> Settlement {
        let core = core
        let id = id
        if usage.isPlainlyAsCharged {
            isOpen = false
            let status = core.end { core in
                core.complete(
                    id,
                    UsageAmounts(
                        requests: -1, inputTokens: -1, outputTokens: -1,
                        extra: UnsafeBufferPointer(start: nil, count: 0), isExact: true))
            }
            return try Settlement.of(status)
        }
        try usage.checkNotNegative()
        isOpen = false
        let status = usage.withAmounts { amounts in core.end { $0.complete(id, amounts) } }
        return try Settlement.of(status)
    }

    /// Books an increment as a stream goes; the permit stays open.
    ///
    /// - Parameter usage: what was used since the last addition; nil counts as nothing.
    /// - Throws: `LimiterError` `negativeUsage`; nothing is booked.
    @discardableResult
    public mutating func add(_ usage: borrowing Usage) throws(LimiterError) -> Settlement {
        try usage.checkNotNegative()
        let core = core
        let id = id
        return try Settlement.of(
            usage.withAmounts { amounts in core.end { $0.add(id, amounts) } })
    }

    /// Ends the permit of a call that was never sent: everything goes back.
    @discardableResult
    public consuming func abandon() -> Settlement {
        isOpen = false
        let id = id
        return Settlement(core.end { $0.abandon(id) })
    }

    /// Ends the permit: charges stay, concurrency is freed.
    @discardableResult
    public consuming func drop() -> Settlement {
        isOpen = false
        let id = id
        return Settlement(core.end { $0.drop(id) })
    }

    /// Renews the permit's leases, for hosts that open with `heartbeat` manual.
    @discardableResult
    public func renew() -> Settlement {
        let id = id
        return Settlement(core.end { $0.renew(id) })
    }
}

/// What ending a permit did.
public enum Settlement: Sendable, Hashable {
    /// Booked.
    case settled
    /// Booked, but the lease had run out: the slot, no longer its own, was not touched.
    case leaseExpired
    /// The permit was ended before; nothing changed.
    case alreadyCompleted
    /// The permit belongs to another process (this one was forked); nothing changed.
    case notOwner

    init(_ status: Int32) {
        switch status {
        case LimiterError.Code.leaseExpired.status: self = .leaseExpired
        case LimiterError.Code.notOwner.status: self = .notOwner
        case 0: self = .settled
        default: self = .alreadyCompleted
        }
    }

    static func of(_ status: Int32) throws(LimiterError) -> Settlement {
        if status == LimiterError.Code.negativeUsage.status {
            throw LimiterError(.negativeUsage, "a usage is below 0")
        }
        return Settlement(status)
    }
}

/// A limiter's core as a permit holds it: unowned, since an open permit keeps the core alive.
struct CoreReference: @unchecked Sendable {
    // Unchecked: the core is Sendable; the reference is valid until the permit has ended.
    let core: Unmanaged<LimiterCore>

    /// Does something to a permit while nobody frees the core.
    @inline(__always)
    func end(_ body: (LimiterCore) -> Int32) -> Int32 {
        let token = InFlight.enter(UInt(bitPattern: core.toOpaque()))
        let (status, isClosed) = core._withUnsafeGuaranteedRef { core in
            (body(core), core.isClosed)
        }
        InFlight.leave(token)
        if _slowPath(isClosed) { ClosedCores.release(core) }
        return status
    }
}

extension Usage {
    var isPlainlyAsCharged: Bool {
        requests == nil && inputTokens == nil && outputTokens == nil && extra.isEmpty
    }

    func checkNotNegative() throws(LimiterError) {
        for (name, value) in [
            ("requests", requests), ("input_tokens", inputTokens), ("output_tokens", outputTokens),
        ] {
            if let value, value < 0 {
                throw LimiterError(.negativeUsage, "\(name) is \(value); a usage is 0 or more")
            }
        }
        for entry in extra where entry.amount < 0 {
            throw LimiterError(
                .negativeUsage, "\(entry.count.name) is \(entry.amount); a usage is 0 or more")
        }
    }

    func withAmounts(_ body: (borrowing UsageAmounts) -> Int32) -> Int32 {
        extra.withUnsafeBufferPointer { extra in
            body(
                UsageAmounts(
                    requests: requests ?? -1, inputTokens: inputTokens ?? -1,
                    outputTokens: outputTokens ?? -1, extra: extra, isExact: isExact))
        }
    }
}
