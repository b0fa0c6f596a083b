/// One JSON object whose keys are known: takes their values by type.
///
/// Each verb returns nil where the key is absent and throws where its value is of another type.
struct ObjectReader {
    let members: [JSONMember]
    let path: JSONPath
    private let meaning: String

    /// - Parameters:
    ///   - value: What should be the object.
    ///   - path: Where it stands.
    ///   - keys: All keys it may have; any other is an error.
    ///   - meaning: What the object is, for errors: `a limit`.
    ///   - beforeKeys: Runs before the keys are looked at.
    init(
        _ value: JSONValue, at path: JSONPath, keys: [String], meaning: String,
        beforeKeys: (ObjectReader) throws(PolicyFault) -> Void = { _ throws(PolicyFault) in }
    ) throws(PolicyFault) {
        guard case .object(let members) = value.content else {
            throw PolicyFault(
                .wrongType, at: path, value: value.quoted,
                "is \(value.typeName); accepted: \(meaning), an object")
        }
        self.members = members
        self.path = path
        self.meaning = meaning
        try beforeKeys(self)
        for member in members where !keys.contains(where: { $0.hasSameBytes(as: member.name) }) {
            throw PolicyFault(
                .unknownKey, at: path.key(member.name),
                "\(member.name.quoted) is no key of \(meaning); accepted: "
                    + keys.joined(separator: ", "),
                offset: member.offset)
        }
    }

    func has(_ key: String) -> Bool { value(key) != nil }

    private func value(_ key: String) -> JSONValue? {
        members.first { $0.name.hasSameBytes(as: key) }?.value
    }

    func missing(_ key: String, _ accepted: String) -> PolicyFault {
        PolicyFault(
            .missing, at: path.key(key), "\(key) is missing in \(meaning); accepted: \(accepted)")
    }

    private func wrongType(_ key: String, _ value: JSONValue, _ accepted: String) -> PolicyFault {
        Self.wrongType(value, at: path.key(key), accepted)
    }

    private static func wrongType(
        _ value: JSONValue, at path: JSONPath, _ accepted: String
    ) -> PolicyFault {
        PolicyFault(
            .wrongType, at: path, value: value.quoted,
            "is \(value.typeName); accepted: \(accepted)")
    }

    // MARK: Text

    static func text(
        _ value: JSONValue, at path: JSONPath, _ accepted: String
    ) throws(PolicyFault) -> String {
        guard case .text(let text) = value.content else {
            throw wrongType(value, at: path, accepted)
        }
        return text
    }

    func text(_ key: String, _ accepted: String) throws(PolicyFault) -> String? {
        guard let value = value(key) else { return nil }
        guard case .text(let text) = value.content else {
            throw wrongType(key, value, accepted)
        }
        return text
    }

    func requiredText(_ key: String, _ accepted: String) throws(PolicyFault) -> String {
        guard let text = try text(key, accepted) else { throw missing(key, accepted) }
        return text
    }

    func texts(_ key: String, _ accepted: String) throws(PolicyFault) -> [String]? {
        try list(key, of: accepted) { (value, path) throws(PolicyFault) in
            try Self.text(value, at: path, "one of \(accepted) in quotes")
        }
    }

    /// Text that `parse` turns into something else.
    func parsed<Parsed>(
        _ key: String, _ accepted: String, _ parse: (String) throws(TextFault) -> Parsed
    ) throws(PolicyFault) -> Parsed? {
        guard let text = try text(key, accepted) else { return nil }
        do {
            return try parse(text)
        } catch {
            throw PolicyFault(error.kind, at: path.key(key), value: text.quoted, error.reason)
        }
    }

    func duration(_ key: String) throws(PolicyFault) -> Int64? {
        try parsed(key, DurationText.accepted, DurationText.parse)
    }

    /// One of a few words.
    func word<Word: CaseIterable & RawRepresentable<String>>(
        _ key: String, _ type: Word.Type
    ) throws(PolicyFault) -> Word? {
        let accepted = Word.allCases.map(\.rawValue).joined(separator: ", ")
        return try parsed(key, accepted) { (text) throws(TextFault) in
            guard let word = Word(rawValue: text) else {
                throw TextFault(
                    kind: .unreadableValue, reason: "means nothing here; accepted: \(accepted)")
            }
            return word
        }
    }

    // MARK: Numbers and booleans

    /// An integer, exact. The range is only for the error: `PolicyValidator` checks it.
    func integer(_ key: String, in range: ClosedRange<Int64>) throws(PolicyFault) -> Int64? {
        try integer(key, PolicyValidator.accepted(range))
    }

    func requiredInteger(_ key: String, in range: ClosedRange<Int64>) throws(PolicyFault) -> Int64 {
        guard let number = try integer(key, in: range) else {
            throw missing(key, PolicyValidator.accepted(range))
        }
        return number
    }

    func integer(_ key: String, _ accepted: String) throws(PolicyFault) -> Int64? {
        guard let value = value(key) else { return nil }
        guard case .number(let digits) = value.content else {
            throw wrongType(key, value, accepted)
        }
        if let number = Int64(digits) { return number }
        let isWhole = digits.utf8.allSatisfy {
            $0 == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
        throw PolicyFault(
            isWhole ? .outOfRange : .wrongType, at: path.key(key), value: value.quoted,
            isWhole
                ? "is out of range; accepted: \(accepted)"
                : "has a fraction or an exponent; accepted: \(accepted)")
    }

    func boolean(_ key: String) throws(PolicyFault) -> Bool? {
        guard let value = value(key) else { return nil }
        guard case .boolean(let isTrue) = value.content else {
            throw wrongType(key, value, "true or false")
        }
        return isTrue
    }

    // MARK: Lists and objects

    func list<Element>(
        _ key: String, of elements: String,
        _ decode: (JSONValue, JSONPath) throws(PolicyFault) -> Element
    ) throws(PolicyFault) -> [Element]? {
        guard let value = value(key) else { return nil }
        guard case .list(let values) = value.content else {
            throw wrongType(key, value, "a list of \(elements)")
        }
        let path = path.key(key)
        var decoded: [Element] = []
        decoded.reserveCapacity(values.count)
        for (position, value) in values.enumerated() {
            decoded.append(try decode(value, path.index(position)))
        }
        return decoded
    }

    func optional<Element>(
        _ key: String, _ decode: (JSONValue, JSONPath) throws(PolicyFault) -> Element
    ) throws(PolicyFault) -> Element? {
        guard let value = value(key) else { return nil }
        return try decode(value, path.key(key))
    }
}
