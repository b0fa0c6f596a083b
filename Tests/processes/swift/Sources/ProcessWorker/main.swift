// A process under test, in Swift: takes one command a line on standard input and answers each with one
// line, as worker.c does. README.md above lists the commands.
import Admission
import AdmissionRedis
import Glibc

/// One limiter, its gates by name, and the open permits by a number of the worker's own.
struct Worker {
    private var limiter: Limiter?
    private var gates: [String: Gate] = [:]
    private var permits: [Int64: HeldPermit] = [:]
    private var numbers: Int64 = 0

    mutating func obey(_ words: [String]) -> String {
        do throws(LimiterError) {
            switch (words[0], words.count) {
            case ("ready", 1): return "ok"
            case ("open", 3...): return try open(words)
            case ("gate", 2...): return try openGate(words)
            case ("acquire", 3): return try acquire(words[1], Int64(words[2]) ?? 0)
            case ("complete", 2...), ("abandon", 2), ("drop", 2), ("renew", 2): return end(words)
            case ("drive", 3): return drive(words[1], words[2])
            case ("explain", 2):
                return "json " + (try gates[words[1]]?.explain().json ?? "{}")
            case ("snapshot", 1): return "json " + (limiter?.snapshot().json ?? "{}")
            case ("events", 1):
                let events = limiter?.events().map(\.json) ?? []
                return "json [" + events.joined(separator: ",") + "]"
            case ("metrics", 1):
                return "text "
                    + (limiter?.metrics() ?? "").split(separator: "\n").joined(separator: "|")
            case ("close", 1): return close()
            default: return "error refused unknown command"
            }
        } catch {
            return "error \(error.code.name) \(error.message)"
        }
    }

    private mutating func open(_ words: [String]) throws(LimiterError) -> String {
        var options = Limiter.Options(store: words[1], openers: [.redis])
        if words.count > 3, words[3] == "manual" { options.heartbeat = .manual }
        limiter = try Limiter(policyPath: words[2], options: options)
        return "ok"
    }

    private mutating func openGate(_ words: [String]) throws(LimiterError) -> String {
        var attributes: [Attribute] = []
        for word in words.dropFirst(2) {
            let pair = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            attributes.append(Attribute(String(pair[0]), String(pair.count > 1 ? pair[1] : "")))
        }
        gates[words[1]] = try limiter?.gate(attributes)
        return "ok"
    }

    private mutating func acquire(
        _ name: String, _ tokens: Int64
    ) throws(LimiterError) -> String {
        guard let gate = gates[name] else { return "error refused no such gate" }
        switch try gate.tryAcquire(Cost(inputTokens: tokens)) {
        case .admitted(let permit):
            numbers += 1
            let at = permit.binding.decidedAt.nanoseconds
            let atUnix = permit.binding.decidedAtWall.unixNanoseconds
            let mode = permit.binding.storeMode
            permits[numbers] = HeldPermit(permit, number: numbers)
            return "admitted \(numbers) \(at) \(atUnix) \(mode)"
        case .rejected(let rejection):
            let unknown: Int64 = rejection.isNever ? -1 : -2
            let after = rejection.retryAfterNanoseconds ?? unknown
            let binding = rejection.binding
            return
                "rejected \(rejection.reason) \(after) \(binding.limitName ?? "-") \(binding.storeMode)"
        }
    }

    private mutating func end(_ words: [String]) -> String {
        guard let number = Int64(words[1]), let permit = permits[number] else {
            return "status 400"
        }
        if words[0] == "renew" { return "status \(permit.renew())" }
        permits[number] = nil
        switch words[0] {
        case "abandon": return "status \(permit.abandon())"
        case "drop": return "status \(permit.drop())"
        default:
            return "status \(permit.complete(inputTokens: words.count > 2 ? Int64(words[2]) : nil))"
        }
    }

    private func drive(_ name: String, _ path: String) -> String {
        guard let gate = gates[name], let log = DriveLog(path: path) else {
            return "error refused no log"
        }
        var drive = Drive(gate: gate, log: log)
        drive.run()
        return "ok"
    }

    private mutating func close() -> String {
        gates.removeAll()
        limiter?.close()
        limiter = nil
        return "ok"
    }
}

var worker = Worker()
while let line = readLine() {
    let words = line.split(separator: " ").map(String.init)
    if words == ["quit"] { break }
    if words.isEmpty { continue }
    print(worker.obey(words))
    fflush(nil)
}
