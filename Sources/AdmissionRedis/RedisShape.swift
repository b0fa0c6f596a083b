/// How many limits of which kind each scope of a call has: what the deciding scripts are unrolled for.
///
/// Deciding costs a server most where a script makes tables and loops; the quick part of a script has
/// neither, since it is written out for one shape. A policy file has a handful of shapes, and a server
/// caches a script for each.
struct RedisShape: Sendable, Hashable {
    struct Scope: Sendable, Hashable {
        var rolling = 0
        var calendar = 0
        var concurrency = 0
        var bucket = 0
    }

    var scopes: [Scope]

    /// Whether the quick parts fit: a Lua function has 200 local variables, and few more registers.
    var isUnrollable: Bool {
        scopes.reduce(12) { locals, scope in
            locals + 15 + 8 * (scope.rolling + scope.calendar + scope.concurrency)
                + 11 * scope.bucket
        } <= 150
    }

    /// A quick part, written out: docs/redis-protocol.md, *How a script is composed*.
    func unrolled(_ template: String) -> String {
        let lines = template.split(separator: "\n", omittingEmptySubsequences: false)
        return Self.expand(lines[...], in: parts, [:]).joined(separator: "\n")
    }

    // MARK: What a template is about

    /// A scope or a limit, and what its tokens stand for.
    private struct Part {
        var tokens: [String: String]
        var limits: [(kind: String, tokens: [String: String])] = []
    }

    private var parts: [Part] {
        var (state, number) = (2, 0)
        return scopes.enumerated().map { index, scope in
            let kinds = [
                ("rolling", scope.rolling), ("calendar", scope.calendar),
                ("concurrency", scope.concurrency), ("bucket", scope.bucket),
            ].flatMap { Array(repeating: $0.0, count: $0.1) }
            // Words of the head, of the parameters, and of what is asked.
            let head = RedisScope.headWords + 3 * kinds.count - scope.bucket
            let plan = 2 * kinds.count + scope.bucket
            let cost = kinds.count + scope.bucket
            let changes =
                3 * (scope.rolling + scope.calendar) + scope.concurrency + 4 * scope.bucket
            func format(_ count: Int) -> String { "<" + String(repeating: "L", count: count) }
            var part = Part(tokens: [
                "ASK_AT": "\(index + 2)", "STATE_KEY": "\(state)", "HEAD_END": "\(8 * head - 1)",
                "HEAD_BYTES": "\(8 * head)", "ACQUIRE_FORMAT": format(plan + cost),
                "SETTLE_FORMAT": format(plan + changes), "HEAD_FORMAT": format(head - 1),
                "BRIEF_FORMAT": format(head - 4), "_S": "_\(index + 1)",
            ])
            let leases = state + (scope.rolling > 0 ? 1 : 0)
            for (place, kind) in kinds.enumerated() {
                number += 1
                let own = [
                    "_I": "_\(number)", "CELLS_AT": "\(8 * (9 + plan + cost + place) + 1)",
                    "LEASE_KEY": "\(leases + 1 + place - scope.rolling - scope.calendar)",
                ]
                part.limits.append((kind, part.tokens.merging(own) { $1 }))
            }
            state = leases + scope.concurrency + 1
            return part
        }
    }

    // MARK: Writing it out

    /// `--[[each KIND]]` to `--[[end]]`: the lines once for each; elsewhere `--[[KIND: TEXT]]`: the text.
    private static func expand(
        _ template: ArraySlice<Substring>, in parts: [Part], _ tokens: [String: String]
    ) -> [String] {
        var lines: [String] = []
        var rest = template
        while let line = rest.popFirst() {
            guard let kind = line.wholeMatch(of: /\ *--\[\[each (\w+)\]\]/)?.1 else {
                let written = line.replacing(/--\[\[(\w+):(.*?)\]\]/) { match in
                    each(match.1, in: parts).map { fill(match.2, $0.tokens) }.joined()
                }
                lines.append(fill(written, tokens))
                continue
            }
            var (body, depth) = (template[rest.startIndex..<rest.startIndex], 1)
            while depth > 0, let line = rest.popFirst() {
                if line.contains("--[[each ") { depth += 1 }
                if line.contains("--[[end]]") { depth -= 1 }
                body = template[body.startIndex..<rest.startIndex]
            }
            for part in each(kind, in: parts) {
                lines += expand(
                    body.dropLast(), in: part.limits.isEmpty ? parts : [part], part.tokens)
            }
        }
        return lines
    }

    private static func each(_ kind: Substring, in parts: [Part]) -> [Part] {
        if kind == "scope" { return parts }
        return parts.flatMap(\.limits).filter { kind == "limit" || $0.kind == kind }
            .map { Part(tokens: $0.tokens) }
    }

    private static func fill(
        _ text: some StringProtocol, _ tokens: [String: String]
    ) -> String {
        tokens.reduce(String(text)) { $0.replacing($1.key, with: $1.value) }
    }
}
