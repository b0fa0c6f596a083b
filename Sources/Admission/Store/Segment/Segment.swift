import Glibc
import Synchronization

/// The memory that all counters live in: one mapping, laid out so that processes can share it.
///
/// ```
/// 0        header: magic, layout version, sizes, words below; events, lease owners
/// 288 KiB  index: one word a bucket, head of a chain of key records
/// …        arena: key records, slot blocks and definitions, 16-byte aligned, from one bump word
///          and from free lists by kind and size
/// ```
///
/// Every shared word changes by compare-and-swap or is written before its record is published.
/// There is no lock in it: a process that dies at any instruction leaves a segment that others go
/// on using. Offsets, never addresses, are stored; an offset counts units of 16 bytes.
///
/// Owner: the store that created it; unmapped when the last reference goes. Threads: any.
package final class Segment: @unchecked Sendable {
    // Unchecked: the mapping's address is constant and everything shared in it is atomic.
    package let base: UnsafeMutableRawPointer
    /// Bytes mapped.
    package let size: Int
    /// Keys that may live at once.
    package let keyCapacity: Int
    /// Number of index words minus one; the number is a power of two.
    let indexMask: UInt64

    /// First bytes of a segment.
    package static let magic: UInt64 = 0x3147_4553_4d44_4101
    /// Raised with every incompatible change of what this file and its neighbours lay out.
    package static let layoutVersion: UInt64 = 2

    /// Where the header's words lie, in bytes.
    enum Header {
        // Written once, before the segment can be found; `checksum` is that of the ones before it.
        static let magic = 0
        static let layoutVersion = 8
        static let size = 16
        static let keyCapacity = 24
        /// `SegmentClockKind`.
        static let clockKind = 32
        /// Unix nanoseconds.
        static let createdAt = 40
        static let checksum = 48

        /// Bytes of the arena handed out so far; only grows.
        static let allocated = 64
        /// End of the arena's space that the file system has promised; only grows.
        static let reserved = 72
        /// Keys published and not yet unlinked.
        static let keyCount = 128
        /// Head of the list of definitions, as a record offset.
        static let definitions = 136
        /// 0 while the segment is the one that its path names; else `SegmentState`.
        static let state = 144
        /// Raised by every load that changes something; each decision compares it.
        static let loadVersion = 192
        // 200 held the hash of the document loaded last: see `document`.
        /// Documents loaded.
        static let loads = 208
        /// Swaps that met another writer.
        static let retries = 256
        /// Decisions that gave back what they had taken.
        static let rollbacks = 264
        /// Turns and retirements that one caller found begun by another and finished.
        static let turnsHelped = 272
        /// Leases of dead owners that were freed.
        static let reclaimedLeases = 280
        /// Where the search for a free owner begins.
        static let ownerHint = 288
        /// Steady nanoseconds at which the owners were last looked at.
        static let ownersSeenAt = 296
        /// The longest lease that any load has brought, in nanoseconds; only grows.
        static let longestLease = 304
        /// Events written so far.
        static let eventCount = 312
        /// The record of steady time in this boot, see `SegmentClock`.
        static let clockRecord = 320
        /// The latest steady instant that a process has seen, at most a second old; only grows.
        static let stampSteady = 328
        /// Wall minus steady nanoseconds at about that instant.
        static let stampWallOffset = 336
        /// Both times of a segment that was created manual.
        static let manualSteady = 344
        static let manualWallOffset = 352
        /// Which megabytes of the index are reserved: 512 bytes of bits.
        static let indexReserved = 512
        /// Free lists: kinds x size classes.
        static let freeLists = 1_024
        /// Which parts of the index ever held a key: 4 KiB of bits.
        static let touched = 12_288
        /// The newest events: 64 of 256 bytes.
        static let events = 16_384
        /// Lease owners: 4,096 of 64 bytes; number 0 is nobody.
        static let owners = 32_768
        static let bytes = 294_912
    }

    /// Size classes of a kind: multiples of 16 bytes up to 2 KiB, then powers of two.
    static let sizeClasses = 160

    let arenaStart: Int
    /// The file behind it; nil for memory.
    let file: SegmentFile?
    /// Added to the process's steady clock; 0 in memory.
    package private(set) var steadyOffset: Int64 = 0
    /// This process has found the file cut, deleted or replaced: no word of it is touched again.
    let isGone = Atomic<Bool>(false)
    /// It was cut, and there was no memory for zeros in its place that can be written.
    let isUncovered = Atomic<Bool>(false)
    /// What this process knows of the lease owners.
    package let watch = OwnerWatch()

    /// Maps a segment of its own: shared with children forked from now on, gone with the last.
    ///
    /// Untouched capacity costs nothing: pages come into being when they are first used.
    ///
    /// - Parameter keyCapacity: keys that may live at once, 1 … 2^26.
    /// - Throws: `StoreError.outOfMemory`.
    package init(
        anonymousWithKeyCapacity keyCapacity: Int, clockKind: SegmentClockKind = .system,
        startUnixNanoseconds: Int64 = 0
    ) throws(StoreError) {
        let sizes = SegmentSizes(keyCapacity: keyCapacity)
        let flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE
        let mapped = mmap(nil, sizes.total, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let mapped, mapped != MAP_FAILED else {
            throw .outOfMemory(bytes: sizes.total, errno: errno)
        }
        base = mapped
        file = nil
        size = sizes.total
        self.keyCapacity = sizes.keyCapacity
        indexMask = UInt64(sizes.buckets - 1)
        arenaStart = sizes.arenaStart
        Self.writeHeader(
            base, sizes, clockKind: clockKind, startUnixNanoseconds: startUnixNanoseconds,
            reserved: sizes.total)
    }

    /// A mapped file whose header was found good.
    init(file: SegmentFile, base: UnsafeMutableRawPointer, sizes: SegmentSizes) {
        self.base = base
        self.file = file
        size = sizes.total
        keyCapacity = sizes.keyCapacity
        indexMask = UInt64(sizes.buckets - 1)
        arenaStart = sizes.arenaStart
    }

    /// Finds steady time's offset in this boot. Before the segment is used.
    func adoptClock(_ system: SystemFacts) throws(StoreError) {
        steadyOffset = try SegmentClock.offset(of: self, system: system)
    }

    /// The same where nothing may be written.
    func readClock(_ system: SystemFacts) throws(StoreError) {
        steadyOffset = try SegmentClock.offsetInForce(of: self, system: system)
    }

    /// Writes the first words of a segment that nobody else has seen.
    static func writeHeader(
        _ base: UnsafeMutableRawPointer, _ sizes: SegmentSizes, clockKind: SegmentClockKind,
        startUnixNanoseconds: Int64, reserved: Int
    ) {
        func word(_ offset: Int) -> SharedWord { SharedWord(base, at: offset) }
        word(Header.layoutVersion).store(layoutVersion)
        word(Header.size).store(UInt64(sizes.total))
        word(Header.keyCapacity).store(UInt64(sizes.keyCapacity))
        word(Header.clockKind).store(clockKind.rawValue)
        word(Header.createdAt).store(UInt64(bitPattern: KernelClock.wallNanoseconds()))
        word(Header.allocated).store(UInt64(sizes.arenaStart))
        word(Header.reserved).store(UInt64(reserved))
        word(Header.loadVersion).store(1)
        word(Header.manualWallOffset).store(UInt64(bitPattern: startUnixNanoseconds))
        word(Header.magic).store(magic)
        let constants = UnsafeRawBufferPointer(start: base, count: Header.checksum)
        word(Header.checksum).store(FNV.hash(constants))
    }

    deinit {
        #if ADMISSION_CRASH_POINTS
            CrashPoint.forget(base)
        #endif
        munmap(base, size)
    }

    /// The word that lies `offset` bytes into the segment.
    @inline(__always)
    package func word(_ offset: Int) -> SharedWord { SharedWord(base, at: offset) }

    /// The word that every load of a document raises.
    package var loadVersion: SharedWord { word(Header.loadVersion) }
    /// Counts for the snapshot.
    package var retries: SharedWord { word(Header.retries) }
    package var rollbacks: SharedWord { word(Header.rollbacks) }
    package var turnsHelped: SharedWord { word(Header.turnsHelped) }

    /// Keys that live now. A key may be removed before its maker has counted it, so the word may be
    /// below 0 for a moment.
    package var keyCount: Int { max(0, Int(bitPattern: UInt(word(Header.keyCount).load()))) }
}

/// The kind of a limit as segments store it.
package enum LimitKindCode: UInt8, Sendable {
    case bucket = 0
    case rolling = 1
    case calendar = 2
    case concurrency = 3
    /// Slot blocks of a concurrency limit; a kind of space, not of limit.
    case slots = 4
    /// Parameters of a limit; a kind of space too.
    case parameters = 5
}
