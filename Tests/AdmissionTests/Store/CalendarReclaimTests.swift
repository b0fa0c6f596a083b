import Testing

@testable import Admission

/// Keys of calendar limits that the process which reclaims has no document for.
@Suite struct CalendarReclaimTests {
    private static let day = 86_400 * SharedFile.second

    @Test("an idle key of a calendar limit is reclaimed by a process whose document names another")
    func unnamed() throws {
        let file = try SharedFile()
        let first = try file.limiter(
            SharedFile.day(5),
            #"{"name": "month", "count": "requests", "limit": 5, "window": "month"}"#)
        #expect(try first.gate([]).ask().record.outcome == 1)
        let second = try file.limiter(SharedFile.rpm(5))
        #expect(second.snapshot().keys == 2)
        try second.advance(nanoseconds: Self.day)
        #expect(second.reclaim() == 0, "a step back of a day must not find the day fresh")
        try second.advance(nanoseconds: Self.day)
        #expect(second.reclaim() == 1)
        try second.advance(nanoseconds: 62 * Self.day)
        #expect(second.reclaim() == 1)
        #expect(second.snapshot().keys == 0)
        // Whoever still means the keys finds them anew.
        #expect(try first.gate([]).ask().record.outcome == 1)
    }

    @Test("keys of a zone that this host does not know stay")
    func unknownZone() throws {
        let file = try SharedFile()
        let first = try file.limiter(
            #"{"name": "day", "count": "requests", "limit": 5, "window": "day", "zone": "Asia/Tokyo"}"#
        )
        #expect(try first.gate([]).ask().record.outcome == 1)
        let segment = first.core.store.segment
        var definition: Definition?
        segment.forEachKey { definition = $1 }
        let offset = try #require(definition).offset
        // The same identity of a zone that nobody has.
        let bytes = try #require(segment.identity(ofDefinitionAt: offset))
        let text = Array(bytes)
        let place = try #require(
            text.indices.first { text[$0...].starts(with: "Asia/Tokyo".utf8) })
        segment.base.storeBytes(
            of: UInt8(ascii: "X"), toByteOffset: offset + Definition.identity + place,
            as: UInt8.self)
        let hash = FNV.hash(UnsafeRawBufferPointer(bytes))
        segment.word(offset + Definition.identityHash).store(hash)
        try first.advance(nanoseconds: 3 * Self.day)
        #expect(first.reclaim() == 0)
        #expect(first.snapshot().keys == 1)
    }
}
