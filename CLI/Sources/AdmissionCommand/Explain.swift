import Admission
import AdmissionYAML
import ArgumentParser

/// `admission explain`.
struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what each limit says about a call, from fresh counters.",
        discussion: """
            Prints each limit that applies to the call, what it would leave, which one binds, and \
            the limits that do not apply, with the reason. Exits with 1 where the call would be \
            rejected: because it costs more than a limit can ever hold, or too soon after a boundary.

            Example:
              admission explain Examples/policies/gemini.yaml --attribute provider=gemini \\
                --attribute model=gemini-2.5-flash --attribute project=acme \\
                --input-tokens 1200
            """)

    @Argument(help: "The policy, YAML or JSON.")
    var policy: String

    @OptionGroup var attributes: AttributeOptions

    @Option(help: "Requests that the call counts as.")
    var requests: Int64 = 1

    @Option(help: "Tokens that the call sends.")
    var inputTokens: Int64 = 0

    @Option(help: "Tokens that it expects back.")
    var outputTokens: Int64 = 0

    @Option(
        help: ArgumentHelp("An amount of another count; may be repeated.", valueName: "name=amount")
    )
    var count: [CountArgument] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let cost = Cost(
            requests: requests, inputTokens: inputTokens, outputTokens: outputTokens,
            extra: count.map(\.amount))
        let file: PolicyFile
        do {
            file = try PolicyFile(path: policy)
        } catch {
            throw error.failure
        }
        let explanation: Explanation
        do {
            explanation = try file.explanation(attributes.attributes, cost)
        } catch {
            throw Failure(.refused, "\(policy): \(error.message)")
        }
        print(json ? explanation.json : ExplanationView(explanation: explanation, file: file).text)
        if explanation.limits.contains(where: { $0.outcome != .admit }) { throw Failure(.refused) }
    }
}
