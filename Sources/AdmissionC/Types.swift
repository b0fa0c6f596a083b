// The header's section "Types": what is read from the caller's structs, and when it is refused.
import Admission
import CAdmission

/// Sizes above this are taken for damage, as those below version 1 are.
private let maximumStructSize: UInt32 = 4096

/// Whether a struct of that size has every field of version 1.
///
/// Version 1 is all that this library knows, so a larger struct is read and written like it.
@inline(__always)
func isStructSize(_ size: UInt32, _ version1: Int32) -> Bool {
    let version1 = UInt32(truncatingIfNeeded: version1)
    return size &- version1 <= maximumStructSize &- version1
}

@inline(never)
func failStructSize(_ size: UInt32, _ version1: Int32, _ name: String) -> Int32 {
    fail(
        ADMISSION_E_INVALID_STRUCT_SIZE,
        "\(name).struct_size is \(size), accepted are \(version1) to \(maximumStructSize)")
}

/// The amounts of a cost that is in order and has the three amounts alone; nil for any other, which
/// is `withCost`'s. The hot path's share of it, without a branch that makes text.
@inline(__always)
func plainAmounts(_ cost: UnsafePointer<admission_cost>) -> CostAmounts? {
    let requests = cost.pointee.requests
    let inputTokens = cost.pointee.input_tokens
    let outputTokens = cost.pointee.output_tokens
    guard isStructSize(cost.pointee.struct_size, ADMISSION_COST_SIZE_1),
        cost.pointee.extra_count == 0, cost.pointee.priority == nil,
        requests | inputTokens | outputTokens >= 0
    else { return nil }
    return CostAmounts(
        requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
        extra: UnsafeBufferPointer(start: nil, count: 0))
}

/// Hands the caller's cost to the body, NULL being the INIT macro's, or refuses it.
func withCost(
    _ cost: UnsafePointer<admission_cost>?, _ body: (borrowing CostAmounts) -> Int32
) -> Int32 {
    guard let cost else {
        let none = UnsafeBufferPointer<CountAmount>(start: nil, count: 0)
        return body(CostAmounts(requests: 1, inputTokens: 0, outputTokens: 0, extra: none))
    }
    if let amounts = plainAmounts(cost) { return body(amounts) }
    guard isStructSize(cost.pointee.struct_size, ADMISSION_COST_SIZE_1) else {
        return failStructSize(cost.pointee.struct_size, ADMISSION_COST_SIZE_1, "cost")
    }
    let requests = cost.pointee.requests
    let inputTokens = cost.pointee.input_tokens
    let outputTokens = cost.pointee.output_tokens
    guard requests | inputTokens | outputTokens >= 0 else {
        return fail(
            ADMISSION_E_NEGATIVE_COST,
            "a cost is 0 or more: requests \(requests), input_tokens \(inputTokens), "
                + "output_tokens \(outputTokens)")
    }
    if let priority = cost.pointee.priority, let refusal = refusal(ofPriority: priority) {
        return fail(refusal)
    }
    return withExtra(cost.pointee.extra, cost.pointee.extra_count, .cost) {
        body(
            CostAmounts(
                requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
                extra: $0))
    }
}

/// The amounts of a usage that is NULL (as charged), or in order and without extra counts; nil for
/// any other, which is `withUsage`'s. The hot path's share of it.
@inline(__always)
func plainAmounts(_ usage: UnsafePointer<admission_usage>?) -> UsageAmounts? {
    let none = UnsafeBufferPointer<CountAmount>(start: nil, count: 0)
    guard let usage else {
        return UsageAmounts(
            requests: -1, inputTokens: -1, outputTokens: -1, extra: none, isExact: true)
    }
    let requests = usage.pointee.requests
    let inputTokens = usage.pointee.input_tokens
    let outputTokens = usage.pointee.output_tokens
    let exact = usage.pointee.exact
    guard isStructSize(usage.pointee.struct_size, ADMISSION_USAGE_SIZE_1),
        exact & ~1 == 0, usage.pointee.extra_count | usage.pointee.reserved == 0,
        requests >= -1, inputTokens >= -1, outputTokens >= -1
    else { return nil }
    return UsageAmounts(
        requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
        extra: none, isExact: exact == 1)
}

/// Hands the caller's usage to the body, or refuses it.
func withUsage(
    _ usage: UnsafePointer<admission_usage>?, _ body: (borrowing UsageAmounts) -> Int32
) -> Int32 {
    if let amounts = plainAmounts(usage) { return body(amounts) }
    guard let usage else { return fail(.null("usage")) }
    guard isStructSize(usage.pointee.struct_size, ADMISSION_USAGE_SIZE_1) else {
        return failStructSize(usage.pointee.struct_size, ADMISSION_USAGE_SIZE_1, "usage")
    }
    let requests = usage.pointee.requests
    let inputTokens = usage.pointee.input_tokens
    let outputTokens = usage.pointee.output_tokens
    let exact = usage.pointee.exact
    guard exact == 0 || exact == 1, usage.pointee.reserved == 0 else {
        return fail(
            ADMISSION_E_INVALID_ARGUMENT,
            "usage.exact is \(exact), accepted are 0 and 1; "
                + "usage.reserved is \(usage.pointee.reserved), accepted is 0")
    }
    guard requests >= -1, inputTokens >= -1, outputTokens >= -1 else {
        return fail(
            ADMISSION_E_NEGATIVE_USAGE,
            "a usage is 0 or more, or -1 for as charged: requests \(requests), "
                + "input_tokens \(inputTokens), output_tokens \(outputTokens)")
    }
    return withExtra(usage.pointee.extra, usage.pointee.extra_count, .usage) {
        body(
            UsageAmounts(
                requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
                extra: $0, isExact: exact == 1))
    }
}

/// What extra counts belong to.
private enum ExtraOwner {
    case cost, usage
}

/// Hands the caller's extra counts to the body, in a buffer that lives on the stack.
@inline(never)
private func withExtra(
    _ extra: UnsafePointer<admission_count>?, _ count: UInt32, _ owner: ExtraOwner,
    _ body: (UnsafeBufferPointer<CountAmount>) -> Int32
) -> Int32 {
    guard count <= ADMISSION_MAX_EXTRA_COUNTS else {
        return fail(
            ADMISSION_E_INVALID_COUNT,
            "extra_count is \(count), at most \(ADMISSION_MAX_EXTRA_COUNTS) are accepted")
    }
    return withUnsafeTemporaryAllocation(of: CountAmount.self, capacity: Int(count)) { amounts in
        do throws(Refusal) {
            let filled = try fill(amounts, extra, Int(count), owner)
            return body(UnsafeBufferPointer(rebasing: amounts[..<filled]))
        } catch {
            return fail(error)
        }
    }
}

/// Copies the counts whose amount says something; the amounts' memory is uninitialised before.
private func fill(
    _ amounts: UnsafeMutableBufferPointer<CountAmount>, _ extra: UnsafePointer<admission_count>?,
    _ count: Int, _ owner: ExtraOwner
) throws(Refusal) -> Int {
    guard count > 0 else { return 0 }
    guard let extra else { throw .null("extra") }
    let size = extra.pointee.struct_size
    guard isStructSize(size, ADMISSION_COUNT_SIZE_1), size % 8 == 0 else {
        throw Refusal(ADMISSION_E_INVALID_STRUCT_SIZE, "extra[0].struct_size is \(size)")
    }
    var filled = 0
    for index in 0..<count {
        let element = (UnsafeRawPointer(extra) + index * Int(size))
            .assumingMemoryBound(to: admission_count.self)
        let value = element.pointee.value
        guard element.pointee.struct_size == size else {
            throw Refusal(
                ADMISSION_E_INVALID_STRUCT_SIZE,
                "extra[\(index)].struct_size is \(element.pointee.struct_size), extra[0]'s \(size)")
        }
        guard element.pointee.reserved == 0 else {
            throw Refusal(ADMISSION_E_INVALID_ARGUMENT, "extra[\(index)].reserved is not 0")
        }
        switch owner {
        case .cost where value < 0:
            throw Refusal(
                ADMISSION_E_NEGATIVE_COST, "extra[\(index)].value is \(value), a cost is 0 or more")
        case .usage where value < -1:
            throw Refusal(
                ADMISSION_E_NEGATIVE_USAGE,
                "extra[\(index)].value is \(value), a usage is 0 or more, or -1 for as charged")
        default: break
        }
        let name = try CountNames.count(element.pointee.name)
        // As charged is what a count that is left out is.
        if value < 0 { continue }
        guard !amounts[..<filled].contains(where: { $0.count == name }) else {
            throw Refusal(ADMISSION_E_INVALID_COUNT, "extra[\(index)] names a count again")
        }
        amounts.initializeElement(at: filled, to: CountAmount(name, value))
        filled += 1
    }
    return filled
}

@inline(never)
private func refusal(ofPriority priority: UnsafePointer<CChar>) -> Refusal? {
    do throws(Refusal) {
        _ = try text(
            priority, upTo: ADMISSION_MAX_COUNT_NAME_BYTES, tooLong: ADMISSION_E_INVALID_ARGUMENT,
            "cost.priority")
        return nil
    } catch {
        return error
    }
}
