import Admission
import Yams

/// A policy document written in YAML, as the JSON that the library reads.
///
/// ```swift
/// let policy = try PolicyDocument(yaml: text)
/// ```
///
/// A scalar keeps its type: `model: 4` reaches the library as a number, which is then an error that
/// says so. Plain `yes`, `no`, `on` and `off` are booleans, as YAML 1.1 and PyYAML have it; a plain
/// date is text. Numbers that YAML's readers disagree about (`010`, `0b1`, `1:30`) are refused, as
/// are tags of one's own, merge keys, and more than one document. Anchors may be used as long as the
/// written-out document stays within the library's own bounds.
public struct PolicyYAML: Sendable {
    /// The document as JSON, one line.
    public let json: String
    /// Where each value stands in the YAML text, by its path: `policies[0].limits[2].zone`.
    private let positions: [String: Position]

    /// A place in the text.
    public struct Position: Sendable, Hashable {
        /// From 1.
        public let line: Int
        /// From 1, in Unicode scalars.
        public let column: Int
    }

    /// Reads YAML; whether it makes a policy document is not looked at.
    ///
    /// - Throws: `PolicyYAMLError` for the first fault, with its place.
    /// - Complexity: O(n) in the written-out document, which is at most
    ///   `PolicyDocument.maximumBytes` long.
    public init(yaml text: String) throws(PolicyYAMLError) {
        guard text.utf8.count <= PolicyDocument.maximumBytes else {
            throw PolicyYAMLError(
                "\(text.utf8.count) bytes; at most \(PolicyDocument.maximumBytes) are read")
        }
        let root: Node?
        do {
            root = try Parser(yaml: text).singleRoot()
        } catch let error as YamlError {
            throw PolicyYAMLError(error)
        } catch {
            throw PolicyYAMLError("\(error)")
        }
        guard let root else { throw PolicyYAMLError("the document is empty") }
        var writer = NodeWriter()
        try writer.write(root, path: "", depth: 0)
        json = writer.json
        positions = writer.positions
    }

    /// Where a value stands, or the nearest of what it lies in.
    ///
    /// - Parameter path: As in `PolicyError.path`.
    public func position(of path: String) -> Position? {
        var path = path[...]
        while true {
            if let position = positions[String(path)] { return position }
            guard let cut = path.lastIndex(where: { $0 == "." || $0 == "[" }) else {
                return positions[""]
            }
            path = path[..<cut]
        }
    }

    /// The policy document that the YAML makes.
    ///
    /// - Throws: `PolicyYAMLError` for the first rule that is broken, with its place in the YAML.
    public func document() throws(PolicyYAMLError) -> PolicyDocument {
        do {
            return try PolicyDocument(json: json)
        } catch {
            throw PolicyYAMLError(
                error.message, path: error.path, position: position(of: error.path))
        }
    }
}

extension PolicyDocument {
    /// A document from YAML text; see `PolicyYAML` for how its scalars are read.
    ///
    /// - Throws: `PolicyYAMLError` for the first fault, with its place in the text.
    public init(yaml text: String) throws(PolicyYAMLError) {
        self = try PolicyYAML(yaml: text).document()
    }
}

/// What is wrong with a policy document in YAML, and where.
public struct PolicyYAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, with the value.
    public let message: String
    /// The value's path, as in `PolicyError.path`; empty where the text itself is at fault.
    public let path: String
    /// Where it stands in the text, if that is known.
    public let position: PolicyYAML.Position?

    init(_ message: String, path: String = "", position: PolicyYAML.Position? = nil) {
        self.message = message
        self.path = path
        self.position = position
    }

    init(_ error: YamlError) {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let text = context.map { "\($0.text): \(problem)" } ?? problem
            self.init(text, position: PolicyYAML.Position(mark))
        case .duplicatedKeysInMapping(let duplicates, let context):
            self.init(
                "the key \(duplicates.joined(separator: ", ")) stands twice in one mapping",
                position: PolicyYAML.Position(context.mark))
        case .reader(let problem, _, _, _): self.init(problem)
        default: self.init("\(error)")
        }
    }

    public var description: String {
        let place = path.isEmpty ? message : "\(path): \(message)"
        guard let position else { return place }
        return "\(place) (line \(position.line), column \(position.column))"
    }
}

extension PolicyYAML.Position {
    init(_ mark: Mark) {
        self.init(line: mark.line, column: mark.column)
    }
}
