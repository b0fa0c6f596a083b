// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Permits".
import Admission
import CAdmission

@_cdecl("admission_permit_complete") @implementation
public func admission_permit_complete(
    _ limiter: OpaquePointer!, _ permit: UInt64, _ usage: UnsafePointer<admission_usage>!
) -> admission_status {
    if _fastPath(usage == nil && endAtOnce(limiter, permit)) { return ADMISSION_OK }
    return complete(limiter, permit, usage)
}

@inline(never)
private func complete(
    _ limiter: OpaquePointer?, _ permit: UInt64, _ usage: UnsafePointer<admission_usage>?
) -> Int32 {
    if let amounts = plainAmounts(usage) {
        return withPermit(limiter, permit) { $0.completePermit(permit, amounts) }
    }
    return withUsage(usage) { amounts in
        withPermit(limiter, permit) { $0.completePermit(permit, amounts) }
    }
}

@_cdecl("admission_permit_add") @implementation
public func admission_permit_add(
    _ limiter: OpaquePointer!, _ permit: UInt64, _ usage: UnsafePointer<admission_usage>!
) -> admission_status {
    guard let usage else { return fail(.null("usage")) }
    if let amounts = plainAmounts(usage) {
        return withPermit(limiter, permit) { $0.addToPermit(permit, amounts) }
    }
    return withUsage(usage) { amounts in
        withPermit(limiter, permit) { $0.addToPermit(permit, amounts) }
    }
}

@_cdecl("admission_permit_abandon") @implementation
public func admission_permit_abandon(
    _ limiter: OpaquePointer!, _ permit: UInt64
) -> admission_status {
    withPermit(limiter, permit) { $0.abandonPermit(permit) }
}

@_cdecl("admission_permit_drop") @implementation
public func admission_permit_drop(
    _ limiter: OpaquePointer!, _ permit: UInt64
) -> admission_status {
    if _fastPath(endAtOnce(limiter, permit)) { return ADMISSION_OK }
    return withPermit(limiter, permit) { $0.dropPermit(permit) }
}

@_cdecl("admission_permit_renew") @implementation
public func admission_permit_renew(
    _ limiter: OpaquePointer!, _ permit: UInt64
) -> admission_status {
    withPermit(limiter, permit) { $0.renewPermit(permit) }
}

/// Ends a permit without leases, as charged; false: nothing was done.
@inline(__always)
private func endAtOnce(_ limiter: OpaquePointer?, _ permit: UInt64) -> Bool {
    let handle = handle(limiter)
    guard let (use, address) = HandleTable.beginAtOnce(handle, .limiter, LimiterEntry.self) else {
        return false
    }
    let isEnded = AtOnce.end(address, permit: permit)
    // After the permit's end, so that either this look or the closer's sees both.
    if _fastPath(use.isStillOpen(handle)) { use.end() } else { leaveClosed(use) }
    return isEnded
}

/// Runs the body on the limiter of a permit, a closed one too, which may end with it.
@inline(__always)
private func withPermit(
    _ limiter: OpaquePointer?, _ permit: UInt64, _ body: (Limiter) -> Int32
) -> Int32 {
    let handle = handle(limiter)
    guard let use = HandleTable.begin(handle, .limiter, LimiterEntry.self) else {
        return failHandle(handle, "limiter")
    }
    let status = use.object._withUnsafeGuaranteedRef { body($0.limiter) }
    // After the permit's end, so that either this look or the closer's sees both.
    if use.isStillOpen(handle) { use.end() } else { leaveClosed(use) }
    return status == ADMISSION_OK ? status : failPermit(status, permit)
}

/// Leaves a limiter that was closed, and ends its handle if that was its last permit.
@inline(never)
private func leaveClosed(_ use: HandleTable.Use<LimiterEntry>) {
    // Kept by a reference: with this thread inside, nothing could be freed.
    let entry = use.object.takeUnretainedValue()
    use.end()
    InFlight.releaseRetired()
    entry.endIfUnused()
}

/// The text for a status that the engine gives as a number alone.
@inline(never)
private func failPermit(_ status: Int32, _ permit: UInt64) -> Int32 {
    let text =
        switch status {
        case ADMISSION_E_ALREADY_COMPLETED: "permit \(permit) has ended before"
        case ADMISSION_E_INVALID_HANDLE: "\(permit) is no permit of this limiter"
        case ADMISSION_E_NOT_OWNER: "permit \(permit) was acquired by another process"
        case ADMISSION_E_LEASE_EXPIRED:
            "the lease of permit \(permit) ran out before; its usage was settled"
        default: "permit \(permit): \(String(cString: admission_status_name(status)))"
        }
    return fail(status, text)
}
