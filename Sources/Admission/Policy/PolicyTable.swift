/// The immutable lookup from attributes to the policies that apply and the keys they mean.
package struct PolicyTable: Sendable {
    package let document: PolicyDocument
    /// For each policy, its `per` names sorted as keys sort them.
    private let keyNames: [[String]]

    /// What is wrong with a set of attributes.
    package enum Fault: Error, Sendable, Hashable {
        /// A policy applies whose `per` names an attribute that is not there.
        case missing(attribute: String, policy: String)
        case duplicate(attribute: String)
        case emptyName
    }

    package init(_ document: PolicyDocument) {
        self.document = document
        keyNames = document.policies.map { policy in
            policy.per.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    /// The policies as stores know them, in document order.
    package var scopes: [LimitScope] {
        zip(document.policies, keyNames).map { policy, names in
            LimitScope(policy: policy.name, limits: policy.limits, keyNames: names)
        }
    }

    /// The policies that apply to a set of attributes, in document order.
    ///
    /// A default policy applies only where no other policy that has a `match` did.
    ///
    /// - Complexity: O(policies x attributes).
    package func matches(_ attributes: [Attribute]) throws(Fault) -> [ScopeMatch] {
        for (index, attribute) in attributes.enumerated() {
            if attribute.name.isEmpty { throw .emptyName }
            for earlier in attributes[..<index] where earlier.name.hasSameBytes(as: attribute.name)
            {
                throw .duplicate(attribute: attribute.name)
            }
        }
        var matches: [ScopeMatch] = []
        var isSpoken = false
        for (index, policy) in document.policies.enumerated() where !policy.isDefault {
            guard applies(policy, attributes) else { continue }
            if !policy.match.isEmpty { isSpoken = true }
            matches.append(try match(index, attributes))
        }
        guard !isSpoken else { return matches }
        var hasDefault = false
        for (index, policy) in document.policies.enumerated() where policy.isDefault {
            hasDefault = true
            matches.append(try match(index, attributes))
        }
        if hasDefault { matches.sort { $0.scopeIndex < $1.scopeIndex } }
        return matches
    }

    private func applies(_ policy: Policy, _ attributes: [Attribute]) -> Bool {
        for match in policy.match {
            guard let value = Self.value(of: match.name, in: attributes) else { return false }
            switch match.condition {
            case .present: continue
            case .value(let wanted): guard value.hasSameBytes(as: wanted) else { return false }
            case .oneOf(let wanted):
                guard wanted.contains(where: { $0.hasSameBytes(as: value) }) else { return false }
            }
        }
        return true
    }

    private func match(_ index: Int, _ attributes: [Attribute]) throws(Fault) -> ScopeMatch {
        var text: [UInt8] = []
        for name in keyNames[index] {
            guard let value = Self.value(of: name, in: attributes) else {
                throw .missing(attribute: name, policy: document.policies[index].name)
            }
            text.reserveCapacity(text.count + value.utf8.count + 4)
            LimitKey.append(value.utf8, to: &text)
        }
        return ScopeMatch(scopeIndex: index, text: text)
    }

    private static func value(of name: String, in attributes: [Attribute]) -> String? {
        for attribute in attributes where attribute.name.hasSameBytes(as: name) {
            return attribute.value
        }
        return nil
    }
}
