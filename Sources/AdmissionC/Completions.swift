// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Completion queues": declared, so that callers can be written, and not
// there yet.
import CAdmission

@_cdecl("admission_completions_open") @implementation
public func admission_completions_open(
    _ limiter: OpaquePointer!, _ capacity: UInt32,
    _ completions: UnsafeMutablePointer<OpaquePointer?>!
) -> admission_status {
    completions?.pointee = nil
    return failWaiting()
}

@_cdecl("admission_completions_close") @implementation
public func admission_completions_close(_ completions: OpaquePointer!) -> admission_status {
    let handle = handle(completions)
    return handle == 0 ? ADMISSION_OK : failHandle(handle, "completion queue")
}

@_cdecl("admission_completions_fd") @implementation
public func admission_completions_fd(
    _ completions: OpaquePointer!, _ descriptor: UnsafeMutablePointer<Int32>!
) -> admission_status {
    descriptor?.pointee = -1
    return failWaiting()
}

@_cdecl("admission_completions_read") @implementation
public func admission_completions_read(
    _ completions: OpaquePointer!, _ array: UnsafeMutablePointer<admission_completion>!,
    _ max: Int, _ count: UnsafeMutablePointer<Int>!
) -> admission_status {
    count?.pointee = 0
    return failWaiting()
}

@_cdecl("admission_acquire_submit") @implementation
public func admission_acquire_submit(
    _ gate: OpaquePointer!, _ cost: UnsafePointer<admission_cost>!, _ timeout_ns: Int64,
    _ completions: OpaquePointer!, _ user_data: UInt64, _ waiter: UnsafeMutablePointer<UInt64>!
) -> admission_status {
    waiter?.pointee = 0
    return failWaiting()
}

@_cdecl("admission_acquire_cancel") @implementation
public func admission_acquire_cancel(
    _ completions: OpaquePointer!, _ waiter: UInt64
) -> admission_status {
    failWaiting()
}

private func failWaiting() -> Int32 {
    fail(ADMISSION_E_NOT_SUPPORTED, "this version has no waiting")
}
