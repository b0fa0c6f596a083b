import Foundation

@testable import Admission

extension ScenarioRun {
    /// Takes the step `verb rest -> right`.
    func act(_ verb: String, _ rest: String, _ right: [String]) throws {
        let words = rest.split(separator: " ").map(String.init)
        switch verb {
        case "gate": try openGate(words)
        case "at": try advance(ScenarioText.number(rest) - elapsed)
        case "after": try after(rest, right)
        case "wall": try limiter.setTime(unixNanoseconds: ScenarioText.number(rest))
        case "try": try decide(words[0], words.dropFirst(1), permit: nil, right)
        case "acquire": try decide(words[0], words.dropFirst(2), permit: words[1], right)
        case "complete", "add", "abandon", "drop": try settle(verb, words, right)
        case "peek": try peek(words, right)
        case "reclaim":
            let reclaimed = try limiter.reclaim()
            try expect(["reclaimed": .number(Int64(reclaimed)), "keys": keys()], right)
        case "keys": try expect(["keys": keys()], right)
        case "reload":
            try limiter.reload(policyJSON: scaled(ScenarioText.document(rest)))
            try same("loaded", right)
        case "refused": try refused(rest, right)
        case "run": try run(words, right)
        case "greedy": try greedy(words, right)
        case "threads": try threads(words, right)
        case "edge": try expect(edge(words[0], cost(words.dropFirst())).values, right)
        case "log": try log(words, right)
        case "maxwindow":
            let most = try (logs[words[0]] ?? []).most(in: ScenarioText.number(words[1]))
            try expect(["units": .number(most)], right)
        case "law": try law(words, right)
        default: throw failure("unknown step")
        }
    }

    private func openGate(_ words: [String]) throws {
        let attributes = words.dropFirst().map { word in
            let (name, value) = word.cut(at: "=")
            return Attribute(name, value)
        }
        gates[words[0]] = try limiter.gate(attributes)
    }

    private func after(_ text: String, _ right: [String]) throws {
        guard !right.isEmpty else { return try advance(ScenarioText.number(text)) }
        do {
            try limiter.advance(nanoseconds: ScenarioText.number(text) * scale)
        } catch let error as LimiterError {
            try same("status=\(error.code.status)", right)
        }
    }

    private func decide(
        _ gate: String, _ words: some Sequence<String>, permit: String?, _ right: [String]
    ) throws {
        do {
            try expect(ask(gate, cost(words), permit: permit), right)
        } catch let error as LimiterError {
            try same("status=\(error.code.status)", right)
        }
    }

    private func settle(_ verb: String, _ words: [String], _ right: [String]) throws {
        guard let holder = permits[words[0]], var permit = holder.permit.take() else {
            throw failure("no open permit \(words[0])")
        }
        let usage = try usage(words.dropFirst())
        let settlement: Settlement
        do {
            switch verb {
            case "complete": settlement = try permit.complete(usage)
            case "add":
                settlement = try permit.add(usage)
                holder.permit = consume permit
            case "abandon": settlement = permit.abandon()
            default: settlement = permit.drop()
            }
        } catch {
            return try same("status=\(error.code.status)", right)
        }
        switch settlement {
        case .settled: try same("settled", right)
        case .leaseExpired: try same("lease_expired", right)
        case .alreadyCompleted: try same("already_completed", right)
        case .notOwner: try same("not_owner", right)
        case .storeUnavailable: try same("store_unavailable", right)
        }
    }

    private func peek(_ words: [String], _ right: [String]) throws {
        var words = words[...]
        let gate = try gate(words.removeFirst())
        var wanted: String?
        if let last = words.last, last.hasPrefix("limit=") {
            wanted = String(words.removeLast().dropFirst("limit=".count))
        }
        let explained = try object(gate.explain(cost(words)).json)
        let limits = explained["limits"] as? [[String: Any]] ?? []
        guard let limit = limits.first(where: { wanted == nil || $0["limit"] as? String == wanted })
        else { throw failure("no such limit in \(explained)") }
        var values: [String: ScenarioValue] = [:]
        for (key, name) in [
            ("remaining", "remaining"), ("used", "used"), ("capacity", "capacity"),
            ("full_again", "full_again_in_ns"), ("reset", "reset_unix_ns"),
            ("retry", "retry_after_ns"), ("outcome", "outcome"), ("reason", "reason"),
            ("binds", "binds"),
        ] {
            switch limit[name] {
            case let number as NSNumber where name.hasSuffix("_ns") && key != "reset":
                values[key] = .number(number.int64Value / scale)
            case let number as NSNumber: values[key] = .number(number.int64Value)
            case let text as String: values[key] = .text(text)
            default: values[key] = ScenarioValue.none
            }
        }
        try expect(values, right)
    }

    private func keys() throws -> ScenarioValue {
        guard let keys = try object(limiter.snapshot().json)["keys"] as? NSNumber else {
            throw failure("the snapshot has no keys")
        }
        return .number(keys.int64Value)
    }

    private func object(_ json: String) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any] ?? [:]
    }

    private func refused(_ text: String, _ right: [String]) throws {
        do {
            try open(ScenarioText.document(text)).close()
        } catch let error as LimiterError {
            let status = ScenarioValue.number(Int64(error.code.status))
            try expect(["status": status, "text": .text(error.message)], right)
        }
    }

    private func run(_ words: [String], _ right: [String]) throws {
        let (count, every) = try (argument(words, 1, "count"), argument(words, 2, "every"))
        let cost = try cost(words.dropFirst(3))
        var admitted: Int64 = 0
        for index in 0..<count {
            if index > 0 { try advance(every) }
            if try ask(words[0], cost).isAdmitted { admitted += 1 }
        }
        try expect(["ok": .number(admitted)], right)
    }

    private func greedy(_ words: [String], _ right: [String]) throws {
        let until = try argument(words, 1, "until")
        let cost = try cost(words.dropFirst(2))
        var admitted: Int64 = 0
        while true {
            let outcome = try ask(words[0], cost)
            if outcome.isAdmitted {
                admitted += 1
                guard admitted < 1_000_000 else { throw failure("no end in sight") }
                continue
            }
            let wait = outcome.retryAfterNanoseconds
            guard wait > 0 else { throw failure("no wait to advance by") }
            if elapsed + wait > until { break }
            try advance(wait)
        }
        try expect(["ok": .number(admitted)], right)
    }

    private func log(_ words: [String], _ right: [String]) throws {
        guard let zero else { throw failure("nothing was decided yet") }
        let wait = try (logs[words[0]] ?? []).wait(
            from: zero + elapsed, for: argument(words, 1, "n"),
            limit: argument(words, 2, "limit"), window: argument(words, 3, "window"))
        try expect(["wait": .number(wait)], right)
    }
}
