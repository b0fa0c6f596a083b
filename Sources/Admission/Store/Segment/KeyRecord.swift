/// Where the parts of a key's record lie, in bytes from its start.
///
/// ```
///  0  state      the word that decisions swap: bucket or calendar word, rolling base, lease state
///  8  tag        incarnation:32 | definition offset:32; a stale reader finds another incarnation
/// 16  link       next record of the chain (see `KeyLink`), or the next free record
/// 24  hash:32 | text length:32
/// 32  bucket: stamp.   rolling: stamp, then the ring of cells.   concurrency: full hint, first
///     block, last count.
///  …  text       the values of the key's attributes, each u32 little-endian length and bytes
/// ```
enum KeyRecord {
    static let state = 0
    static let tag = 8
    static let link = 16
    static let hashAndLength = 24
    static let body = 32
    /// Bytes that every record has.
    static let smallest = 32

    /// Rolling: the newest epoch that a turn reached, full width. Bucket: a steady instant since
    /// which it was touched, see `BucketStamp`.
    static let stamp = 32
    /// Rolling: first cell of the ring.
    static let ring = 40

    /// Concurrency: see `LeaseArray`.
    static let fullHint = 32
    static let firstBlock = 40
    static let liveEstimate = 48

    /// Bytes in front of the text.
    static func textStart(kind: LimitKindCode, ringCount: Int) -> Int {
        switch kind {
        case .bucket: stamp + 8
        case .calendar, .slots, .parameters: body
        case .rolling: ring + ringCount * 8
        case .concurrency: 56
        }
    }
}

/// A link to a record: `target's incarnation:16 | mark:1 | owner's incarnation:15 | offset:32`.
///
/// The mark says that the record that holds the link is being unlinked. The owner is that record;
/// 0 in the index. Without the owner's incarnation a record that was reused would hold the very
/// link of its life before (often "nothing follows"), and a caller that is late to mark the old
/// one would take the new key out of the table. Incarnations are counted for each place apart, so
/// that 2^14 lives of it would have to pass during that caller's two steps.
enum KeyLink {
    private static let markBit: UInt64 = 1 << 47
    private static let ownerMask: UInt64 = 0x7fff << 32

    /// The index word that leads to a record.
    static func to(_ offset: Int, tag: UInt64) -> UInt64 {
        (tag >> 32 & 0xffff) << 48 | UInt64(offset / 16)
    }

    /// The same link, held by the record with this tag.
    static func held(_ link: UInt64, byTag tag: UInt64) -> UInt64 {
        link & ~ownerMask | (tag >> 32 & 0x7fff) << 32
    }

    /// Where `next` leads, without its mark, held by whoever holds `link`.
    static func passing(_ next: UInt64, over link: UInt64) -> UInt64 {
        next & ~(ownerMask | markBit) | link & ownerMask
    }

    static func offset(_ link: UInt64) -> Int { Int(link & 0xffff_ffff) * 16 }
    static func isMarked(_ link: UInt64) -> Bool { link & markBit != 0 }
    static func marking(_ link: UInt64) -> UInt64 { link | markBit }

    /// Whether the record with this tag is the one that the link was made for.
    static func matches(_ link: UInt64, tag: UInt64) -> Bool {
        link >> 48 == tag >> 32 & 0xffff
    }
}
