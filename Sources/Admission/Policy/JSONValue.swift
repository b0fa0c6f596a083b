/// One value of a JSON text, with the place where it stands.
///
/// Numbers keep their text: what an integer is, and how large, is for the one who asks for it to
/// say, so nothing is rounded on the way.
package struct JSONValue: Sendable {
    /// What the value is.
    package enum Content: Sendable {
        case null
        case boolean(Bool)
        /// The number as written; always of JSON's grammar.
        case number(String)
        case text(String)
        case list([JSONValue])
        case object([JSONMember])
    }

    package let content: Content
    /// Index of the value's first byte in its text.
    package let offset: Int

    /// The value in an error: shortened where it is long.
    package var quoted: String {
        switch content {
        case .null: "null"
        case .boolean(let isTrue): isTrue ? "true" : "false"
        case .number(let digits): digits.utf8.count <= 40 ? digits : "\(digits.prefix(40))…"
        case .text(let text): text.quoted
        case .list: "[…]"
        case .object: "{…}"
        }
    }

    /// The value's type in an error, as in "5 is a number".
    package var typeName: String {
        switch content {
        case .null: "no value"
        case .boolean: "a boolean"
        case .number: "a number"
        case .text: "text"
        case .list: "a list"
        case .object: "an object"
        }
    }
}

/// One key of a JSON object and its value.
package struct JSONMember: Sendable {
    package let name: String
    /// Index of the key's opening quote in its text.
    package let offset: Int
    package let value: JSONValue
}

/// Where a value stands in a JSON text: `policies[0].limits[2].zone`.
package struct JSONPath: Sendable, Hashable, CustomStringConvertible {
    package enum Step: Sendable, Hashable {
        case key(String)
        case index(Int)
    }

    package private(set) var steps: [Step] = []

    package init() {}

    /// This path and one key more.
    package func key(_ name: String) -> JSONPath {
        var path = self
        path.steps.append(.key(name))
        return path
    }

    /// This path and one index more.
    package func index(_ position: Int) -> JSONPath {
        var path = self
        path.steps.append(.index(position))
        return path
    }

    /// One step more at the front: for a fault that travels outwards.
    mutating func prepend(_ step: Step) {
        steps.insert(step, at: 0)
    }

    package var description: String {
        var text = ""
        for step in steps {
            switch step {
            case .index(let position): text += "[\(position)]"
            case .key(let name) where name.isPlainKey: text += text.isEmpty ? name : ".\(name)"
            case .key(let name): text += "[\(name.quoted)]"
            }
        }
        return text
    }

    /// The value at this path, or the last one before the path leaves the tree.
    func nearestValue(in root: JSONValue) -> (value: JSONValue, isExact: Bool) {
        var value = root
        for step in steps {
            switch (step, value.content) {
            case (.index(let position), .list(let values)) where values.indices.contains(position):
                value = values[position]
            case (.key(let name), .object(let members)):
                guard let member = members.first(where: { $0.name.hasSameBytes(as: name) }) else {
                    return (value, false)
                }
                value = member.value
            default: return (value, false)
            }
        }
        return (value, true)
    }
}

extension String {
    /// Whether both are the same bytes of UTF-8. Swift's `==` also takes different spellings of
    /// one character for equal, which names and values here must not be.
    package func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }

    /// The text in quotes with its control characters escaped, shortened where it is long.
    package var quoted: String {
        var json = JSONWriter()
        let isLong = unicodeScalars.count > 60
        json.value(
            isLong ? String(String.UnicodeScalarView(unicodeScalars.prefix(60))) + "…" : self)
        return json.text
    }

    /// Whether the text can stand in a path without quotes.
    fileprivate var isPlainKey: Bool {
        !isEmpty && utf8.count <= 60
            && utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
