import Glibc

/// Where a store's plans lie: apart from the heap, so that the gates' own objects stand close
/// together there.
///
/// A decision on one of very many gates reads the gate's object and the key's record and nothing
/// of the plan. With the plan between one gate's object and the next, each object would have a
/// page of its own address translation; on a million gates that costs more than the work.
///
/// Space is cut from mapped chunks and goes back to a free list by size; chunks are unmapped with
/// the store. So many plans at once as there ever were keep their space until then. Plans of more
/// than `largest` bytes come from the heap.
///
/// Lock: rank `plans`; nothing else is done under it. Threads: any.
final class PlanMemory: Sendable {
    private struct State {
        /// First free plan of each size, in lines; its first word leads to the next. 0: none.
        var free = [UInt](repeating: 0, count: PlanMemory.largest / PlanMemory.line + 1)
        var chunks: [UInt] = []
        /// What is left of the newest chunk.
        var next: UInt = 0
        var end: UInt = 0
    }

    private let state = ForkableLock(State(), rank: .plans)

    private static let line = 64
    private static let largest = 4_096
    /// Untouched pages of a chunk take no memory.
    private static let chunkBytes = 1 << 20

    deinit {
        state.withLock { state in
            for chunk in state.chunks {
                munmap(UnsafeMutableRawPointer(bitPattern: chunk), Self.chunkBytes)
            }
        }
    }

    /// Zeroed memory, on a line of its own; nil when the system has none.
    func allocate(bytes: Int) -> UnsafeMutableRawPointer? {
        let lines = Self.lines(bytes)
        var address: UnsafeMutableRawPointer?
        if lines * Self.line > Self.largest {
            guard posix_memalign(&address, Self.line, bytes) == 0 else { return nil }
        } else {
            address = state.withLock { Self.take(lines, from: &$0) }
        }
        if let address { memset(address, 0, bytes) }
        return address
    }

    /// Takes back what `allocate` gave for as many bytes.
    func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
        let lines = Self.lines(bytes)
        if lines * Self.line > Self.largest { return Glibc.free(address) }
        state.withLock { state in
            address.storeBytes(of: state.free[lines], as: UInt.self)
            state.free[lines] = UInt(bitPattern: address)
        }
    }

    private static func lines(_ bytes: Int) -> Int { (max(1, bytes) + line - 1) / line }

    private static func take(_ lines: Int, from state: inout State) -> UnsafeMutableRawPointer? {
        if let known = UnsafeMutableRawPointer(bitPattern: state.free[lines]) {
            state.free[lines] = known.load(as: UInt.self)
            return known
        }
        let bytes = UInt(lines * line)
        if state.end - state.next < bytes {
            let chunk = mmap(
                nil, chunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            guard let chunk, chunk != MAP_FAILED else { return nil }
            state.next = UInt(bitPattern: chunk)
            state.end = state.next + UInt(chunkBytes)
            state.chunks.append(state.next)
        }
        defer { state.next += bytes }
        return UnsafeMutableRawPointer(bitPattern: state.next)
    }
}
