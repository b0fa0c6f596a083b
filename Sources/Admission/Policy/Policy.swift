/// Limits, and which requests they apply to.
///
/// ```swift
/// let policy = Policy(
///     name: "gemini/free",
///     match: [AttributeMatch("provider", .value("gemini"))],
///     per: ["project"],
///     limits: [
///         Limit(
///             name: "rpm", count: .requests,
///             kind: .rollingWindow(
///                 limit: 10, windowNanoseconds: 60_000_000_000, guardNanoseconds: 0))
///     ])
/// ```
///
/// A policy checks nothing by itself: `PolicyDocument` does, for policies written in Swift as for
/// those read from JSON.
public struct Policy: Sendable, Hashable {
    /// The policy's name, unique in its document.
    public var name: String
    /// What a request's attributes must be; all of it must hold. Empty: every request.
    public var match: [AttributeMatch]
    /// Whether the policy applies only where no other policy with a `match` did.
    public var isDefault: Bool
    /// The attributes whose values make a limit key: each combination has counters of its own.
    /// Empty: one key.
    public var per: [String]
    /// The bounds, in document order; at least one.
    public var limits: [Limit]

    /// A policy as a document holds it; it is checked when the document is made.
    public init(
        name: String, match: [AttributeMatch] = [], isDefault: Bool = false, per: [String] = [],
        limits: [Limit]
    ) {
        self.name = name
        self.match = match
        self.isDefault = isDefault
        self.per = per
        self.limits = limits
    }
}

/// What one attribute of a request must be for a policy to apply.
///
/// Names and values are compared as UTF-8 bytes. The type's own `==` compares as Swift's strings
/// do, so it is no substitute for a match.
public struct AttributeMatch: Sendable, Hashable {
    /// The attribute's name.
    public var name: String
    /// What its value must be.
    public var condition: Condition

    /// The attribute of that name must meet that condition.
    public init(_ name: String, _ condition: Condition) {
        self.name = name
        self.condition = condition
    }

    /// What the value of an attribute must be.
    public enum Condition: Sendable, Hashable {
        /// Exactly this value; an empty one matches an attribute that is there and empty.
        case value(String)
        /// One of these values; at least one.
        case oneOf([String])
        /// Anything, as long as the attribute is there; a document writes `"*"`.
        case present
    }
}
