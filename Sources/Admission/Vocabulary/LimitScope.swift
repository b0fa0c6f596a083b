/// The limits that share one key: a policy as stores know it.
package struct LimitScope: Sendable, Hashable {
    /// The policy's name.
    package var policy: String
    /// Its limits, in document order.
    package var limits: [Limit]
    /// The attributes whose values make the key, sorted by name.
    package var keyNames: [String]

    package init(policy: String, limits: [Limit], keyNames: [String]) {
        self.policy = policy
        self.limits = limits
        self.keyNames = keyNames
    }
}

/// A scope that applies to a request, and the key that it means there.
package struct ScopeMatch: Sendable, Hashable {
    /// Index of the scope in its document.
    package var scopeIndex: Int
    /// The values of the scope's `keyNames`, in that order, each with its length in front.
    package var text: [UInt8]

    package init(scopeIndex: Int, text: [UInt8]) {
        self.scopeIndex = scopeIndex
        self.text = text
    }
}
