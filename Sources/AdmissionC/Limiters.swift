// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Limiters".
import Admission
import CAdmission

#if Redis
    import AdmissionRedis
#endif

@_cdecl("admission_limiter_open") @implementation
public func admission_limiter_open(
    _ options: UnsafePointer<admission_options>!,
    _ limiter: UnsafeMutablePointer<OpaquePointer?>!
) -> admission_status {
    guard let limiter else { return fail(.null("limiter")) }
    limiter.pointee = nil
    guard let options else { return fail(.null("options")) }
    let size = options.pointee.struct_size
    guard isStructSize(size, ADMISSION_OPTIONS_SIZE_1) else {
        return failStructSize(size, ADMISSION_OPTIONS_SIZE_1, "options")
    }
    do {
        let opened = try openLimiter(options.pointee)
        guard let handle = LimiterEntry.open(opened) else {
            opened.close()
            return failHandleTableFull()
        }
        limiter.pointee = pointer(handle)
        return ADMISSION_OK
    } catch let refusal as Refusal {
        return fail(refusal)
    } catch let error as LimiterError {
        return fail(error)
    } catch {
        return fail(ADMISSION_E_INTERNAL, "\(error)")
    }
}

@_cdecl("admission_limiter_close") @implementation
public func admission_limiter_close(_ limiter: OpaquePointer!) -> admission_status {
    let handle = handle(limiter)
    guard handle != 0 else { return ADMISSION_OK }
    // A gate that was closed under a caller may be the last thing that keeps a limiter closed.
    InFlight.releaseRetired()
    guard let use = HandleTable.begin(handle, .limiter, LimiterEntry.self) else {
        return failHandle(handle, "limiter")
    }
    // Kept by a reference from here on: with this thread inside, nothing could be freed.
    let entry = use.object.takeUnretainedValue()
    use.end()
    guard HandleTable.markClosed(handle, .limiter) else { return failClosed() }
    entry.limiter.close()
    // Pairs with the compiler barrier of a permit's end; see LimiterEntry.
    InFlight.orderAllThreads()
    entry.endIfUnused()
    return ADMISSION_OK
}

@_cdecl("admission_limiter_reload") @implementation
public func admission_limiter_reload(
    _ limiter: OpaquePointer!, _ policy_json: UnsafePointer<CChar>!
) -> admission_status {
    withLimiter(limiter) { entry in
        do {
            let document = try text(
                policy_json, upTo: ADMISSION_MAX_POLICY_BYTES,
                tooLong: ADMISSION_E_INVALID_POLICY, "policy_json")
            try entry.limiter.reload(policyJSON: document)
            return ADMISSION_OK
        } catch let refusal as Refusal {
            return fail(refusal)
        } catch let error as LimiterError {
            return fail(error)
        } catch {
            return fail(ADMISSION_E_INTERNAL, "\(error)")
        }
    }
}

@_cdecl("admission_limiter_advance") @implementation
public func admission_limiter_advance(_ limiter: OpaquePointer!, _ ns: Int64) -> admission_status {
    withLimiter(limiter) { entry in
        status { () throws(LimiterError) in try entry.limiter.advance(nanoseconds: ns) }
    }
}

@_cdecl("admission_limiter_set_time") @implementation
public func admission_limiter_set_time(
    _ limiter: OpaquePointer!, _ unix_ns: Int64
) -> admission_status {
    withLimiter(limiter) { entry in
        guard unix_ns >= 0 else {
            return fail(
                ADMISSION_E_INVALID_ARGUMENT, "unix_ns is \(unix_ns), accepted is 0 or more")
        }
        return status { () throws(LimiterError) in
            try entry.limiter.setTime(unixNanoseconds: unix_ns)
        }
    }
}

@_cdecl("admission_limiter_snapshot") @implementation
public func admission_limiter_snapshot(
    _ limiter: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int,
    _ needed: UnsafeMutablePointer<Int>!
) -> admission_status {
    withLimiter(limiter) { entry in
        guard isBuffer(buffer, size) else { return fail(.null("buffer")) }
        return write(entry.limiter.snapshot().json, buffer, size, needed)
    }
}

@_cdecl("admission_limiter_metrics") @implementation
public func admission_limiter_metrics(
    _ limiter: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int,
    _ needed: UnsafeMutablePointer<Int>!
) -> admission_status {
    withLimiter(limiter) { entry in
        guard isBuffer(buffer, size) else { return fail(.null("buffer")) }
        return write(entry.limiter.metrics(), buffer, size, needed)
    }
}

@_cdecl("admission_limiter_reclaim") @implementation
public func admission_limiter_reclaim(
    _ limiter: OpaquePointer!, _ reclaimed: UnsafeMutablePointer<Int>!
) -> admission_status {
    withLimiter(limiter) { entry in
        let count = entry.limiter.reclaim()
        reclaimed?.pointee = count
        return ADMISSION_OK
    }
}

@_cdecl("admission_limiter_events_read") @implementation
public func admission_limiter_events_read(
    _ limiter: OpaquePointer!, _ cursor: UnsafeMutablePointer<UInt64>!,
    _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int, _ needed: UnsafeMutablePointer<Int>!
) -> admission_status {
    withLimiter(limiter) { entry in
        guard let cursor else { return fail(.null("cursor")) }
        guard isBuffer(buffer, size) else { return fail(.null("buffer")) }
        let events = entry.limiter.events(after: cursor.pointee)
        let json = "[" + events.map(\.json).joined(separator: ",") + "]"
        let status = write(json, buffer, size, needed)
        if status == ADMISSION_OK, let last = events.last { cursor.pointee = last.sequence }
        return status
    }
}

// MARK: - Opening

private func openLimiter(_ options: admission_options) throws -> Limiter {
    let settings = try settings(options)
    switch (options.policy_json, options.policy_path) {
    case (let json?, nil):
        let document = try text(
            json, upTo: ADMISSION_MAX_POLICY_BYTES, tooLong: ADMISSION_E_INVALID_POLICY,
            "policy_json")
        return try Limiter(policyJSON: document, options: settings)
    case (nil, let path?):
        let path = try text(
            path, upTo: 4096, tooLong: ADMISSION_E_POLICY_UNREADABLE, "policy_path")
        return try Limiter(policyPath: path, options: settings)
    default:
        throw Refusal(
            ADMISSION_E_INVALID_ARGUMENT, "exactly one of policy_json and policy_path is to be set")
    }
}

private func settings(_ options: admission_options) throws(Refusal) -> Limiter.Options {
    var settings = Limiter.Options()
    #if Redis
        settings.openers = [.redis]
    #endif
    if let url = options.store_url {
        settings.store = try text(
            url, upTo: 4096, tooLong: ADMISSION_E_UNSUPPORTED_STORE, "store_url")
    }
    switch options.clock {
    case ADMISSION_CLOCK_SYSTEM:
        guard options.start_unix_ns == 0 else {
            throw Refusal(
                ADMISSION_E_INVALID_ARGUMENT, "start_unix_ns goes with the manual clock alone")
        }
        settings.clock = .system
    case ADMISSION_CLOCK_MANUAL:
        guard options.start_unix_ns >= 0 else {
            throw outOfRange("start_unix_ns", options.start_unix_ns, "0 or more")
        }
        settings.clock = .manual(startUnixNanoseconds: options.start_unix_ns)
    default: throw outOfRange("clock", Int64(options.clock), "0 and 1")
    }
    let permits = options.permit_capacity
    guard 0...Int64(ADMISSION_MAX_PERMIT_CAPACITY) ~= permits else {
        throw outOfRange("permit_capacity", permits, "0 to \(ADMISSION_MAX_PERMIT_CAPACITY)")
    }
    if permits > 0 { settings.permitCapacity = Int(permits) }
    let keys = options.key_capacity
    guard 0...Int64(ADMISSION_MAX_KEY_CAPACITY) ~= keys else {
        throw outOfRange("key_capacity", keys, "0 to \(ADMISSION_MAX_KEY_CAPACITY)")
    }
    if keys > 0 { settings.keyCapacity = Int(keys) }
    switch options.heartbeat {
    case ADMISSION_HEARTBEAT_AUTOMATIC: settings.heartbeat = .automatic
    case ADMISSION_HEARTBEAT_MANUAL: settings.heartbeat = .manual
    default: throw outOfRange("heartbeat", Int64(options.heartbeat), "0 and 1")
    }
    guard options.reserved == 0 else {
        throw outOfRange("reserved", Int64(options.reserved), "0")
    }
    return settings
}

private func outOfRange(_ name: String, _ value: Int64, _ accepted: String) -> Refusal {
    Refusal(ADMISSION_E_INVALID_ARGUMENT, "\(name) is \(value), accepted: \(accepted)")
}

/// Runs a verb of the engine and turns its error into a status.
func status(_ body: () throws(LimiterError) -> Void) -> Int32 {
    do throws(LimiterError) {
        try body()
        return ADMISSION_OK
    } catch {
        return fail(error)
    }
}

@inline(never)
func failHandleTableFull() -> Int32 {
    fail(
        ADMISSION_E_HANDLE_TABLE_FULL,
        "no place for a further handle: \(ADMISSION_MAX_HANDLES) are open, or memory is short")
}
