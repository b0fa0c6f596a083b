import Glibc
import Testing

@testable import Admission

/// A host program that closes every descriptor it has, whose numbers are then other files'.
@Suite struct LostDescriptorTests {
    /// A segment of which every descriptor is another file now.
    private final class Bench {
        let scratch: ScratchDirectory
        let elsewhere: ScratchDirectory
        var segment: Segment?
        let foreign: Int32
        private(set) var lost: [Int32] = []

        init() throws {
            (scratch, elsewhere) = (try ScratchDirectory(), try ScratchDirectory())
            segment = try Segment.open(SegmentFileRequest(path: scratch.file(), keyCapacity: 10))
            foreign = open(elsewhere.file("foreign"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            #expect(foreign >= 0)
            for number in 3..<Int32(4_096) where Self.path(of: number).hasPrefix(scratch.path) {
                #expect(dup2(foreign, number) == number)
                lost.append(number)
            }
            #expect(lost.count == 2, "the file and its directory")
        }

        deinit {
            for number in lost + [foreign] { close(number) }
        }

        private static func path(of descriptor: Int32) -> String {
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let length = bytes.withUnsafeMutableBytes { bytes in
                readlink(
                    "/proc/self/fd/\(descriptor)",
                    bytes.assumingMemoryBound(to: CChar.self).baseAddress!,
                    bytes.count)
            }
            return length > 0 ? String(decoding: bytes[..<length], as: UTF8.self) : ""
        }

        func fillExtent() throws(StoreError) { _ = try segment?.bump(2 << 20) }

        var isForeignUntouched: Bool {
            var status = stat()
            return fstat(foreign, &status) == 0 && status.st_size == 0 && status.st_blocks == 0
        }

        var blocks: Int {
            var status = stat()
            return stat(scratch.file(), &status) == 0 ? Int(status.st_blocks) * 512 : -1
        }
    }

    @Test("space is reserved in the file itself, not in the one that has its number now")
    func reserve() throws {
        let bench = try Bench()
        let before = bench.blocks
        try bench.fillExtent()
        #expect(bench.isForeignUntouched)
        #expect(bench.blocks - before >= 2 << 20)
        #expect(bench.segment?.checkFile() == true)
    }

    @Test("the end of a store closes nobody else's descriptors")
    func end() throws {
        let bench = try Bench()
        bench.segment = nil
        for number in bench.lost { #expect(fcntl(number, F_GETFD) >= 0) }
    }

    @Test("where the path names another file by then, the store is replaced")
    func replaced() throws {
        let bench = try Bench()
        #expect(rename(bench.scratch.file(), bench.scratch.file("away")) == 0)
        #expect(throws: StoreError.replaced(path: bench.scratch.file())) { try bench.fillExtent() }
        _ = try Segment.open(SegmentFileRequest(path: bench.scratch.file(), keyCapacity: 10))
        #expect(throws: StoreError.replaced(path: bench.scratch.file())) { try bench.fillExtent() }
        #expect(bench.isForeignUntouched)
        #expect(bench.segment?.checkFile() == false)
    }

    @Test(
        "a deleted file is found out without its directory's descriptor, a moved directory is not")
    func look() throws {
        let deleted = try Bench()
        #expect(unlink(deleted.scratch.file()) == 0)
        #expect(deleted.segment?.checkFile() == false)
        let moved = try Bench()
        #expect(rename(moved.scratch.path, moved.elsewhere.file("moved")) == 0)
        #expect(moved.segment?.checkFile() == true, "nobody can say")
    }
}
