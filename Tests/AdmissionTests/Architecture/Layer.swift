/// The layers of the library: a folder below `Sources/Admission/` each.
enum Layer: String, CaseIterable, Sendable {
    case time = "Time"
    case vocabulary = "Vocabulary"
    case algorithms = "Algorithms"
    case policy = "Policy"
    case store = "Store"
    case queue = "Queue"
    case feedback = "Feedback"
    case limiter = "Limiter"
    case simulation = "Simulation"

    var rank: Int {
        switch self {
        case .time: 0
        case .vocabulary: 1
        case .algorithms: 2
        case .policy, .store, .queue, .feedback: 3
        case .limiter: 4
        case .simulation: 5
        }
    }

    /// A layer knows itself and what is below it; those of one rank never see each other.
    func mayName(_ other: Layer) -> Bool {
        self == other || other.rank < rank
    }
}

/// A file that names a type of a layer it may not know.
struct LayerViolation: Hashable, CustomStringConvertible {
    let path: String
    let line: Int
    let type: String
    let owner: Layer

    var description: String { "\(path):\(line) names \(type) of \(owner.rawValue)" }
}

/// Which layer declares which type, and who names it.
struct LayerMap {
    private var owners: [String: Layer] = [:]
    private var nestedNames: [Layer: Set<String>] = [:]
    private let files: [CheckoutFile]

    init(_ files: [CheckoutFile]) {
        self.files = files
        for file in files {
            guard let layer = file.layer else { continue }
            for declaration in TypeDeclaration.all(in: file.source) {
                if declaration.isNested {
                    nestedNames[layer, default: []].insert(declaration.name)
                } else if !declaration.isPrivate {
                    owners[declaration.name] = layer
                }
            }
        }
    }

    /// The types that are declared at the top of a file, with their layer.
    var types: [String: Layer] { owners }

    /// Every place where a file names a type that `isAllowed` refuses it.
    ///
    /// A nested type shadows one of the same name in another layer, and a name after a dot is a
    /// member, unless it follows the module's own name.
    func violations(
        in files: [CheckoutFile]? = nil,
        isAllowed: (_ file: CheckoutFile, _ owner: Layer) -> Bool
    ) -> [LayerViolation] {
        var found: [LayerViolation] = []
        for file in files ?? self.files {
            let shadowed = file.layer.flatMap { nestedNames[$0] } ?? []
            for (index, line) in file.source.code.enumerated() {
                for (name, isMember) in line.typeNames where !isMember {
                    guard let owner = owners[name], !shadowed.contains(name),
                        !isAllowed(file, owner)
                    else { continue }
                    found.append(
                        LayerViolation(path: file.path, line: index + 1, type: name, owner: owner))
                }
            }
        }
        return found
    }
}

/// A type as its file declares it.
struct TypeDeclaration {
    let name: String
    let line: Int
    let isNested: Bool
    let isPrivate: Bool

    static func all(in source: SourceText) -> [TypeDeclaration] {
        let keywords: [StaticString] = [
            "struct ", "class ", "enum ", "protocol ", "actor ", "typealias ",
        ]
        let pattern =
            /(?:^|\s)(?:struct|class|enum|protocol|actor|typealias)\s+([A-Z][A-Za-z0-9_]*)/
        var depth = 0
        var found: [TypeDeclaration] = []
        for (index, line) in source.code.enumerated() {
            for match in keywords.contains(where: line.mentions) ? line.matches(of: pattern) : [] {
                found.append(
                    TypeDeclaration(
                        name: String(match.output.1), line: index + 1, isNested: depth > 0,
                        isPrivate: line.contains("private ") || line.contains("fileprivate ")))
            }
            for byte in line.utf8 {
                if byte == UInt8(ascii: "{") { depth += 1 }
                if byte == UInt8(ascii: "}") { depth -= 1 }
            }
        }
        return found
    }
}
