import Admission
import Yams

/// Writes YAML nodes as JSON and notes where each of them stands.
struct NodeWriter {
    private(set) var json = ""
    private(set) var positions: [String: PolicyYAML.Position] = [:]

    /// Deeper than any policy document is; it keeps the writer's own recursion short.
    private static let maximumDepth = 32

    mutating func write(_ node: Node, path: String, depth: Int) throws(PolicyYAMLError) {
        guard depth <= Self.maximumDepth else {
            throw fault("more than \(Self.maximumDepth) levels deep", node, path)
        }
        // Anchors can write out to far more than was written down.
        guard json.utf8.count <= PolicyDocument.maximumBytes else {
            throw fault(
                "written out, the document is longer than \(PolicyDocument.maximumBytes) bytes",
                node, path)
        }
        if let mark = node.mark { positions[path] = PolicyYAML.Position(mark) }
        switch node {
        case .scalar(let scalar): json += try text(of: scalar, node, path)
        case .sequence(let sequence):
            try checkTag(sequence.tag, node, path)
            json += "["
            for (index, element) in sequence.enumerated() {
                if index > 0 { json += "," }
                try write(element, path: "\(path)[\(index)]", depth: depth + 1)
            }
            json += "]"
        case .mapping(let mapping):
            try checkTag(mapping.tag, node, path)
            json += "{"
            for (index, (key, value)) in mapping.enumerated() {
                if index > 0 { json += "," }
                let name = try self.key(key, path)
                json += JSONText.string(name) + ":"
                let memberPath = path.isEmpty ? name : "\(path).\(name)"
                try write(value, path: memberPath, depth: depth + 1)
            }
            json += "}"
        case .alias: throw fault("an alias without its anchor", node, path)
        }
    }

    /// A key's text, whatever it looks like: `on` and `1` are names where a name stands.
    private func key(_ node: Node, _ path: String) throws(PolicyYAMLError) -> String {
        guard case .scalar(let scalar) = node else {
            throw fault("a key that is no text", node, path)
        }
        guard scalar.string != "<<" || scalar.style != .plain else {
            throw fault("merge keys are not read: write the members out", node, path)
        }
        return scalar.string
    }

    private func text(
        of scalar: Node.Scalar, _ node: Node, _ path: String
    ) throws(PolicyYAMLError) -> String {
        guard scalar.style == .plain || scalar.style == .any else {
            return JSONText.string(scalar.string)
        }
        switch Tag.Name(rawValue: scalar.tag.rawValue) {
        case .str, .nonSpecific: return JSONText.string(scalar.string)
        case .implicit, .null, .bool, .int, .float, .timestamp: break
        default: throw fault("the tag \(scalar.tag.rawValue) is not read", node, path)
        }
        switch PlainScalar(scalar.string) {
        case .null: return "null"
        case .boolean(let isTrue): return isTrue ? "true" : "false"
        case .number(let digits): return digits
        case .text: return JSONText.string(scalar.string)
        case .disputed:
            throw fault(
                "\(scalar.string) is a number to some readers of YAML and another or text to "
                    + "others: write it in decimal, or as text in quotes", node, path)
        }
    }

    private func checkTag(_ tag: Tag, _ node: Node, _ path: String) throws(PolicyYAMLError) {
        guard [.implicit, .nonSpecific, .seq, .map].contains(Tag.Name(rawValue: tag.rawValue))
        else {
            throw fault("the tag \(tag.rawValue) is not read", node, path)
        }
    }

    private func fault(_ message: String, _ node: Node, _ path: String) -> PolicyYAMLError {
        PolicyYAMLError(
            message, path: path, position: node.mark.map { PolicyYAML.Position($0) })
    }
}
