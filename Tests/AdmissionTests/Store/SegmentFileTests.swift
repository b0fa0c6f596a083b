import Foundation
import Glibc
import Testing

@testable import Admission

/// Opening, making and giving up the file behind a segment.
@Suite struct SegmentFileTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func request(
        capacity: Int = 1_000, _ clock: SegmentClockKind = .system
    ) -> SegmentFileRequest {
        SegmentFileRequest(path: scratch.file(), keyCapacity: capacity, clockKind: clock)
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: scratch.file()))
        try handle.seek(toOffset: UInt64(offset))
        handle.write(Data(bytes))
        try handle.close()
    }

    private func fault(_ request: SegmentFileRequest? = nil) -> StoreError? {
        do throws(StoreError) {
            _ = try Segment.open(request ?? self.request())
            return nil
        } catch {
            return error
        }
    }

    @Test("a file that is opened again has the capacity and the words it was made with")
    func reopen() throws {
        let made = try Segment.open(request(capacity: 77))
        made.retries.store(41)
        let again = try Segment.open(request(capacity: 5_000))
        #expect(again.keyCapacity == 77)
        #expect(again.retries.load() == 41)
        again.retries.increment()
        #expect(made.retries.load() == 42)
        #expect(again.steadyOffset == made.steadyOffset)
    }

    @Test("a new file is its owner's alone, whatever the umask")
    func mode() throws {
        let before = umask(0)
        defer { umask(before) }
        _ = try Segment.open(request())
        var status = stat()
        #expect(stat(scratch.file(), &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["quota"])
    }

    @Test("a group that is named may read and write, and no one else")
    func group() throws {
        var request = request()
        request.group = "\(getgid())"
        _ = try Segment.open(request)
        var status = stat()
        #expect(stat(scratch.file(), &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o660)
        #expect(status.st_gid == getgid())
        request.path = scratch.file("other")
        request.group = "no-such-group-anywhere"
        guard case .invalidURL = fault(request) else {
            Issue.record("the group does not exist")
            return
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["quota"])
    }

    @Test("sixteen threads that make the file at once end up with one")
    func race() throws {
        let request = self.request()
        let segments = ForkableLock<[Segment]>([], rank: .notes)
        DispatchQueue.concurrentPerform(iterations: 16) { _ in
            guard let segment = try? Segment.open(request) else { return }
            segment.word(Segment.Header.manualSteady).increment()
            segments.withLock { $0.append(segment) }
        }
        let opened = segments.withLock { $0 }
        #expect(opened.count == 16)
        for segment in opened {
            #expect(segment.word(Segment.Header.manualSteady).load() == 16)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["quota"])
    }

    @Test("what is not a segment is named so and left as it is")
    func foreign() throws {
        for text in ["", "x", String(repeating: "not a segment ", count: 50_000)] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: scratch.file()))
            guard case .foreign = fault() else {
                Issue.record("\(text.count) bytes")
                continue
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.file())) == Data(text.utf8))
        }
        guard case .unavailable(_, _, EISDIR) = fault(SegmentFileRequest(path: scratch.path)) else {
            Issue.record("a directory")
            return
        }
        #expect(mkfifo(scratch.file("pipe"), 0o600) == 0)
        guard case .foreign = fault(SegmentFileRequest(path: scratch.file("pipe"))) else {
            Issue.record("a pipe")
            return
        }
    }

    @Test("another layout, a changed header and a short file are three different errors")
    func damaged() throws {
        _ = try Segment.open(request())
        let size = try #require(
            try FileManager.default.attributesOfItem(atPath: scratch.file())[.size] as? Int)
        try write([9], at: Segment.Header.layoutVersion)
        #expect(
            fault() == .wrongVersion(path: scratch.file(), found: 9, known: Segment.layoutVersion))
        try write([UInt8(Segment.layoutVersion)], at: Segment.Header.layoutVersion)
        #expect(fault() == nil)
        for offset in [Segment.Header.size, Segment.Header.keyCapacity, Segment.Header.checksum] {
            let handle = try #require(FileHandle(forReadingAtPath: scratch.file()))
            try handle.seek(toOffset: UInt64(offset))
            let byte = try #require(handle.readData(ofLength: 1).first)
            try write([byte ^ 1], at: offset)
            guard case .corrupted = fault() else {
                Issue.record("byte \(offset)")
                continue
            }
            try write([byte], at: offset)
        }
        #expect(fault() == nil)
        #expect(truncate(scratch.file(), off_t(size - 1)) == 0)
        #expect(
            fault()
                == .corrupted(
                    path: scratch.file(), what: "truncated: \(size - 1) of \(size) bytes"))
    }

    @Test("a file for one clock refuses the other")
    func clocks() throws {
        _ = try Segment.open(request(.manual))
        #expect(fault() == .clockMismatch(path: scratch.file(), isManual: true))
        try FileManager.default.removeItem(atPath: scratch.file())
        _ = try Segment.open(request())
        #expect(
            fault(request(.manual)) == .clockMismatch(path: scratch.file(), isManual: false))
    }

    @Test("a missing directory and a file that must be there are named with the system's reason")
    func missing() {
        let nowhere = SegmentFileRequest(path: scratch.file("no/such/quota"))
        #expect(
            fault(nowhere)
                == .unavailable(
                    path: nowhere.path, operation: "make a file in its directory", errno: ENOENT))
        var existing = request()
        existing.mustExist = true
        #expect(
            fault(existing)
                == .unavailable(
                    path: existing.path, operation: "open the file", errno: ENOENT))
    }

    @Test("space is reserved an extent at a time, before it is handed out")
    func extents() throws {
        let segment = try Segment.open(request(capacity: 1_000_000))
        func blocks() throws -> Int {
            var status = stat()
            #expect(stat(scratch.file(), &status) == 0)
            return Int(status.st_blocks) * 512
        }
        let before = try blocks()
        #expect(before < 2 << 20)
        _ = try segment.bump(4_096)
        #expect(Int(segment.word(Segment.Header.reserved).load()) == segment.arenaStart + 1 << 20)
        #expect(try blocks() - before <= 1 << 20)
        _ = try segment.bump(2 << 20)
        #expect(Int(segment.word(Segment.Header.reserved).load()) == segment.arenaStart + 3 << 20)
        try segment.reserveIndex(bucket: 131_072)
        #expect(segment.word(Segment.Header.indexReserved).load() == 2)
    }

    @Test("a file that was deleted, replaced or cut is found out, and given up for everybody")
    func replaced() throws {
        let segment = try Segment.open(request())
        let neighbour = try Segment.open(request())
        #expect(segment.checkFile())
        #expect(rename(scratch.file(), scratch.file("moved")) == 0)
        let version = neighbour.loadVersion.load()
        #expect(!segment.checkFile())
        #expect(neighbour.isReplaced)
        #expect(neighbour.loadVersion.load() > version)
        #expect(fault(SegmentFileRequest(path: scratch.file("moved"))) == nil)
        let other = try Segment.open(request())
        #expect(!other.isReplaced)
        #expect(!segment.checkFile())
    }
}

/// A file whose path leads elsewhere for one process alone.
@Suite struct SegmentPlaceTests {
    @Test("a process that changes its working directory does not take its file for deleted")
    func workingDirectory() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file()
        // In a child, since the directory is the whole process's.
        let child = ForkedChild {
            guard chdir(scratch.path) == 0,
                let segment = try? Segment.open(SegmentFileRequest(path: "quota", keyCapacity: 10)),
                chdir("/") == 0
            else { return false }
            return segment.checkFile() && !segment.isReplaced
        }
        #expect(child.isReady())
        child.kill()
        #expect(!(try Segment.open(SegmentFileRequest(path: path))).isReplaced)
    }

    @Test("a file that was moved away and back can be opened again")
    func movedBack() throws {
        let scratch = try ScratchDirectory()
        let request = SegmentFileRequest(path: scratch.file(), keyCapacity: 10)
        let segment = try Segment.open(request)
        #expect(rename(scratch.file(), scratch.file("away")) == 0)
        #expect(!segment.checkFile())
        #expect(rename(scratch.file("away"), scratch.file()) == 0)
        let again = try Segment.open(request)
        #expect(again.checkFile() && !again.isReplaced)
        #expect(!segment.checkFile(), "it was given up")
    }
}

/// Steady time of a file over boots.
@Suite struct SegmentClockTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func open(_ system: SystemFacts) throws -> Segment {
        try Segment.open(SegmentFileRequest(path: scratch.file(), keyCapacity: 10), system: system)
    }

    /// A host of which the clocks stand still.
    private func host(
        boot: UInt64, monotonic: Int64, wall: Int64, timeNamespace: UInt64 = 7
    ) -> SystemFacts {
        var facts = SystemFacts()
        facts.standIn.bootIdentity = boot
        facts.standIn.timeNamespace = timeNamespace
        facts.standIn.monotonicNanoseconds = monotonic
        facts.standIn.wallNanoseconds = wall
        return facts
    }

    /// What a process of the host stamps at steady `steady`.
    private func stamp(_ segment: Segment, steady: Int64, wall: Int64) {
        segment.word(Segment.Header.stampSteady).raise(UInt64(bitPattern: steady))
        segment.word(Segment.Header.stampWallOffset).store(UInt64(bitPattern: wall - steady))
    }

    @Test("after a reboot steady time goes on by what the wall clock advanced")
    func reboot() throws {
        let first = try open(host(boot: 1, monotonic: 5_000, wall: 1_000_000))
        #expect(first.steadyOffset == 0)
        stamp(first, steady: 9_000, wall: 1_004_000)
        let second = try open(host(boot: 2, monotonic: 100, wall: 1_050_000))
        #expect(second.steadyOffset + 100 == 55_000)
        #expect(try open(host(boot: 2, monotonic: 900, wall: 9)).steadyOffset == 54_900)
        stamp(second, steady: 60_000, wall: 1_055_000)
        let third = try open(host(boot: 3, monotonic: 1, wall: 1_055_001))
        #expect(third.steadyOffset + 1 == 60_001)
    }

    @Test("a wall clock that was behind after a reboot never takes steady time back")
    func backwards() throws {
        let first = try open(host(boot: 1, monotonic: 5_000, wall: 1_000_000))
        stamp(first, steady: 9_000, wall: 1_004_000)
        let second = try open(host(boot: 2, monotonic: 100, wall: 3))
        #expect(second.steadyOffset + 100 == 9_000)
    }

    @Test("where the boot has no identity a clock that went back tells of a reboot")
    func namelessBoot() throws {
        let first = try open(host(boot: 0, monotonic: 9_000_000_000, wall: 10_000_000_000))
        stamp(first, steady: 9_000_000_000, wall: 10_000_000_000)
        let same = try open(host(boot: 0, monotonic: 9_500_000_000, wall: 0))
        #expect(same.steadyOffset == 0)
        let next = try open(host(boot: 0, monotonic: 1_000, wall: 11_000_000_000))
        #expect(next.steadyOffset + 1_000 == 10_000_000_000)
    }

    @Test("a process of another time namespace is refused, but not after a reboot")
    func timeNamespace() throws {
        _ = try open(host(boot: 1, monotonic: 1, wall: 1))
        #expect(
            throws: StoreError.otherTimeNamespace(path: scratch.file(), found: 7, own: 8)
        ) { try open(host(boot: 1, monotonic: 1, wall: 1, timeNamespace: 8)) }
        _ = try open(host(boot: 1, monotonic: 1, wall: 1, timeNamespace: 0))
        _ = try open(host(boot: 2, monotonic: 1, wall: 1, timeNamespace: 8))
    }

    @Test(
        "stamps and records that no process writes are found corrupted",
        arguments: [
            (offset: Segment.Header.clockRecord, value: UInt64.max),
            (offset: Segment.Header.clockRecord, value: UInt64(3)),
            (offset: Segment.Header.clockRecord, value: UInt64(1) << 59),
            (offset: Segment.Header.stampSteady, value: UInt64.max),
            (offset: Segment.Header.stampSteady, value: UInt64(1) << 62),
            (offset: Segment.Header.stampWallOffset, value: UInt64(1) << 63),
        ] as [(offset: Int, value: UInt64)])
    func garbage(_ offset: Int, _ value: UInt64) throws {
        let segment = try open(host(boot: 1, monotonic: 5, wall: 10))
        segment.word(offset).store(value)
        #expect(throws: StoreError.self) { try open(host(boot: 2, monotonic: 5, wall: 10)) }
    }

    @Test("two processes that meet a reboot at once agree on one offset")
    func racingReboot() throws {
        let first = try open(host(boot: 1, monotonic: 5_000, wall: 1_000_000))
        stamp(first, steady: 9_000, wall: 1_004_000)
        let offsets = ForkableLock<Set<Int64>>([], rank: .notes)
        DispatchQueue.concurrentPerform(iterations: 8) { index in
            let facts = host(boot: 2, monotonic: Int64(100 + index), wall: 1_050_000)
            guard let segment = try? open(facts) else { return }
            offsets.withLock { _ = $0.insert(segment.steadyOffset) }
        }
        #expect(offsets.withLock { $0.count } == 1)
    }

    @Test("file systems of the network are refused by name, unknown ones pass with a remark")
    func fileSystems() throws {
        var facts = SystemFacts()
        facts.standIn.fileSystemType = 0x6969
        #expect(throws: StoreError.networkFileSystem(path: scratch.file(), name: "NFS")) {
            try open(facts)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == [])
        facts.standIn.fileSystemType = 0x9123_683e
        #expect(try open(facts).file?.unprovenFileSystem == "btrfs")
        facts.standIn.fileSystemType = 0xef53
        #expect(try open(facts).file?.unprovenFileSystem == nil)
    }
}

/// The URLs of stores.
@Suite struct StoreURLTests {
    @Test(
        "a URL says where counters live",
        arguments: [
            ("memory:", StoreURL.memory),
            ("file:/var/lib/app/quota", .file(path: "/var/lib/app/quota", group: nil)),
            ("file:///var/lib/quota", .file(path: "/var/lib/quota", group: nil)),
            ("file://localhost/q", .file(path: "/q", group: nil)),
            ("file:quota", .file(path: "quota", group: nil)),
            ("file:/a%20b%2Fc?group=www%2Ddata", .file(path: "/a b/c", group: "www-data")),
            ("redis://localhost", .other), ("", .other), ("memory", .other),
        ])
    func good(_ text: String, _ url: StoreURL) throws {
        #expect(try StoreURL(text) == url)
    }

    @Test(
        "a URL that cannot be understood is an error with the reason",
        arguments: [
            "file:", "file:///", "file://host/quota", "file:/a%2", "file:/a%zz", "file:/a%ff",
            "file:/a%00b", "file:/a?", "file:/a?mode=600", "file:/a?group=",
            "file:/a?group=a&group=b",
            "file:/dir/",
        ])
    func bad(_ text: String) {
        if text == "file:/a?" {
            #expect(throws: Never.self) { try StoreURL(text) }
            return
        }
        #expect(throws: StoreError.self) { try StoreURL(text) }
    }
}
