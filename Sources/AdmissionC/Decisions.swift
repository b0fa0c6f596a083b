// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Decisions". The hot path: no reference count, no allocation, no text.
import Admission
import CAdmission

@_cdecl("admission_try_acquire") @implementation
public func admission_try_acquire(
    _ gate: OpaquePointer!, _ cost: UnsafePointer<admission_cost>!,
    _ decision: UnsafeMutablePointer<admission_decision>!
) -> admission_status {
    decide(gate, cost, decision, takesPermit: true)
}

@_cdecl("admission_try_charge") @implementation
public func admission_try_charge(
    _ gate: OpaquePointer!, _ cost: UnsafePointer<admission_cost>!,
    _ decision: UnsafeMutablePointer<admission_decision>!
) -> admission_status {
    decide(gate, cost, decision, takesPermit: false)
}

@_cdecl("admission_acquire") @implementation
public func admission_acquire(
    _ gate: OpaquePointer!, _ cost: UnsafePointer<admission_cost>!, _ timeout_ns: Int64,
    _ decision: UnsafeMutablePointer<admission_decision>!
) -> admission_status {
    guard timeout_ns >= 0 else {
        clear(decision)
        return fail(
            ADMISSION_E_INVALID_TIMEOUT, "timeout_ns is \(timeout_ns), accepted is 0 or more")
    }
    let status = decide(gate, cost, decision, takesPermit: true)
    guard status == ADMISSION_OK, timeout_ns > 0,
        decision.pointee.outcome == ADMISSION_REJECTED,
        decision.pointee.reason != ADMISSION_REASON_EXCEEDS_LIMIT
    else { return status }
    clear(decision)
    return fail(
        ADMISSION_E_NOT_SUPPORTED, "the request would have to wait, which this version cannot do")
}

/// One decision on a gate, from the caller's structs into the caller's struct.
@inline(__always)
private func decide(
    _ gate: OpaquePointer?, _ cost: UnsafePointer<admission_cost>?,
    _ decision: UnsafeMutablePointer<admission_decision>?, takesPermit: Bool
) -> Int32 {
    guard let decision, isStructSize(decision.pointee.struct_size, ADMISSION_DECISION_SIZE_1),
        let cost, let amounts = plainAmounts(cost),
        let (use, address) = HandleTable.beginAtOnce(handle(gate), .gate, GateEntry.self)
    else { return decideGenerally(gate, cost, decision, takesPermit: takesPermit) }
    let tag =
        takesPermit
        ? AtOnce.acquire(
            address, requests: amounts.requests, inputTokens: amounts.inputTokens,
            outputTokens: amounts.outputTokens, into: record(decision), leaving: use.token)
        : AtOnce.charge(
            address, requests: amounts.requests, inputTokens: amounts.inputTokens,
            into: record(decision), leaving: use.token)
    if _fastPath(tag == 0) { return ADMISSION_OK }
    return decideGenerally(pointer(tag), cost, decision, takesPermit: takesPermit)
}

/// The same whatever the handle, the gate and the structs are.
@inline(never)
private func decideGenerally(
    _ gate: OpaquePointer?, _ cost: UnsafePointer<admission_cost>?,
    _ decision: UnsafeMutablePointer<admission_decision>?, takesPermit: Bool
) -> Int32 {
    guard let decision, isStructSize(decision.pointee.struct_size, ADMISSION_DECISION_SIZE_1) else {
        return failDecision(decision)
    }
    let handle = handle(gate)
    guard let use = HandleTable.begin(handle, .gate, GateEntry.self) else {
        return failGate(decision, handle)
    }
    guard let cost, let amounts = plainAmounts(cost) else {
        return decideSlowly(use, cost, decision, takesPermit: takesPermit)
    }
    let status = use.object._withUnsafeGuaranteedRef {
        decide($0, amounts, decision, takesPermit: takesPermit)
    }
    use.end()
    return status
}

/// The same for a cost that is NULL, wrong, or has more than the three amounts.
@inline(never)
private func decideSlowly(
    _ use: HandleTable.Use<GateEntry>, _ cost: UnsafePointer<admission_cost>?,
    _ decision: UnsafeMutablePointer<admission_decision>, takesPermit: Bool
) -> Int32 {
    let status = withCost(cost) { amounts in
        use.object._withUnsafeGuaranteedRef {
            decide($0, amounts, decision, takesPermit: takesPermit)
        }
    }
    use.end()
    if status != ADMISSION_OK { clear(decision) }
    return status
}

@inline(__always)
private func decide(
    _ entry: GateEntry, _ amounts: borrowing CostAmounts,
    _ decision: UnsafeMutablePointer<admission_decision>, takesPermit: Bool
) -> Int32 {
    let status = entry.gate.decide(amounts, takesPermit: takesPermit, into: record(decision))
    return status == ADMISSION_OK ? status : failDecide(status, decision, entry.gate)
}

/// The engine's record has the layout of the caller's struct, so it is written in place;
/// `BoundaryLayoutTests` compares the two.
@inline(__always)
private func record(
    _ decision: UnsafeMutablePointer<admission_decision>
) -> UnsafeMutablePointer<DecisionRecord> {
    UnsafeMutableRawPointer(decision).assumingMemoryBound(to: DecisionRecord.self)
}

/// What a decision says when none was made.
@inline(never)
private func clear(_ decision: UnsafeMutablePointer<admission_decision>?) {
    guard let decision, isStructSize(decision.pointee.struct_size, ADMISSION_DECISION_SIZE_1) else {
        return
    }
    decision.pointee.outcome = 0
    decision.pointee.reason = ADMISSION_REASON_NONE
    decision.pointee.permit = 0
}

@inline(never)
private func failGate(
    _ decision: UnsafeMutablePointer<admission_decision>, _ handle: UInt
) -> Int32 {
    clear(decision)
    return failHandle(handle, "gate")
}

@inline(never)
private func failDecision(_ decision: UnsafeMutablePointer<admission_decision>?) -> Int32 {
    guard let decision else { return fail(.null("decision")) }
    return failStructSize(decision.pointee.struct_size, ADMISSION_DECISION_SIZE_1, "decision")
}

/// The text for a status that the engine gives as a number alone.
@inline(never)
private func failDecide(
    _ status: Int32, _ decision: UnsafeMutablePointer<admission_decision>, _ gate: Gate
) -> Int32 {
    clear(decision)
    let text =
        switch status {
        case ADMISSION_E_CLOSED: "the limiter was closed and takes no new work"
        case ADMISSION_E_MISSING_ATTRIBUTE:
            "since the last reload a policy's per names an attribute that the gate lacks"
        case ADMISSION_E_CONCURRENCY_NEEDS_PERMIT:
            "a limit of this gate counts concurrency: use admission_try_acquire"
        case ADMISSION_E_TOO_MANY_LIMITS: "the gate matches more limits than one decision holds"
        case ADMISSION_E_PERMIT_TABLE_FULL: "options.permit_capacity permits are open"
        case ADMISSION_E_KEY_TABLE_FULL: "options.key_capacity keys are in use and none is idle"
        default:
            gate.remoteFailure(status)?.message
                ?? String(cString: admission_status_name(status))
        }
    return fail(status, text)
}
