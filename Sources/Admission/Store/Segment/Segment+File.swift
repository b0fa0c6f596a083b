import Glibc

/// How large the parts of a segment are, which follows from its capacity alone.
struct SegmentSizes {
    let keyCapacity: Int
    /// Index words, a power of two.
    let buckets: Int
    let arenaStart: Int
    let total: Int

    init(keyCapacity wanted: Int) {
        keyCapacity = min(max(1, wanted), 1 << 26)
        var buckets = 64
        while buckets < keyCapacity { buckets *= 2 }
        self.buckets = buckets
        arenaStart = Segment.Header.bytes + buckets * 8
        total = arenaStart + min(max(64 << 20, keyCapacity * 1_024), 48 << 30)
    }
}

/// Segments in files.
extension Segment {
    /// Where the file lies; nil for memory.
    package var path: String? { file?.path }

    /// The name of its file system where nobody has tried stores on such.
    package var unprovenFileSystem: String? { file?.unprovenFileSystem }

    /// Whether other processes than forked children may use it.
    package var isShared: Bool { file != nil }

    package var clockKind: SegmentClockKind {
        SegmentClockKind(rawValue: word(Header.clockKind).load()) ?? .system
    }

    /// Steady time and wall minus steady nanoseconds of a manual clock.
    package var manualClock: (steady: SharedWord, wallOffset: SharedWord) {
        (word(Header.manualSteady), word(Header.manualWallOffset))
    }

    /// Opens the segment in a file, made where it is new.
    ///
    /// Any number of processes may do so at a time: they end up with one. The file's own capacity
    /// counts where it exists.
    ///
    /// - Throws: `StoreError`: `unavailable`, `notPermitted`, `foreign`, `wrongVersion`,
    ///   `corrupted`, `diskFull`, `networkFileSystem`, `otherTimeNamespace`, `clockMismatch`,
    ///   `outOfMemory`, `invalidURL` for an unknown group.
    /// - Complexity: O(1); a dozen system calls.
    package static func open(
        _ request: SegmentFileRequest, system: SystemFacts = SystemFacts()
    ) throws(StoreError) -> Segment {
        guard !request.path.isEmpty, !request.path.utf8.contains(0) else {
            throw .invalidURL(url: "file:\(request.path)", reason: "it names no file")
        }
        // Each further round means that somebody else made or deleted the file in between.
        for _ in 0..<1_000 {
            if let file = try SegmentFile.open(request.path, system: system) {
                return try attach(file, request, system)
            }
            guard !request.mustExist else {
                throw .unavailable(
                    path: request.path, operation: "open the file", errno: ENOENT)
            }
            if let made = try create(request, system) { return made }
        }
        throw .unavailable(path: request.path, operation: "open the file", errno: EAGAIN)
    }

    /// Opens the segment in a file to look at it: nothing is written, on either clock, and one that
    /// was given up may be looked at too. Whoever may read the file may do so.
    ///
    /// - Throws: as `open`, but for `clockMismatch` and `replaced`.
    /// - Complexity: O(1); half a dozen system calls.
    package static func openReadOnly(
        _ path: String, system: SystemFacts = SystemFacts()
    ) throws(StoreError) -> Segment {
        guard let file = try SegmentFile.open(path, isReadOnly: true, system: system) else {
            throw .unavailable(path: path, operation: "open the file", errno: ENOENT)
        }
        let sizes = try checkedSizes(file)
        let base = try file.map(sizes.total, isReadOnly: true)
        let segment = Segment(file: file, base: base, sizes: sizes)
        try segment.checkManualClock()
        if segment.clockKind == .system { try segment.readClock(system) }
        return segment
    }

    private static func create(
        _ request: SegmentFileRequest, _ system: SystemFacts
    ) throws(StoreError) -> Segment? {
        let sizes = SegmentSizes(keyCapacity: request.keyCapacity)
        var made: Segment?
        let file = try SegmentFile.create(request, system: system, size: sizes.total) {
            (file) throws(StoreError) in
            let base = try file.map(sizes.total)
            writeHeader(
                base, sizes, clockKind: request.clockKind,
                startUnixNanoseconds: request.startUnixNanoseconds, reserved: sizes.arenaStart)
            let segment = Segment(file: file, base: base, sizes: sizes)
            if request.clockKind == .system { try segment.adoptClock(system) }
            made = segment
        }
        return file == nil ? nil : made
    }

    private static func attach(
        _ file: SegmentFile, _ request: SegmentFileRequest, _ system: SystemFacts
    ) throws(StoreError) -> Segment {
        let sizes = try checkedSizes(file)
        let segment = Segment(file: file, base: try file.map(sizes.total), sizes: sizes)
        guard segment.clockKind == request.clockKind else {
            throw .clockMismatch(path: file.path, isManual: segment.clockKind == .manual)
        }
        try segment.checkManualClock()
        // The path leads to it now, whatever somebody found before; who did has given it up by itself.
        _ = segment.word(Header.state).swap(1, 0)
        if request.clockKind == .system { try segment.adoptClock(system) }
        return segment
    }

    /// A manual clock stands where `advance` can have brought it.
    private func checkManualClock() throws(StoreError) {
        let steady = Int64(bitPattern: manualClock.steady.load())
        guard clockKind != .manual || (0..<SegmentClock.largest).contains(steady) else {
            throw corrupted("its manual clock stands at \(steady) ns")
        }
    }

    /// Reads a file's header without mapping it, and believes only what follows from its capacity.
    private static func checkedSizes(_ file: SegmentFile) throws(StoreError) -> SegmentSizes {
        let head = try file.head(Header.checksum + 8)
        let size = try file.size()
        guard head.count == Header.checksum / 8 + 1, head[Header.magic / 8] == magic else {
            let found = size == 0 ? "it is empty" : "\(size) bytes with other first bytes"
            throw .foreign(path: file.path, found: found)
        }
        let version = head[Header.layoutVersion / 8]
        guard version == layoutVersion else {
            throw .wrongVersion(path: file.path, found: version, known: layoutVersion)
        }
        let hash = head.withUnsafeBytes { bytes in
            FNV.hash(UnsafeRawBufferPointer(rebasing: bytes[..<Header.checksum]))
        }
        let capacity = head[Header.keyCapacity / 8]
        guard hash == head[Header.checksum / 8], (1...1 << 26).contains(capacity) else {
            throw .corrupted(path: file.path, what: "its header's checksum does not match")
        }
        let sizes = SegmentSizes(keyCapacity: Int(capacity))
        guard head[Header.size / 8] == UInt64(sizes.total),
            SegmentClockKind(rawValue: head[Header.clockKind / 8]) != nil
        else { throw .corrupted(path: file.path, what: "its header's sizes do not agree") }
        guard size >= sizes.total else {
            throw .corrupted(
                path: file.path, what: "truncated: \(size) of \(sizes.total) bytes")
        }
        return sizes
    }

    /// Has space promised up to `end` before anyone writes there. Lock-free; in memory it is.
    func reserve(through end: Int) throws(StoreError) {
        guard let file else { return }
        let reserved = word(Header.reserved)
        while true {
            let start = reserved.load()
            guard start < UInt64(end) else { return }
            guard start >= UInt64(arenaStart), start <= UInt64(size) else {
                throw corrupted("reserved up to \(start) of \(size) bytes")
            }
            let bytes = min(SegmentFile.extent, size - Int(start))
            try file.reserve(Int(start), bytes: bytes)
            _ = reserved.swap(start, start + UInt64(bytes))
        }
    }

    /// Has the megabyte of the index promised that a bucket's word lies in. Idempotent.
    func reserveIndex(bucket: Int) throws(StoreError) {
        guard let file else { return }
        let extent = bucket * 8 / SegmentFile.extent
        let bits = word(Header.indexReserved + extent / 64 * 8)
        let bit: UInt64 = 1 << UInt64(extent % 64)
        var seen = bits.load()
        guard seen & bit == 0 else { return }
        let start = Header.bytes + extent * SegmentFile.extent
        try file.reserve(start, bytes: min(SegmentFile.extent, arenaStart - start))
        while seen & bit == 0, !bits.swap(seen, seen | bit) { seen = bits.load() }
    }

    /// Looks whether the path still names this file, whole. Else the segment is given up: every
    /// decision of every process that has it mapped ends in `replaced`, since whoever opens the path
    /// anew counts from zero, and two files would make two quotas of one.
    ///
    /// - Returns: false when it was given up.
    package func checkFile() -> Bool {
        guard let file else { return true }
        if isGone.load(ordering: .acquiring) {
            if isUncovered.load(ordering: .relaxed) { coverWithZeros() }
            return false
        }
        // Before a word of it is touched: pages behind a new end are gone.
        switch file.place(size: size) {
        case .kept:
            if word(Header.state).load() == 0 { return true }
        case .replaced:
            if word(Header.state).swap(0, 1) { loadVersion.increment() }
        case .truncated:
            // Known before the zeros are there: a decision that meets them can tell what they are.
            isUncovered.store(true, ordering: .relaxed)
            isGone.store(true, ordering: .releasing)
            coverWithZeros()
        }
        isGone.store(true, ordering: .releasing)
        return false
    }

    /// Lays zeros over pages that nothing lies behind any more, since who touches one is ended: for
    /// whoever is in the middle of something or holds a plan or a permit. No plan is of version 0, and
    /// no record of a key that is meant.
    ///
    /// Where the system promises no memory for them (`vm.overcommit_memory` 2, `ulimit -d`), they are
    /// for reading alone, of which nothing is promised: who writes is ended still, until a later look
    /// finds memory.
    private func coverWithZeros() {
        let isCovered = coverWithZeros(PROT_READ | PROT_WRITE)
        if !isCovered { _ = coverWithZeros(PROT_READ) }
        isUncovered.store(!isCovered, ordering: .relaxed)
    }

    private func coverWithZeros(_ access: Int32) -> Bool {
        let flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        return mmap(base, size, access, flags, -1, 0) != MAP_FAILED
    }

    /// Whether the file behind it was given up.
    package var isReplaced: Bool {
        isGone.load(ordering: .relaxed) || word(Header.state).load() != 0
    }
}
