/// One fact about a request that policies match on: `model = gemini-2.5-flash`.
public struct Attribute: Sendable, Hashable {
    /// UTF-8, compared as bytes; not empty.
    public var name: String
    /// UTF-8, compared as bytes; an empty value counts as present.
    public var value: String

    /// That name with that value; both are checked when a gate is opened.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}
