/// The identity of one counter: policy, limit, kind, shape and the attributes' values.
///
/// Two requests share a counter exactly where these bytes are equal. Layout: policy, limit, kind
/// and shape, then name and value of each attribute sorted by name, each as a 32-bit little-endian
/// length and its UTF-8 bytes. Stable: logs and stores may keep it.
public struct LimitKey: Sendable, Hashable {
    /// The identity's bytes.
    public let bytes: [UInt8]

    /// - Parameters:
    ///   - policy: the policy's name.
    ///   - limit: the limit.
    ///   - attributes: those that the policy's `per` names; sorted here.
    public init(policy: String, limit: Limit, attributes: [Attribute]) {
        var bytes = Self.definition(policy: policy, limit: limit)
        let sorted = attributes.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for attribute in sorted {
            Self.append(attribute.name.utf8, to: &bytes)
            Self.append(attribute.value.utf8, to: &bytes)
        }
        self.bytes = bytes
    }

    /// The part that all keys of a limit share, without attributes.
    package static func definition(policy: String, limit: Limit) -> [UInt8] {
        var bytes: [UInt8] = []
        append(policy.utf8, to: &bytes)
        append(limit.name.utf8, to: &bytes)
        append(limit.kind.name.utf8, to: &bytes)
        append(shape(limit.kind), to: &bytes)
        return bytes
    }

    /// Rolling: window and guard in nanoseconds, 64-bit little-endian. Calendar: unit and zone.
    /// Else empty.
    private static func shape(_ kind: LimitKind) -> [UInt8] {
        var shape: [UInt8] = []
        switch kind {
        case .rollingWindow(_, let window, let guarding):
            for value in [window, guarding] {
                withUnsafeBytes(of: value.littleEndian) { shape.append(contentsOf: $0) }
            }
        case .calendarWindow(_, let unit, let zone, _):
            append(unit.name.utf8, to: &shape)
            append(zone.utf8, to: &shape)
        case .tokenBucket, .concurrency: break
        }
        return shape
    }

    /// Appends a length-prefixed run of bytes.
    package static func append(_ field: some Collection<UInt8>, to bytes: inout [UInt8]) {
        let count = UInt32(truncatingIfNeeded: field.count)
        bytes.append(UInt8(truncatingIfNeeded: count))
        bytes.append(UInt8(truncatingIfNeeded: count >> 8))
        bytes.append(UInt8(truncatingIfNeeded: count >> 16))
        bytes.append(UInt8(truncatingIfNeeded: count >> 24))
        bytes.append(contentsOf: field)
    }
}
