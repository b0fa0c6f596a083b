/// Why a time zone could not be loaded.
package struct ZoneError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The zone's name as it was asked for.
    package let name: String
    /// The first path that was tried; empty where the name itself was refused.
    package let path: String
    /// What is wrong, with the numbers.
    package let reason: String

    package init(name: String, path: String, reason: String) {
        self.name = name
        self.path = path
        self.reason = reason
    }

    package var description: String {
        path.isEmpty
            ? "time zone \"\(name)\": \(reason)" : "time zone \"\(name)\" (\(path)): \(reason)"
    }
}
