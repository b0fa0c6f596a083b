import Admission
import CAdmission
import Synchronization

/// What a limiter's handle stands for.
///
/// A closed limiter lives on while a gate of it is open or a permit of it has not ended. Whoever
/// changes the last of these three looks at the other two: the close marks the handle, runs the
/// barrier of ``InFlight`` and looks; the end of a permit or a gate comes before the look at the
/// mark. So at least one of them sees all three and ends the handle; the swap in `HandleTable.end`
/// lets exactly one do it. A gate that was closed under a caller ends when its entry is freed, which
/// the next opening or closing does (``InFlight/releaseRetired()``).
final class LimiterEntry: Sendable {
    let limiter: Limiter
    /// Gates whose entry exists, calls that are about to make one included.
    private let openGates = Atomic<Int>(0)
    /// Set once, right after the handle was made and before anyone knows it.
    private let handle = Atomic<UInt>(0)

    init(_ limiter: Limiter) { self.limiter = limiter }

    /// Opens a handle for the entry, nil where the table is full.
    static func open(_ limiter: Limiter) -> UInt? {
        let entry = LimiterEntry(limiter)
        let direct = AtOnce.address(of: limiter)
        guard let handle = HandleTable.open(entry, .limiter, direct: direct) else { return nil }
        entry.handle.store(handle, ordering: .releasing)
        return handle
    }

    func gateBegan() { openGates.add(1, ordering: .sequentiallyConsistent) }

    func gateEnded() {
        openGates.subtract(1, ordering: .sequentiallyConsistent)
        endIfUnused()
    }

    /// Ends the handle when the limiter was closed and nothing of it is open.
    func endIfUnused() {
        // Between the caller's own end and its look at the others': of two that end their permits
        // at once, one sees both.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard openGates.load(ordering: .sequentiallyConsistent) == 0, limiter.openPermitCount == 0
        else { return }
        HandleTable.end(handle.load(ordering: .acquiring), .limiter, wasClosed: true)
    }
}

/// What a gate's handle stands for. It is freed when its handle was closed and its last call has
/// left, which is when it no longer counts as open.
final class GateEntry: Sendable {
    let gate: Gate
    private let owner: LimiterEntry

    init(_ gate: Gate, of owner: LimiterEntry) {
        self.gate = gate
        self.owner = owner
        owner.gateBegan()
    }

    deinit { owner.gateEnded() }
}

// MARK: - Handles as C passes them

@inline(__always)
func handle(_ pointer: OpaquePointer?) -> UInt { UInt(bitPattern: pointer) }

/// A number as the pointer that C takes for a handle.
func pointer(_ handle: UInt) -> OpaquePointer? { OpaquePointer(bitPattern: handle) }

@inline(never)
func failHandle(_ handle: UInt, _ kind: StaticString) -> Int32 {
    if handle == 0 { return fail(ADMISSION_E_INVALID_ARGUMENT, "\(kind) is NULL") }
    let digits = String(handle, radix: 16)
    return fail(
        ADMISSION_E_INVALID_HANDLE, "0x\(digits) is no open \(kind): closed before, or never one")
}

/// Runs the body on an open limiter; a closed one that lives on is `closed`.
@inline(__always)
func withLimiter(_ limiter: OpaquePointer?, _ body: (LimiterEntry) -> Int32) -> Int32 {
    let handle = handle(limiter)
    guard let use = HandleTable.begin(handle, .limiter, LimiterEntry.self) else {
        return failHandle(handle, "limiter")
    }
    defer { use.end() }
    guard !use.isClosed else { return failClosed() }
    return use.object._withUnsafeGuaranteedRef { body($0) }
}

@inline(never)
func failClosed() -> Int32 {
    fail(ADMISSION_E_CLOSED, "the limiter was closed and takes no new work")
}
