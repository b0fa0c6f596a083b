import Glibc

/// Something that any process on a segment noted, for all of them.
package struct SegmentEvent: Sendable, Hashable {
    /// What happened, by number; kinds of later versions are possible.
    package var kind: UInt8
    /// Number of the event in the segment, from 1.
    package var sequence: UInt64
    package var wallNanoseconds: Int64
    /// Who noted it.
    package var processID: Int32
    /// At most `SegmentEvents.textBytes` bytes.
    package var text: String
}

/// The newest 64 events of a segment, in its header.
///
/// ```
/// entry:  0 state: sequence << 1 | 1 while it is written     8 kind:8 | length of the text:8
///        16 wall ns       24 pid       32 checksum of all of it      48 text, 208 bytes
/// ```
/// A writer takes a number, claims the entry of that number with a swap, writes, and says that it
/// is whole with another swap. One who dies in between leaves an entry that says so, until the ring
/// comes round to it. One who is held up until then goes on writing into a newer event: the checksum,
/// which covers the number, tells; that event is lost. So is one whose number's entry already
/// belongs to a newer. Wait-free for writers; readers look once.
struct SegmentEvents {
    let segment: Segment

    static let count = 64
    static let entryBytes = 256
    static let textBytes = 208

    private static let kindAndLength = 8
    private static let wall = 16
    private static let process = 24
    private static let checksum = 32
    private static let text = 48

    private func place(_ sequence: UInt64) -> Int {
        Segment.Header.events + Int(sequence % UInt64(Self.count)) * Self.entryBytes
    }

    /// Events that were noted so far.
    var newest: UInt64 { segment.word(Segment.Header.eventCount).load() & ~(1 << 63) }

    /// Notes an event; the text is cut at a character.
    ///
    /// - Returns: its number.
    @discardableResult
    func append(
        kind: UInt8, wallNanoseconds: Int64, processID: Int32, text: String
    ) -> UInt64 {
        let sequence =
            (segment.word(Segment.Header.eventCount).fetchAdd(1) &+ 1) & ~(1 << 63)
        guard claim(sequence) else { return sequence }
        let event = SegmentEvent(
            kind: kind, sequence: sequence, wallNanoseconds: wallNanoseconds,
            processID: processID, text: Self.cut(text))
        write(event)
        _ = segment.word(place(sequence)).swap(sequence << 1 | 1, sequence << 1)
        return sequence
    }

    /// Claims an entry; false when a newer event has it.
    func claim(_ sequence: UInt64) -> Bool {
        let state = segment.word(place(sequence))
        while true {
            let seen = state.load()
            // A number that was never given is damage, and free to be written over.
            if seen >> 1 >= sequence && seen >> 1 <= newest { return false }
            if state.swap(seen, sequence << 1 | 1) { return true }
        }
    }

    /// Writes an event into the entry that was claimed for it.
    func write(_ event: SegmentEvent) {
        let place = place(event.sequence)
        var words = [UInt64](repeating: 0, count: Self.textBytes / 8)
        let utf8 = Array(event.text.utf8.prefix(Self.textBytes))
        for (index, byte) in utf8.enumerated() {
            words[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8)
        }
        let head = [
            UInt64(event.kind) | UInt64(utf8.count) << 8,
            UInt64(bitPattern: event.wallNanoseconds),
            UInt64(UInt32(bitPattern: event.processID)),
        ]
        segment.word(place + Self.kindAndLength).store(head[0])
        segment.word(place + Self.wall).store(head[1])
        segment.word(place + Self.process).store(head[2])
        for (index, word) in words.enumerated() {
            segment.word(place + Self.text + index * 8).store(word)
        }
        segment.word(place + Self.checksum)
            .store(Self.checksum(of: head + words, sequence: event.sequence))
    }

    private static func checksum(of words: [UInt64], sequence: UInt64) -> UInt64 {
        words.withUnsafeBytes { FNV.hash($0, seed: sequence &* 0x9e37_79b9_7f4a_7c15) }
    }

    /// The event of a number; nil where its entry holds another one, is being written, or is none
    /// that a writer leaves.
    func event(_ sequence: UInt64) -> SegmentEvent? {
        let place = place(sequence)
        let state = segment.word(place)
        guard state.load() == sequence << 1 else { return nil }
        let head = [Self.kindAndLength, Self.wall, Self.process].map {
            segment.word(place + $0).load()
        }
        let words = (0..<Self.textBytes / 8).map {
            segment.word(place + Self.text + $0 * 8).load()
        }
        let sum = segment.word(place + Self.checksum).load()
        let length = Int(head[0] >> 8 & 0xff)
        guard state.load() == sequence << 1,
            sum == Self.checksum(of: head + words, sequence: sequence),
            head[0] >> 16 == 0, length <= Self.textBytes
        else { return nil }
        let bytes = (0..<length).map {
            UInt8(truncatingIfNeeded: words[$0 / 8] >> UInt64($0 % 8 * 8))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        return SegmentEvent(
            kind: UInt8(truncatingIfNeeded: head[0]), sequence: sequence,
            wallNanoseconds: Int64(bitPattern: head[1]),
            processID: Int32(truncatingIfNeeded: Int64(bitPattern: head[2])), text: text)
    }

    /// Numbers behind another one whose entries may still hold their events, oldest first.
    func numbers(after sequence: UInt64) -> ClosedRange<UInt64>? {
        let newest = newest
        let oldest = newest > UInt64(Self.count) ? newest - UInt64(Self.count) : 0
        let first = max(oldest, sequence) + 1
        return first <= newest ? first...newest : nil
    }

    /// The events that are there and whole, oldest first.
    func all() -> [SegmentEvent] { numbers(after: 0).map { $0.compactMap(event) } ?? [] }

    /// At most `textBytes` bytes of a text, whole scalars.
    static func cut(_ text: String) -> String {
        guard text.utf8.count > textBytes else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: textBytes)
        while end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end])
    }
}

extension Segment {
    /// The events that processes noted for each other.
    var events: SegmentEvents { SegmentEvents(segment: self) }

    /// Notes an event for every process on the segment.
    ///
    /// - Parameter kind: the number of a kind of event, not 0.
    /// - Returns: its number, from 1.
    @discardableResult
    package func noteEvent(kind: UInt8, wallNanoseconds: Int64, text: String) -> UInt64 {
        events.append(
            kind: kind, wallNanoseconds: wallNanoseconds, processID: getpid(), text: text)
    }

    /// The newest events, oldest first, at most 64.
    package func recentEvents() -> [SegmentEvent] { events.all() }
}
