import Admission
import AdmissionYAML
import ArgumentParser

/// `admission check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validates policies, and says what applies to a call.",
        discussion: """
            Every file is looked at, and each fault is reported as file:line:column. With \
            --attribute, prints the limits that apply to a call with those attributes, and their \
            keys.

            Example:
              admission check Examples/policies/gemini.yaml --attribute provider=gemini \\
                --attribute model=gemini-2.5-flash --attribute project=acme
            """)

    @Argument(help: ArgumentHelp("The policies to check, YAML or JSON.", valueName: "file"))
    var files: [String]

    @OptionGroup var attributes: AttributeOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        var worst: Failure.Code?
        var elements: [String] = []
        for path in files {
            let result = Self.result(of: path, attributes: attributes.attributes)
            switch result {
            case .success(let checked):
                if !json { print(checked.text) }
                elements.append(checked.json)
            case .failure(let fault):
                if !json { Terminal.error(fault.description) }
                elements.append(
                    JSONText.object([
                        "path": JSONText.string(path), "valid": "false", "error": fault.json,
                    ]))
                worst = worst == .refused ? worst : fault.code
            }
        }
        if json { print(JSONText.object(["files": JSONText.array(elements)])) }
        if let worst { throw Failure(worst) }
    }

    private static func result(
        of path: String, attributes: [Attribute]
    ) -> Result<CheckedFile, PolicyFault> {
        Result { () throws(PolicyFault) in
            let file = try PolicyFile(path: path)
            guard !attributes.isEmpty else { return CheckedFile(file: file, explanation: nil) }
            do throws(LimiterError) {
                let explanation = try file.explanation(attributes, Cost())
                return CheckedFile(file: file, explanation: explanation)
            } catch {
                throw PolicyFault(path, code: .refused, message: error.message)
            }
        }
    }
}

/// A valid file, and what applies to the attributes that were asked for.
private struct CheckedFile {
    let file: PolicyFile
    let explanation: Explanation?

    private var limitCount: Int {
        file.document.policies.reduce(0) { $0 + $1.limits.count }
    }

    var text: String {
        let policies = Wording.counted(file.document.policies.count, "policy", "policies")
        let ok = Terminal.styled("ok", .green)
        let line = "\(ok) \(file.path): \(policies), \(Wording.counted(limitCount, "limit"))"
        guard let explanation else { return line }
        guard !explanation.limits.isEmpty else {
            return "\(line)\n  \(Terminal.styled("no policy applies", .yellow))"
        }
        var table = TextTable([("applies", .left), ("bound", .left), ("key", .left)])
        for row in explanation.limits {
            let limit = file.limit(policy: row.policy, name: row.limit)
            table.add([
                TextTable.Cell("\(row.policy) · \(row.limit)"),
                TextTable.Cell(limit.map(Wording.limit) ?? ""),
                TextTable.Cell(row.key.isEmpty ? "one for all" : Wording.attributes(row.key)),
            ])
        }
        return line + "\n" + table.text
    }

    var json: String {
        JSONText.object([
            "path": JSONText.string(file.path), "valid": "true",
            "policies": String(file.document.policies.count), "limits": String(limitCount),
            "policy_hash": JSONText.string(Wording.hexadecimal(file.document.hash)),
            "explanation": explanation?.json ?? "null",
        ])
    }
}

extension PolicyFile {
    /// What a fresh limiter says about a call.
    func explanation(_ attributes: [Attribute], _ cost: Cost) throws(LimiterError) -> Explanation {
        var options = Limiter.Options()
        options.store = "memory:"
        options.heartbeat = .manual
        let limiter = try Limiter(policy: document, options: options)
        defer { limiter.close() }
        return try limiter.gate(attributes).explain(cost)
    }

    func limit(policy: String, name: String) -> Limit? {
        document.policies.first { $0.name == policy }?.limits.first { $0.name == name }
    }
}
