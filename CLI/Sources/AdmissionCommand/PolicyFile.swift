import Admission
import AdmissionYAML
import Foundation

/// A policy document and the file that it was read from.
struct PolicyFile {
    let path: String
    let document: PolicyDocument

    /// Reads a file: YAML by its name's end, otherwise JSON.
    init(path: String) throws(PolicyFault) {
        self.path = path
        let bytes = try Self.bytes(path)
        if path.hasSuffix(".yaml") || path.hasSuffix(".yml") {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw PolicyFault(path, code: .refused, message: "the text is not UTF-8")
            }
            do {
                document = try PolicyDocument(yaml: text)
            } catch {
                throw PolicyFault(
                    path, code: .refused, message: error.message, valuePath: error.path,
                    line: error.position?.line, column: error.position?.column)
            }
        } else {
            do {
                document = try PolicyDocument(json: bytes)
            } catch {
                throw PolicyFault(
                    path, code: .refused, message: error.message, valuePath: error.path,
                    line: error.line, column: error.column)
            }
        }
    }

    private static func bytes(_ path: String) throws(PolicyFault) -> [UInt8] {
        do {
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw PolicyFault(
                path, code: .unreadable, message: FileFault.reason(error, path: path))
        }
    }
}

/// What is wrong with a policy file, in a form that editors can jump to.
struct PolicyFault: Error, CustomStringConvertible {
    let path: String
    let code: Failure.Code
    let message: String
    /// The value's path in the document; empty where the file itself is at fault.
    let valuePath: String
    let line: Int?
    let column: Int?

    init(
        _ path: String, code: Failure.Code, message: String, valuePath: String = "",
        line: Int? = nil, column: Int? = nil
    ) {
        self.path = path
        self.code = code
        self.message = message
        self.valuePath = valuePath
        self.line = line
        self.column = column
    }

    var description: String {
        let place = [path, line.map(String.init), column.map(String.init)].compactMap(\.self)
            .joined(separator: ":")
        return [place, valuePath, message].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    var failure: Failure { Failure(code, description) }

    var json: String {
        JSONText.object([
            "message": JSONText.string(message), "path": JSONText.string(valuePath),
            "line": line.map(String.init) ?? "null", "column": column.map(String.init) ?? "null",
        ])
    }
}

/// Why a file could not be read.
enum FileFault {
    static func reason(_ error: any Error, path: String) -> String {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            return "there is no such file"
        }
        return isDirectory.boolValue ? "it is a directory" : error.localizedDescription
    }
}
