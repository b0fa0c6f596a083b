/// What is wrong with a policy document: where, what stands there, and what is accepted.
///
/// ```swift
/// do {
///     _ = try PolicyDocument(json: text)
/// } catch {
///     print(error)  // policies[0].limits[2].zone: "PST9" is not in the time-zone database …
/// }
/// ```
public struct PolicyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What sort of fault it is. More may come: keep a `default` where you switch.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The file could not be opened or read.
        case unreadable
        /// Longer than a document may be (`PolicyDocument.maximumBytes`).
        case tooLarge
        /// Not JSON, or not UTF-8.
        case malformed
        /// The same JSON key, name or value twice where it must be unique.
        case duplicate
        /// Something that is required is not there.
        case missing
        /// A key that means nothing here.
        case unknownKey
        /// Text where a number is meant, and the like; a fraction where an integer is meant.
        case wrongType
        /// Text that cannot be read as what is meant: a duration, a rate, one of a few words.
        case unreadableValue
        /// A number, length or size outside its bounds.
        case outOfRange
        /// Two things that do not go together.
        case conflict
        /// A zone that is not in the time-zone database.
        case zone
    }

    /// What sort of fault it is.
    public let kind: Kind
    /// Where, as in `policies[0].limits[2].zone`; empty for the whole document.
    public let path: String
    /// The value and what is accepted, in one line.
    public let message: String
    /// The line in the JSON text from 1, or nil for a document made in Swift.
    public let line: Int?
    /// The column in that line in Unicode scalars from 1, or nil for a document made in Swift.
    public let column: Int?

    package init(
        _ kind: Kind, path: String = "", message: String, line: Int? = nil, column: Int? = nil
    ) {
        self.kind = kind
        self.path = path
        self.message = message
        self.line = line
        self.column = column
    }

    public var description: String {
        let place = path.isEmpty ? message : "\(path): \(message)"
        guard let line, let column else { return place }
        return "\(place) (line \(line), column \(column))"
    }
}
