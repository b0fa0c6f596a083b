import Foundation
import Testing

/// One file of the repository, with its path from the root.
struct CheckoutFile: Sendable, CustomTestStringConvertible {
    let path: String
    let source: SourceText

    init(path: String, text: String) {
        self.path = path
        source = SourceText(text)
    }

    var testDescription: String { path }

    /// The folder below `Sources/Admission/`, or nil outside of it.
    var layer: Layer? {
        let parts = path.split(separator: "/")
        guard parts.count > 3, parts[0] == "Sources", parts[1] == "Admission" else { return nil }
        return Layer(rawValue: String(parts[2]))
    }
}

/// The files that the architecture tests read.
enum Checkout {
    /// The folder with `Package.swift`, four above this file.
    static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url
    }()

    /// Swift that the library is made of.
    static let librarySources = files(under: ["Sources"], extensions: ["swift"])

    /// All Swift that people wrote here.
    static let allSwift = files(
        under: ["Sources", "Tests", "CLI", "Benchmarks", "Examples"], extensions: ["swift"])

    /// Everything with a compiler or an interpreter.
    static let allCode = files(
        under: [
            "Sources", "Tests", "CLI", "Benchmarks", "Examples", "bindings", "include", "scripts",
        ],
        extensions: ["swift", "c", "h", "py", "go", ""])

    /// Tests in every language.
    static let allTests = files(
        under: ["Tests", "CLI/Tests", "bindings/python/tests"], extensions: ["swift", "c", "py"])

    /// The files below the folders with one of the extensions, sorted; build folders and whatever
    /// starts with a dot are left out.
    static func files(under folders: [String], extensions: Set<String>) -> [CheckoutFile] {
        let built: Set<String> = ["build", "dist", "__pycache__", "node_modules", "venv"]
        var found: [CheckoutFile] = []
        for folder in folders {
            let start = root.appendingPathComponent(folder)
            guard let paths = FileManager.default.enumerator(atPath: start.path) else { continue }
            for case let path as String in paths {
                let name = path.split(separator: "/").last.map(String.init) ?? path
                if name.hasPrefix(".") || built.contains(name) || name.hasSuffix(".egg-info") {
                    paths.skipDescendants()
                    continue
                }
                let url = start.appendingPathComponent(path)
                guard extensions.contains(url.pathExtension),
                    let text = try? String(contentsOf: url, encoding: .utf8)
                else { continue }
                found.append(CheckoutFile(path: folder + "/" + path, text: text))
            }
        }
        return found.sorted { $0.path < $1.path }
    }
}
