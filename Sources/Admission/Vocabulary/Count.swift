import Synchronization

/// What a limit counts: requests, input tokens, … or any name that callers put into a cost.
///
/// A count is an interned name, so comparing two is comparing two integers. The process keeps one
/// entry per distinct name for its whole life: take names from policies, not from user input.
public struct Count: Sendable, Hashable, CustomStringConvertible {
    /// Index of the name in the process-wide table.
    package let index: Int32

    package init(index: Int32) {
        self.index = index
    }

    /// Requests: one a call unless the cost says otherwise.
    public static let requests = Count(index: 0)
    /// Tokens that the caller sends.
    public static let inputTokens = Count(index: 1)
    /// Tokens that the provider generates.
    public static let outputTokens = Count(index: 2)
    /// Input and output tokens together.
    public static let tokens = Count(index: 3)
    /// Calls in flight: always one a request.
    public static let concurrency = Count(index: 4)

    /// The count of that name, interned.
    ///
    /// - Parameter name: UTF-8, compared as bytes; the five names above give the five constants.
    /// - Complexity: O(length); takes a process-wide lock. Not for the hot path: keep the value.
    public init(_ name: String) {
        self = CountNames.shared.intern(name)
    }

    /// The name, as a policy document writes it.
    public var name: String {
        CountNames.shared.name(of: self)
    }

    public var description: String { name }
}

/// The process-wide table of count names; entries are never removed.
private final class CountNames: Sendable {
    static let shared = CountNames()

    private struct Table {
        var names = ["requests", "input_tokens", "output_tokens", "tokens", "concurrency"]
        /// Keyed by bytes: Swift's strings compare by canonical equivalence, names do not.
        var indices: [[UInt8]: Int32] = [:]

        init() {
            for (index, name) in names.enumerated() { indices[Array(name.utf8)] = Int32(index) }
        }
    }

    private let table = ForkableLock(Table(), rank: .names)

    func intern(_ name: String) -> Count {
        table.withLock { table in
            let key = Array(name.utf8)
            if let index = table.indices[key] { return Count(index: index) }
            let index = Int32(table.names.count)
            table.names.append(name)
            table.indices[key] = index
            return Count(index: index)
        }
    }

    func name(of count: Count) -> String {
        table.withLock { $0.names[Int(count.index)] }
    }
}
