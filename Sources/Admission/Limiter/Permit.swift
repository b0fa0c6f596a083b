/// The right to make one call, ended once.
///
/// Complete it with the real usage, abandon it when the call was never sent, or let it go: a permit
/// that goes out of scope drops itself (charges stay, concurrency is freed). It may outlive its
/// gate and a closed limiter. Ending it costs no allocation; from any thread of the process.
///
/// Its shape is for speed: plain data without a reference count, ended by thin functions that the
/// caller's compiler inlines, so that a permit is never copied through memory on its way.
@frozen
public struct Permit: ~Copyable, Sendable {
    /// The limit with the smallest remaining/limit at the decision, and the decision's instants.
    public let binding: Binding
    @usableFromInline let number: UInt64
    @usableFromInline let core: PermitCore

    /// The permit's number in its limiter, for logs; never 0.
    @inlinable
    public var id: UInt64 { number }

    @inlinable @inline(__always)
    init(binding: Binding, number: UInt64, core: PermitCore) {
        self.binding = binding
        self.number = number
        self.core = core
    }

    @inlinable
    deinit {
        core.drop(number)
    }

    /// Ends the permit; everything was used as charged.
    @discardableResult
    @inlinable
    public consuming func complete() -> Settlement {
        let (number, core) = (self.number, self.core)
        discard self
        return core.completeAsCharged(number)
    }

    /// Ends the permit with the call's real usage; a count that is nil counts as charged.
    ///
    /// Less than was charged is given back to where it came from; more is charged now and may put
    /// a limit into debt. With `usage.isExact == false` nothing is given back.
    ///
    /// - Throws: `LimiterError` `negativeUsage`; the permit is then dropped: its charges stay.
    @discardableResult
    @inlinable
    public consuming func complete(
        _ usage: borrowing Usage
    ) throws(LimiterError) -> Settlement {
        let (number, core) = (self.number, self.core)
        discard self
        return try core.complete(number, usage)
    }

    /// Books an increment as a stream goes; the permit stays open.
    ///
    /// - Parameter usage: what was used since the last addition; nil counts as nothing.
    /// - Throws: `LimiterError` `negativeUsage`; nothing is booked.
    @discardableResult
    @inlinable
    public mutating func add(_ usage: borrowing Usage) throws(LimiterError) -> Settlement {
        try core.add(number, usage)
    }

    /// Ends the permit of a call that was never sent: everything goes back.
    @discardableResult
    @inlinable
    public consuming func abandon() -> Settlement {
        let (number, core) = (self.number, self.core)
        discard self
        return core.abandon(number)
    }

    /// Ends the permit: charges stay, concurrency is freed.
    @discardableResult
    @inlinable
    public consuming func drop() -> Settlement {
        let (number, core) = (self.number, self.core)
        discard self
        return core.drop(number)
    }

    /// Renews the permit's leases, for hosts that open with `heartbeat` manual.
    @discardableResult
    @inlinable
    public func renew() -> Settlement {
        core.renew(number)
    }
}

/// A limiter's core as a permit holds it, by its `HotCore`: unowned, since an open permit keeps the
/// core alive.
@frozen
@usableFromInline
struct PermitCore: @unchecked Sendable {
    // Unchecked: the core is Sendable; the address is valid until the permit has ended.
    @usableFromInline let address: UnsafeRawPointer

    @inlinable @inline(__always)
    init(_ address: UnsafeRawPointer) {
        self.address = address
    }

    /// Only while a permit is open, or this thread inside.
    @inline(__always)
    private var hot: UnsafePointer<HotCore> { address.assumingMemoryBound(to: HotCore.self) }

    @usableFromInline
    func completeAsCharged(_ number: UInt64) -> Settlement {
        // As charged: nothing to settle, as for a permit that is dropped.
        drop(number)
    }

    @usableFromInline
    func complete(
        _ number: UInt64, _ usage: borrowing Usage
    ) throws(LimiterError) -> Settlement {
        if let error = usage.negativeUsageError() {
            drop(number)
            throw error
        }
        return Settlement(usage.withAmounts { amounts in end { $0.complete(number, amounts) } })
    }

    @usableFromInline
    func add(_ number: UInt64, _ usage: borrowing Usage) throws(LimiterError) -> Settlement {
        if let error = usage.negativeUsageError() { throw error }
        return Settlement(usage.withAmounts { amounts in end { $0.add(number, amounts) } })
    }

    @usableFromInline
    func abandon(_ number: UInt64) -> Settlement { Settlement(end { $0.abandon(number) }) }

    @usableFromInline
    @discardableResult
    func drop(_ number: UInt64) -> Settlement {
        _fastPath(dropAtOnce(number)) ? .settled : Settlement(end { $0.drop(number) })
    }

    /// Ends a permit with no lease or one that still runs; false: nothing was done.
    @inline(__always)
    private func dropAtOnce(_ number: UInt64) -> Bool {
        guard let token = InFlight.enterAtOnce(UInt(bitPattern: address)) else { return false }
        let hot = self.hot
        let identity = hot.pointee.identityWord.loadRelaxed()
        let slot = hot.pointee.permits.find(number)
        let isEnded = slot?.endAtOnce(identity: identity, clock: hot.pointee.clock) ?? false
        // Behind the end: a closer that still saw the permit open leaves the core to this caller.
        let isClosed = hot.pointee.isClosed.load() != 0
        InFlight.leave(token)
        if _slowPath(isClosed && isEnded) { ClosedCores.release(UInt(bitPattern: address)) }
        return isEnded
    }

    @usableFromInline
    func renew(_ number: UInt64) -> Settlement { Settlement(end { $0.renew(number) }) }

    /// Does something to a permit while nobody frees the core.
    @inline(__always)
    private func end(_ body: (LimiterCore) -> Int32) -> Int32 {
        let token = InFlight.enter(UInt(bitPattern: address))
        let core = hot.pointee.core
        let (status, isClosed) = core._withUnsafeGuaranteedRef { core in
            (body(core), core.isClosed)
        }
        InFlight.leave(token)
        if _slowPath(isClosed) { ClosedCores.release(UInt(bitPattern: address)) }
        return status
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
    /// The permit is ended, and the store behind a connection gave no answer: whether it was booked is
    /// unknown. It is not tried again; the lease runs out.
    case storeUnavailable

    init(_ status: Int32) {
        switch status {
        case LimiterError.Code.storeUnavailable.status: self = .storeUnavailable
        case LimiterError.Code.leaseExpired.status: self = .leaseExpired
        case LimiterError.Code.notOwner.status: self = .notOwner
        case 0: self = .settled
        default: self = .alreadyCompleted
        }
    }
}

extension Usage {
    /// The error for an amount below 0, or nil.
    func negativeUsageError() -> LimiterError? {
        let counts = (requests ?? 0, inputTokens ?? 0, outputTokens ?? 0)
        let isNegative = extra.contains { $0.amount < 0 }
        guard counts.0 | counts.1 | counts.2 < 0 || isNegative else { return nil }
        return LimiterError(
            .negativeUsage,
            "a usage is 0 or more: requests \(counts.0), input_tokens \(counts.1), "
                + "output_tokens \(counts.2)"
                + extra.map { ", \($0.count.name) \($0.amount)" }.joined())
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
