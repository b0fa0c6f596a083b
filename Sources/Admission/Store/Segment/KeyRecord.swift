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
        case .calendar, .slots: body
        case .rolling: ring + ringCount * 8
        case .concurrency: 56
        }
    }
}

/// A link to a record: `incarnation:24 | mark:1 | 0:7 | offset:32`.
///
/// The mark says that the record that holds the link is being unlinked.
enum KeyLink {
    private static let markBit: UInt64 = 1 << 39

    static func to(_ offset: Int, incarnation: UInt64) -> UInt64 {
        (incarnation & 0xff_ffff) << 40 | UInt64(offset / 16)
    }

    static func offset(_ link: UInt64) -> Int { Int(link & 0xffff_ffff) * 16 }
    static func isMarked(_ link: UInt64) -> Bool { link & markBit != 0 }
    static func marking(_ link: UInt64) -> UInt64 { link | markBit }
    static func unmarking(_ link: UInt64) -> UInt64 { link & ~markBit }

    /// Whether the record with this tag is the one that the link was made for.
    static func matches(_ link: UInt64, tag: UInt64) -> Bool {
        link >> 40 == tag >> 32 & 0xff_ffff
    }
}
