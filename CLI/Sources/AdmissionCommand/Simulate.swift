import Admission
import AdmissionYAML
import ArgumentParser
import Foundation

/// `admission simulate`.
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replays traffic against a policy on virtual time.",
        discussion: """
            Each call of the trace is tried once, by the code that decides in production, and \
            completed with the tokens that the trace says it used. Prints what was admitted, what \
            was rejected by which limit, and how full each limit was.

            A trace is CSV in the form of the Azure Public Dataset: TIMESTAMP, ContextTokens, \
            GeneratedTokens; a further column is an attribute of the call. Without --trace, \
            \(Self.usualTrace) is taken; where that is missing, \
            traffic is made from a seed, and the output says so.

            Without --attribute, calls carry what the policies ask for, so that they apply.

            Example:
              admission simulate Examples/policies/gemini.yaml \\
                --attribute provider=gemini --attribute model=gemini-2.5-flash \\
                --attribute project=acme
            """)

    /// Where the traces lie beside a checkout of this project.
    static let usualTrace = "../shared/traces/AzureLLMInferenceTrace_code.csv"

    @Argument(help: "The policy to try, YAML or JSON.")
    var policy: String

    @Option(help: ArgumentHelp("The traffic to replay, CSV.", valueName: "file"))
    var trace: String?

    @Option(help: "Make the traffic from this seed instead.")
    var seed: UInt64?

    @OptionGroup var attributes: AttributeOptions

    @Option(
        help: ArgumentHelp(
            "The output tokens a caller expects of each call. Default: exactly those that come.",
            valueName: "tokens"))
    var expectOutput: Int64?

    @Option(
        help: ArgumentHelp("How long a call takes before its first token.", valueName: "ms"))
    var firstTokenMs: Int64 = 300

    @Option(help: ArgumentHelp("How long each output token takes.", valueName: "ms"))
    var tokenMs: Int64 = 15

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if trace != nil, seed != nil {
            throw ValidationError("--trace and --seed exclude each other")
        }
        if let expectOutput, !(0...Workload.maximumTokens).contains(expectOutput) {
            throw ValidationError("--expect-output must be 0 to \(Workload.maximumTokens)")
        }
        for (name, value) in [("--first-token-ms", firstTokenMs), ("--token-ms", tokenMs)]
        where !(0...3_600_000).contains(value) {
            throw ValidationError("\(name) must be 0 to 3600000")
        }
    }

    func run() throws {
        let file: PolicyFile
        do {
            file = try PolicyFile(path: policy)
        } catch {
            throw error.failure
        }
        let traffic = try Traffic(
            trace: trace, seed: seed, attributes: attributes.attributes, policy: file.document)
        var options = Simulator.Options()
        options.expectedOutputTokens = expectOutput
        options.firstTokenNanoseconds = firstTokenMs * 1_000_000
        options.outputTokenNanoseconds = tokenMs * 1_000_000
        let simulator = Simulator(policy: file.document, options: options)
        let begin = ContinuousClock.now
        let report: SimulationReport
        do {
            report = try simulator.run(traffic.workload)
        } catch {
            throw Failure(.refused, "\(policy): \(error.message)")
        }
        let elapsed = (ContinuousClock.now - begin).components
        let elapsedNanoseconds =
            elapsed.seconds * 1_000_000_000 + elapsed.attoseconds / 1_000_000_000
        if json {
            print(
                JSONText.object([
                    "policy": JSONText.string(policy),
                    "synthetic": traffic.isSynthetic ? "true" : "false",
                    "callers": String(traffic.workload.callers.count),
                    "elapsed_ns": String(elapsedNanoseconds), "report": report.json,
                ]))
        } else {
            let view = ReportView(
                report: report, traffic: traffic, file: file, elapsedNanoseconds: elapsedNanoseconds
            )
            print(view.text)
        }
        guard report.violationCount == 0 else {
            throw Failure(.refused, "the limiter exceeded a limit: this is a fault of its own")
        }
    }
}

/// The calls to replay, and what to tell about where they come from.
struct Traffic {
    let workload: Workload
    let isSynthetic: Bool
    /// What was decided for the caller, one line each.
    let notes: [String]

    init(
        trace: String?, seed: UInt64?, attributes: [Attribute], policy: PolicyDocument
    ) throws {
        let usual = Simulate.usualTrace
        let path =
            trace ?? (seed == nil && FileManager.default.fileExists(atPath: usual) ? usual : nil)
        isSynthetic = path == nil
        var notes: [String] = []
        if let path {
            let bytes = try Self.bytes(path)
            let columns = bytes.prefix { $0 != 0x0A && $0 != 0x0D }.split(separator: 0x2C)
                .map { String(decoding: $0, as: UTF8.self) }
            let (caller, note) = Self.caller(attributes, policy, columns: columns)
            notes += note
            do {
                workload = try Workload(
                    trace: bytes, title: URL(fileURLWithPath: path).lastPathComponent,
                    attributes: caller)
            } catch {
                throw Failure(.unreadable, "\(path): \(error)")
            }
        } else {
            let (caller, note) = Self.caller(attributes, policy, columns: [])
            if seed == nil {
                notes.append("synthetic traffic, because there is no \(usual) (see --trace)")
            }
            notes += note
            var traffic = SyntheticTraffic(seed: seed ?? 1)
            traffic.callers = [caller]
            workload = try Workload(traffic)
        }
        self.notes = notes
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        do {
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw Failure(.unreadable, "\(path): \(FileFault.reason(error, path: path))")
        }
    }

    /// The attributes that were given, or else those that make as many policies apply as possible.
    private static func caller(
        _ attributes: [Attribute], _ policy: PolicyDocument, columns: [String]
    ) -> ([Attribute], [String]) {
        guard attributes.isEmpty else { return (attributes, []) }
        var caller: [Attribute] = []
        func add(_ name: String, _ value: String) {
            guard !columns.contains(name), !caller.contains(where: { $0.name == name }) else {
                return
            }
            caller.append(Attribute(name, value))
        }
        for policy in policy.policies {
            for wanted in policy.match {
                switch wanted.condition {
                case .value(let value): add(wanted.name, value)
                case .oneOf(let values): add(wanted.name, values.first ?? "example")
                case .present: add(wanted.name, "example")
                }
            }
            for name in policy.per { add(name, "example") }
        }
        let note = "no --attribute given: took what the policies ask for"
        return (caller, caller.isEmpty ? [] : [note])
    }
}
