import Foundation
import Glibc

@testable import Admission

/// A directory of a test's own, removed with its last reference.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "admission-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String = "quota") -> String { "\(path)/\(name)" }
}

/// A store that a conformance test opens: each runs the same traces against the same oracle.
enum TestStore: String, CaseIterable, Sendable, CustomStringConvertible {
    case memory
    case file

    var description: String { rawValue }

    /// A URL that nobody has opened yet, and what keeps it until it is released.
    func fresh() throws -> (url: String, directory: ScratchDirectory?) {
        switch self {
        case .memory: return ("memory:", nil)
        case .file:
            let directory = try ScratchDirectory()
            return ("file:" + directory.file(), directory)
        }
    }
}
