import Glibc

/// Where a store's plans lie: apart from the heap, so that the gates' own objects stand close
/// together there.
///
/// A decision on one of very many gates reads the gate's object and the key's record and nothing
/// of the plan. With the plan between one gate's object and the next, each object would have a
/// page of its own address translation; on a million gates that costs more than the work.
///
/// A slab allocator after Bonwick (1994), "The slab allocator: an object-caching kernel memory
/// allocator": each chunk serves plans of one size, and goes back to the system when its last one
/// is freed. Plans of more than `largest` bytes come from the heap.
///
/// Lock: rank `plans`; nothing else is done under it. Threads: any. O(1).
final class PlanMemory: Sendable {
    private struct State {
        /// By size in lines: the first of the chunks that have room, linked both ways; 0: none.
        var rooms = [UInt](repeating: 0, count: PlanMemory.largest / PlanMemory.line + 1)
        var chunks = 0
    }

    private let state = ForkableLock(State(), rank: .plans)

    fileprivate static let line = 64
    private static let largest = 4_096
    /// Of a chunk, which lies at a multiple of it. Untouched pages take no memory.
    fileprivate static let chunkBytes = 1 << 20

    deinit {
        state.withLock { state in
            // Every plan is freed before: what is left are the last empty chunks of each size.
            for bits in state.rooms {
                var chunk = PlanChunk(bits)
                while let known = chunk {
                    chunk = PlanChunk(known.header.pointee.next)
                    known.unmap()
                }
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
        let emptied = state.withLock { Self.give(address, to: &$0) }
        emptied?.unmap()
    }

    /// Bytes mapped for plans of up to `largest` bytes.
    var mappedBytes: Int { state.withLock { $0.chunks } * Self.chunkBytes }

    private static func lines(_ bytes: Int) -> Int { (max(1, bytes) + line - 1) / line }

    private static func take(_ lines: Int, from state: inout State) -> UnsafeMutableRawPointer? {
        if state.rooms[lines] == 0 {
            guard let made = PlanChunk(lines: lines) else { return nil }
            state.rooms[lines] = made.bits
            state.chunks += 1
        }
        guard let chunk = PlanChunk(state.rooms[lines]) else { return nil }
        let address = chunk.take()
        if chunk.isFull { chunk.unlink(from: &state.rooms[lines]) }
        return address
    }

    /// - Returns: a chunk that nothing is left of, unlinked; one empty chunk of each size is kept.
    private static func give(
        _ address: UnsafeMutableRawPointer, to state: inout State
    ) -> PlanChunk? {
        guard let chunk = PlanChunk(UInt(bitPattern: address) & ~UInt(chunkBytes - 1)) else {
            return nil
        }
        let lines = chunk.header.pointee.lines
        if chunk.isFull { chunk.link(into: &state.rooms[lines]) }
        chunk.give(address)
        let isOnlyOne = state.rooms[lines] == chunk.bits && chunk.header.pointee.next == 0
        guard chunk.header.pointee.live == 0, !isOnlyOne else { return nil }
        chunk.unlink(from: &state.rooms[lines])
        state.chunks -= 1
        return chunk
    }
}

/// A chunk of memory for plans of one size: a header, then the plans.
private struct PlanChunk {
    struct Header {
        /// Addresses of the neighbours in the list of chunks with room; 0 at its ends.
        var next: UInt
        var previous: UInt
        /// First freed plan, whose first word leads to the next; 0: none.
        var free: UInt
        /// Space that was never given out begins here.
        var untouched: UInt
        /// Plans given out and not taken back.
        var live: Int
        /// Of each plan.
        var lines: Int
    }

    let header: UnsafeMutablePointer<Header>

    /// The chunk at an address; nil for 0.
    init?(_ bits: UInt) {
        guard let header = UnsafeMutablePointer<Header>(bitPattern: bits) else { return nil }
        self.header = header
    }

    /// Maps a chunk at a multiple of its size: twice as much, and the ends go back.
    init?(lines: Int) {
        let bytes = PlanMemory.chunkBytes
        let mapped = mmap(
            nil, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        let start = UInt(bitPattern: mapped)
        let aligned = (start + UInt(bytes) - 1) & ~UInt(bytes - 1)
        if aligned > start { munmap(mapped, Int(aligned - start)) }
        let end = aligned + UInt(bytes)
        if start + UInt(2 * bytes) > end {
            munmap(UnsafeMutableRawPointer(bitPattern: end), Int(start + UInt(2 * bytes) - end))
        }
        self.init(aligned)
        header.initialize(
            to: Header(
                next: 0, previous: 0, free: 0, untouched: aligned + UInt(PlanMemory.line), live: 0,
                lines: lines))
    }

    var bits: UInt { UInt(bitPattern: header) }

    private var bytesEach: UInt { UInt(header.pointee.lines * PlanMemory.line) }

    var isFull: Bool {
        header.pointee.free == 0
            && header.pointee.untouched + bytesEach > bits + UInt(PlanMemory.chunkBytes)
    }

    /// Gives a plan's memory out. The chunk is not full.
    func take() -> UnsafeMutableRawPointer? {
        header.pointee.live += 1
        if let known = UnsafeMutableRawPointer(bitPattern: header.pointee.free) {
            header.pointee.free = known.load(as: UInt.self)
            return known
        }
        defer { header.pointee.untouched += bytesEach }
        return UnsafeMutableRawPointer(bitPattern: header.pointee.untouched)
    }

    func give(_ address: UnsafeMutableRawPointer) {
        address.storeBytes(of: header.pointee.free, as: UInt.self)
        header.pointee.free = UInt(bitPattern: address)
        header.pointee.live -= 1
    }

    func link(into first: inout UInt) {
        header.pointee.next = first
        header.pointee.previous = 0
        PlanChunk(first)?.header.pointee.previous = bits
        first = bits
    }

    func unlink(from first: inout UInt) {
        let (next, previous) = (header.pointee.next, header.pointee.previous)
        PlanChunk(next)?.header.pointee.previous = previous
        if let before = PlanChunk(previous) {
            before.header.pointee.next = next
        } else {
            first = next
        }
    }

    func unmap() { munmap(header, PlanMemory.chunkBytes) }
}
