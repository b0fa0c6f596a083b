// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Gates".
import Admission
import CAdmission

@_cdecl("admission_gate_open") @implementation
public func admission_gate_open(
    _ limiter: OpaquePointer!, _ attributes: UnsafePointer<admission_attribute>!, _ count: Int,
    _ gate: UnsafeMutablePointer<OpaquePointer?>!
) -> admission_status {
    guard let gate else { return fail(.null("gate")) }
    gate.pointee = nil
    let owner = handle(limiter)
    guard let use = HandleTable.begin(owner, .limiter, LimiterEntry.self) else {
        return failHandle(owner, "limiter")
    }
    defer { use.end() }
    return use.object._withUnsafeGuaranteedRef { entry in
        do {
            let attributes = try copy(attributes, count)
            let opened = GateEntry(try entry.limiter.gate(attributes), of: entry)
            // After the gate counts as open, so that either this look or the closer's sees both.
            guard use.isStillOpen(owner) else { return failClosed() }
            guard
                let handle = HandleTable.open(
                    opened, .gate, direct: AtOnce.address(of: opened.gate),
                    nearest: AtOnce.nearest(of: opened.gate))
            else { return failHandleTableFull() }
            gate.pointee = pointer(handle)
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

@_cdecl("admission_gate_close") @implementation
public func admission_gate_close(_ gate: OpaquePointer!) -> admission_status {
    let handle = handle(gate)
    guard handle != 0 else { return ADMISSION_OK }
    return HandleTable.end(handle, .gate) ? ADMISSION_OK : failHandle(handle, "gate")
}

@_cdecl("admission_gate_explain") @implementation
public func admission_gate_explain(
    _ gate: OpaquePointer!, _ cost: UnsafePointer<admission_cost>!,
    _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int, _ needed: UnsafeMutablePointer<Int>!
) -> admission_status {
    let handle = handle(gate)
    guard let use = HandleTable.begin(handle, .gate, GateEntry.self) else {
        return failHandle(handle, "gate")
    }
    defer { use.end() }
    guard isBuffer(buffer, size) else { return fail(.null("buffer")) }
    return withCost(cost) { amounts in
        let cost = Cost(
            requests: amounts.requests, inputTokens: amounts.inputTokens,
            outputTokens: amounts.outputTokens, extra: Array(amounts.extra))
        do throws(LimiterError) {
            let explanation = try use.object.takeUnretainedValue().gate.explain(cost)
            return write(explanation.json, buffer, size, needed)
        } catch {
            return fail(error)
        }
    }
}

/// The caller's attributes, copied; names and values checked as the header says.
private func copy(
    _ attributes: UnsafePointer<admission_attribute>?, _ count: Int
) throws(Refusal) -> [Attribute] {
    guard count != 0 else { return [] }
    guard let attributes else { throw .null("attributes") }
    // size_t comes as Int: what is above Int.max is negative here.
    guard count > 0, count <= Int(ADMISSION_MAX_ATTRIBUTES) else {
        throw Refusal(
            ADMISSION_E_INVALID_ATTRIBUTE,
            "\(UInt(bitPattern: count)) attributes, at most \(ADMISSION_MAX_ATTRIBUTES) accepted")
    }
    var copies: [Attribute] = []
    copies.reserveCapacity(count)
    for index in 0..<count {
        let name = try text(
            attributes[index].name, upTo: ADMISSION_MAX_ATTRIBUTE_BYTES,
            tooLong: ADMISSION_E_INVALID_ATTRIBUTE, "attributes[\(index)].name")
        guard !name.isEmpty else {
            throw Refusal(ADMISSION_E_INVALID_ATTRIBUTE, "attributes[\(index)].name is empty")
        }
        let value = try text(
            attributes[index].value, upTo: ADMISSION_MAX_ATTRIBUTE_BYTES,
            tooLong: ADMISSION_E_INVALID_ATTRIBUTE, "attributes[\(index)].value")
        copies.append(Attribute(name, value))
    }
    return copies
}
