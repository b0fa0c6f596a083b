/// A definition's identity, read back from its bytes: see `LimitKey`.
package struct LimitIdentity: Sendable, Hashable {
    package let policy: String
    package let limit: String
    package let kind: LimitKindCode
    /// Rolling: window and guard in nanoseconds.
    package private(set) var windowNanoseconds: Int64 = 0
    package private(set) var guardNanoseconds: Int64 = 0
    /// Calendar.
    package private(set) var unit: CalendarUnit?
    package private(set) var zone = ""
    /// Names of the attributes in a key, sorted.
    package let attributeNames: [String]

    /// - Returns: nil for bytes that `LimitKey.definition` never makes.
    package init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        guard let policy = Self.field(&rest), let limit = Self.field(&rest),
            let kindName = Self.field(&rest), let shape = Self.field(&rest),
            let kind = Self.kinds[String(decoding: kindName, as: UTF8.self)]
        else { return nil }
        self.policy = String(decoding: policy, as: UTF8.self)
        self.limit = String(decoding: limit, as: UTF8.self)
        self.kind = kind
        var names: [String] = []
        while !rest.isEmpty {
            guard let name = Self.field(&rest) else { return nil }
            names.append(String(decoding: name, as: UTF8.self))
        }
        attributeNames = names
        switch kind {
        case .rolling:
            guard shape.count == 16 else { return nil }
            windowNanoseconds = Self.integer(shape.prefix(8))
            guardNanoseconds = Self.integer(shape.suffix(8))
        case .calendar:
            var shape = shape
            guard let unit = Self.field(&shape), let zone = Self.field(&shape), shape.isEmpty,
                let known = CalendarUnit(name: String(decoding: unit, as: UTF8.self))
            else { return nil }
            self.unit = known
            self.zone = String(decoding: zone, as: UTF8.self)
        case .bucket, .concurrency, .slots, .parameters:
            guard shape.isEmpty else { return nil }
        }
    }

    /// The attributes of one key, from its text.
    package func attributes(_ text: UnsafeRawBufferPointer) -> [Attribute] {
        var rest = [UInt8](text)[...]
        var attributes: [Attribute] = []
        for name in attributeNames {
            guard let value = Self.field(&rest) else { break }
            attributes.append(Attribute(name, String(decoding: value, as: UTF8.self)))
        }
        return attributes
    }

    private static let kinds: [String: LimitKindCode] = [
        "bucket": .bucket, "rolling": .rolling, "calendar": .calendar,
        "concurrency": .concurrency,
    ]

    /// Takes a length-prefixed run of bytes.
    private static func field(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard rest.count >= 4 else { return nil }
        let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        guard rest.count - 4 >= length else { return nil }
        let field = rest.dropFirst(4).prefix(length)
        rest = rest.dropFirst(4 + length)
        return field
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int64 {
        Int64(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }
}
