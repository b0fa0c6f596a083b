// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Statuses and other numbers".
import CAdmission

@_cdecl("admission_status_name") @implementation
public func admission_status_name(_ status: admission_status) -> UnsafePointer<CChar>! {
    statusName(status).cString
}

@_cdecl("admission_reason_name") @implementation
public func admission_reason_name(_ reason: Int32) -> UnsafePointer<CChar>! {
    reasonName(reason).cString
}

@_cdecl("admission_last_error") @implementation
public func admission_last_error(_ buffer: UnsafeMutablePointer<CChar>!, _ size: Int) -> Int {
    LastError.read { text in
        if let buffer, size > 0 {
            let length = LastError.wholeCharacters(text, upTo: size - 1)
            UnsafeMutableRawBufferPointer(start: buffer, count: length)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: text[..<length]))
            buffer[length] = 0
        }
        return text.count
    }
}

private func statusName(_ status: Int32) -> StaticString {
    switch status {
    case ADMISSION_OK: "ok"
    case ADMISSION_E_INVALID_ARGUMENT: "invalid_argument"
    case ADMISSION_E_INVALID_STRUCT_SIZE: "invalid_struct_size"
    case ADMISSION_E_INVALID_UTF8: "invalid_utf8"
    case ADMISSION_E_INVALID_HANDLE: "invalid_handle"
    case ADMISSION_E_CLOSED: "closed"
    case ADMISSION_E_BUFFER_TOO_SMALL: "buffer_too_small"
    case ADMISSION_E_NOT_SUPPORTED: "not_supported"
    case ADMISSION_E_INVALID_TIMEOUT: "invalid_timeout"
    case ADMISSION_E_INVALID_POLICY: "invalid_policy"
    case ADMISSION_E_POLICY_UNREADABLE: "policy_unreadable"
    case ADMISSION_E_ZONE_UNAVAILABLE: "zone_unavailable"
    case ADMISSION_E_MISSING_ATTRIBUTE: "missing_attribute"
    case ADMISSION_E_DUPLICATE_ATTRIBUTE: "duplicate_attribute"
    case ADMISSION_E_INVALID_ATTRIBUTE: "invalid_attribute"
    case ADMISSION_E_NEGATIVE_COST: "negative_cost"
    case ADMISSION_E_NEGATIVE_USAGE: "negative_usage"
    case ADMISSION_E_CONCURRENCY_NEEDS_PERMIT: "concurrency_needs_permit"
    case ADMISSION_E_TOO_MANY_LIMITS: "too_many_limits"
    case ADMISSION_E_INVALID_COUNT: "invalid_count"
    case ADMISSION_E_ALREADY_COMPLETED: "already_completed"
    case ADMISSION_E_NOT_OWNER: "not_owner"
    case ADMISSION_E_LEASE_EXPIRED: "lease_expired"
    case ADMISSION_E_PERMIT_TABLE_FULL: "permit_table_full"
    case ADMISSION_E_KEY_TABLE_FULL: "key_table_full"
    case ADMISSION_E_OUT_OF_MEMORY: "out_of_memory"
    case ADMISSION_E_HANDLE_TABLE_FULL: "handle_table_full"
    case ADMISSION_E_UNSUPPORTED_STORE: "unsupported_store"
    case ADMISSION_E_STORE_UNAVAILABLE: "store_unavailable"
    case ADMISSION_E_STORE_FOREIGN: "store_foreign"
    case ADMISSION_E_STORE_VERSION: "store_version"
    case ADMISSION_E_STORE_CORRUPTED: "store_corrupted"
    case ADMISSION_E_STORE_FULL: "store_full"
    case ADMISSION_E_STORE_NOT_PERMITTED: "store_not_permitted"
    case ADMISSION_E_NETWORK_FILE_SYSTEM: "network_file_system"
    case ADMISSION_E_OTHER_TIME_NAMESPACE: "other_time_namespace"
    case ADMISSION_E_CLOCK_MISMATCH: "clock_mismatch"
    case ADMISSION_E_STORE_REPLACED: "store_replaced"
    case ADMISSION_E_OWNER_TABLE_FULL: "owner_table_full"
    case ADMISSION_E_STORE_IN_USE: "store_in_use"
    case ADMISSION_E_NOT_MANUAL_CLOCK: "not_manual_clock"
    case ADMISSION_E_CLOCK_BACKWARDS: "clock_backwards"
    case ADMISSION_E_INTERNAL: "internal"
    default: "unknown"
    }
}

private func reasonName(_ reason: Int32) -> StaticString {
    switch reason {
    case ADMISSION_REASON_NONE: "none"
    case ADMISSION_REASON_EXCEEDS_LIMIT: "exceeds_limit"
    case ADMISSION_REASON_CONCURRENCY: "concurrency"
    case ADMISSION_REASON_EXHAUSTED: "exhausted"
    case ADMISSION_REASON_DEBT: "debt"
    case ADMISSION_REASON_BOUNDARY_GUARD: "boundary_guard"
    case ADMISSION_REASON_STORE_UNAVAILABLE: "store_unavailable"
    default: "unknown"
    }
}
