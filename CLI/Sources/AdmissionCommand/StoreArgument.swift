import Admission
import AdmissionYAML
import ArgumentParser

/// A store in a file, as an operator names it: its path, or its URL.
struct StoreArgument: ExpressibleByArgument {
    let url: String
    /// What the operator wrote.
    let name: String

    /// It is in a Redis or Valkey server.
    var isRemote: Bool { url.hasPrefix("redis") }

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        name = argument
        let isURL =
            argument.hasPrefix("file:") || argument == "memory:" || argument.contains("://")
        url = isURL ? argument : Self.url(path: argument)
    }

    /// The URL of a path, which may hold what means something in a URL.
    private static func url(path: String) -> String {
        var text = path.hasPrefix("/") ? "file://" : "file:"
        for scalar in path.unicodeScalars {
            switch scalar {
            case "%": text += "%25"
            case "?": text += "%3F"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension LimiterError {
    /// How the command ends where a store cannot be looked at or changed.
    ///
    /// - Parameter isJSON: says it as an object on standard output.
    func failure(isJSON: Bool) -> Failure {
        let exitCode: Failure.Code
        switch code {
        case .storeInUse: exitCode = .refused
        case .unsupportedStore: exitCode = .usage
        default: exitCode = .unreadable
        }
        guard isJSON else { return Failure(exitCode, message) }
        print(json)
        return Failure(exitCode)
    }

    /// The error as a JSON object.
    var json: String {
        let error = JSONText.object([
            "code": JSONText.string(code.name), "message": JSONText.string(message),
        ])
        return JSONText.object(["error": error])
    }
}
