import Admission
import ArgumentParser
import Foundation

/// The command: reads its arguments, runs, and ends the process with one of its own exit codes.
@main
enum Main {
    static func main() {
        do {
            var command = try AdmissionCommand.parseAsRoot(
                WatchInterval.completing(Array(CommandLine.arguments.dropFirst())))
            try command.run()
        } catch let failure as Failure {
            if let message = failure.message { Terminal.error(message) }
            exit(failure.code.rawValue)
        } catch {
            // Help, versions and completion scripts come as errors, too: those that succeed.
            guard AdmissionCommand.exitCode(for: error) == .success else {
                Terminal.error(AdmissionCommand.fullMessage(for: error), isLabelled: true)
                exit(Failure.Code.usage.rawValue)
            }
            print(AdmissionCommand.fullMessage(for: error))
        }
    }
}

/// The root of the commands.
struct AdmissionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admission",
        abstract: "Checks quota policies, tries them on traffic, and looks after stores.",
        discussion: """
            Example:
              admission check Examples/policies/gemini.yaml
              admission simulate Examples/policies/gemini.yaml
              admission inspect /var/lib/app/quota

            Policies are YAML (.yaml, .yml) or JSON files.

            Exit codes:
              0  done
              1  a policy is invalid, a call refused, a store damaged or in use
              2  the arguments make no sense
              3  a file cannot be read, or is no trace or store
            """,
        version: "admission \(AdmissionVersion.text)",
        subcommands: [Simulate.self, Check.self, Explain.self, Inspect.self, Reset.self])
}

/// Why the command ends otherwise than well.
struct Failure: Error {
    /// The exit codes, as the help lists them.
    enum Code: Int32 {
        case refused = 1
        case usage = 2
        case unreadable = 3
    }

    let code: Code
    /// For standard error; nil where everything has been said.
    let message: String?

    init(_ code: Code, _ message: String? = nil) {
        self.code = code
        self.message = message
    }
}
