/// What an answer says of a step's limit, read by functions that are inlined into callers, for which
/// the step itself is not laid open.
///
/// It is the step's address: each part is a load of its own, made where somebody looks at it. The
/// offsets are compared with `ChargeStep` by `checkLayout`.
@frozen
@usableFromInline
package struct StepFacts {
    @usableFromInline let step: UnsafeMutableRawPointer

    @inlinable @inline(__always)
    package init(of plan: ChargePlanReference, _ index: Int) {
        step = plan.address + (Self.stepsOffset &+ index &* Self.stepBytes)
    }

    @inlinable @inline(__always)
    package var capacity: Int64 { step.load(fromByteOffset: Self.capacityOffset, as: Int64.self) }
    @inlinable @inline(__always)
    package var countIndex: Int32 { step.load(fromByteOffset: Self.countOffset, as: Int32.self) }
    /// Interned, never freed.
    @inlinable @inline(__always)
    package var policyName: UnsafePointer<CChar>? {
        step.load(fromByteOffset: Self.policyOffset, as: UnsafePointer<CChar>?.self)
    }
    /// Interned, never freed.
    @inlinable @inline(__always)
    package var limitName: UnsafePointer<CChar>? {
        step.load(fromByteOffset: Self.limitOffset, as: UnsafePointer<CChar>?.self)
    }

    @inlinable @inline(__always)
    static var stepsOffset: Int { 128 }
    @inlinable @inline(__always)
    static var stepBytes: Int { 192 }
    @inlinable @inline(__always)
    static var capacityOffset: Int { 16 }
    @inlinable @inline(__always)
    static var countOffset: Int { 36 }
    @inlinable @inline(__always)
    static var policyOffset: Int { 120 }
    @inlinable @inline(__always)
    static var limitOffset: Int { 128 }
}

extension ChargePlanReference {
    /// `ChargePlan.core`, for the same functions.
    @inlinable @inline(__always)
    package var owner: UnsafeRawPointer { address.load(as: UnsafeRawPointer.self) }
}
