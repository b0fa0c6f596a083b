/// A broken rule on its way out: becomes a `PolicyError` once it is known whether the document
/// came from JSON, and so has lines and columns.
struct PolicyFault: Error {
    let kind: PolicyError.Kind
    var path: JSONPath
    /// The value at fault, ready to print; nil where `reason` says it all.
    var value: String?
    /// What is wrong and what is accepted.
    let reason: String
    /// Where in the JSON text; nil: wherever the path leads.
    var offset: Int?

    init(
        _ kind: PolicyError.Kind, at path: JSONPath, value: String? = nil, _ reason: String,
        offset: Int? = nil
    ) {
        self.kind = kind
        self.path = path
        self.value = value
        self.reason = reason
        self.offset = offset
    }

    private var message: String { value.map { "\($0) \(reason)" } ?? reason }

    /// The error of a document made in Swift.
    func withoutPosition() -> PolicyError {
        PolicyError(kind, path: path.description, message: message)
    }

    /// The error of a document read from JSON. A value is shown as it was written there.
    func located(in bytes: [UInt8], root: JSONValue? = nil) -> PolicyError {
        var fault = self
        if let root {
            let (nearest, isExact) = path.nearestValue(in: root)
            if fault.offset == nil { fault.offset = nearest.offset }
            if isExact, value != nil, nearest.isScalar { fault.value = nearest.quoted }
        }
        let position = Self.position(of: fault.offset ?? 0, in: bytes)
        return PolicyError(
            kind, path: path.description, message: fault.message,
            line: position.line, column: position.column)
    }

    /// Line and column, both from 1, the column in Unicode scalars.
    private static func position(of offset: Int, in bytes: [UInt8]) -> (line: Int, column: Int) {
        var line = 1
        var column = 1
        for byte in bytes.prefix(offset) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0b1100_0000 != 0b1000_0000 {
                column += 1
            }
        }
        return (line, column)
    }
}

extension JSONValue {
    fileprivate var isScalar: Bool {
        switch content {
        case .list, .object: false
        default: true
        }
    }
}
