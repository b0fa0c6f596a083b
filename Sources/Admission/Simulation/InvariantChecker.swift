/// Recomputes from a plain log of decisions that no limit was ever exceeded.
///
/// ```swift
/// var checker = try InvariantChecker(
///     policy: document, callers: workload.callers,
///     startUnixNanoseconds: workload.startUnixNanoseconds)
/// checker.check(report.log)
/// print(checker.violationCount)
/// ```
///
/// It finds the policies and keys of a caller by itself and keeps every charge one by one, so that
/// a fault of the limiter is not repeated here. A unit counts from its decision up to the cost; what
/// a call used above it counts from the settlement and may exceed a limit, but no call may be
/// admitted on top of it. It does not ask whether a rejection was needed.
public struct InvariantChecker: Sendable {
    /// A call that was admitted though a limit had no room for it.
    public struct Violation: Sendable, Hashable, CustomStringConvertible {
        /// The policy that declares the limit.
        public let policyName: String
        /// The limit.
        public let limitName: String
        /// The call, as an index into the workload's arrivals.
        public let call: Int
        /// When it was admitted, in nanoseconds after the workload's start.
        public let atNanoseconds: Int64
        /// What the limit held with the call.
        public let used: Int64
        /// What it may hold.
        public let capacity: Int64
        /// Whether it was admitted within the guard after a calendar boundary.
        public let isWithinGuard: Bool

        public var description: String {
            let fault = isWithinGuard ? "within the guard after a boundary" : "above the limit"
            return "\(policyName)/\(limitName): call \(call) at \(atNanoseconds) ns admitted "
                + "\(fault): \(used) of \(capacity) used"
        }
    }

    /// What is kept of `violations`; the others are only counted.
    public static let maximumViolations = 100

    /// The first violations, at most `maximumViolations`.
    public private(set) var violations: [Violation] = []
    /// How many there were in all.
    public private(set) var violationCount = 0
    /// How many admissions were checked.
    public private(set) var admissionCount = 0

    /// Each limit of the document, in its order, with what all its keys came to.
    private(set) var accounts: [LimitAccount] = []
    private var ledgers: [KeyedLedger] = []
    /// Each caller's ledgers, as a range of `ledgerIndices`.
    private var ledgersOfCaller: [Range<Int>] = []
    private var ledgerIndices: [Int] = []
    private var openCalls: [Int: OpenCall] = [:]

    /// One limit key's ledger, and which limit it belongs to.
    private struct KeyedLedger: Sendable {
        let account: Int
        var ledger: LimitLedger
    }

    /// An admitted call that has not been settled.
    private struct OpenCall: Sendable {
        let entry: DecisionLog.Entry
        /// What each of the caller's ledgers gave for the charge, in their order.
        let charges: [Int64]
    }

    /// A checker with empty ledgers.
    ///
    /// - Parameters:
    ///   - policy: What was enforced.
    ///   - callers: The attribute sets that the log's entries point into.
    ///   - startUnixNanoseconds: Wall time of the log's instant 0.
    /// - Throws: `zoneUnavailable` for a zone that is gone since the document was read,
    ///   `missingAttribute` where a policy counts by an attribute that a caller lacks.
    /// - Complexity: O(callers × policies).
    public init(
        policy: PolicyDocument, callers: [[Attribute]], startUnixNanoseconds: Int64
    ) throws(LimiterError) {
        var firstAccount: [Int] = []
        for policy in policy.policies {
            firstAccount.append(accounts.count)
            accounts += policy.limits.map { LimitAccount(policyName: policy.name, limit: $0) }
        }
        // Names and values are compared as bytes, which Swift's strings do not do.
        var firstLedgerOfKey: [[UInt8]: Int] = [:]
        for caller in callers {
            let firstIndex = ledgerIndices.count
            for (index, applied) in policy.policies.enumerated()
            where applied.applies(to: caller, in: policy) {
                let key = try applied.keyBytes(index: index, caller: caller)
                let firstLedger = firstLedgerOfKey[key] ?? ledgers.count
                if firstLedger == ledgers.count {
                    firstLedgerOfKey[key] = firstLedger
                    for (offset, limit) in applied.limits.enumerated() {
                        try addLedger(
                            limit, account: firstAccount[index] + offset,
                            startUnixNanoseconds: startUnixNanoseconds)
                    }
                }
                ledgerIndices += firstLedger..<firstLedger + applied.limits.count
            }
            ledgersOfCaller.append(firstIndex..<ledgerIndices.count)
        }
    }

    private mutating func addLedger(
        _ limit: Limit, account: Int, startUnixNanoseconds: Int64
    ) throws(LimiterError) {
        do {
            let ledger = try LimitLedger(limit, startUnixNanoseconds: startUnixNanoseconds)
            ledgers.append(KeyedLedger(account: account, ledger: ledger))
            accounts[account].keyCount += 1
        } catch {
            throw LimiterError(.zoneUnavailable, error.description)
        }
    }

    /// Checks a whole log, after what was checked before.
    public mutating func check(_ log: DecisionLog) {
        for entry in log.entries { check(entry) }
    }

    /// Checks what happened next: entries come in the order of their instants.
    ///
    /// An entry that settles a call that is not open is ignored.
    ///
    /// - Complexity: amortised O(limits of the caller).
    public mutating func check(_ entry: DecisionLog.Entry) {
        switch entry.event {
        case .admitted: admit(entry)
        case .rejected: break
        case .settled: settle(entry)
        }
    }

    private mutating func admit(_ entry: DecisionLog.Entry) {
        admissionCount += 1
        var charges: [Int64] = []
        for index in ledgersOfCaller[entry.caller] {
            let position = ledgerIndices[index]
            let account = ledgers[position].account
            let amount = entry.amount(of: accounts[account].limit.count)
            // A cost of 0 charges nothing: a guard does not hold it up.
            let isGuarded =
                amount > 0
                && ledgers[position].ledger.isGuarded(atNanoseconds: entry.atNanoseconds)
            charges.append(
                ledgers[position].ledger.charge(amount, atNanoseconds: entry.atNanoseconds))
            accounts[account].units += amount
            notePeak(of: position, entry)
            let used = ledgers[position].ledger.used
            let capacity = ledgers[position].ledger.capacity
            if used > capacity || isGuarded {
                note(
                    Violation(
                        policyName: accounts[account].policyName,
                        limitName: accounts[account].limit.name, call: entry.call,
                        atNanoseconds: entry.atNanoseconds, used: used, capacity: capacity,
                        isWithinGuard: isGuarded))
            }
        }
        openCalls[entry.call] = OpenCall(entry: entry, charges: charges)
    }

    private mutating func settle(_ entry: DecisionLog.Entry) {
        guard let call = openCalls.removeValue(forKey: entry.call) else { return }
        for (index, charge) in zip(ledgersOfCaller[call.entry.caller], call.charges) {
            let position = ledgerIndices[index]
            let account = ledgers[position].account
            let count = accounts[account].limit.count
            let isSlot = count == .concurrency
            let difference =
                isSlot ? -1 : entry.amount(of: count) - call.entry.amount(of: count)
            ledgers[position].ledger.settle(
                charge: charge, difference: difference, atNanoseconds: entry.atNanoseconds)
            if isSlot {
                accounts[account].heldNanoseconds +=
                    Int128(entry.atNanoseconds - call.entry.atNanoseconds)
            } else {
                accounts[account].units += difference
            }
            notePeak(of: position, entry)
        }
    }

    private mutating func notePeak(of position: Int, _ entry: DecisionLog.Entry) {
        let used = ledgers[position].ledger.used
        let account = ledgers[position].account
        guard used > accounts[account].peak else { return }
        accounts[account].peak = used
        accounts[account].peakAtNanoseconds = entry.atNanoseconds
        accounts[account].peakCaller = entry.caller
    }

    private mutating func note(_ violation: Violation) {
        violationCount += 1
        if violations.count < Self.maximumViolations { violations.append(violation) }
    }
}

/// What all keys of one limit came to.
struct LimitAccount: Sendable {
    let policyName: String
    let limit: Limit
    /// Keys that a caller has.
    var keyCount = 0
    /// Units charged, after settlement.
    var units: Int64 = 0
    /// Concurrency: how long slots were held, in all.
    var heldNanoseconds: Int128 = 0
    /// The most that one key held.
    var peak: Int64 = 0
    var peakAtNanoseconds: Int64 = 0
    /// A caller of the key that held it.
    var peakCaller = 0

    init(policyName: String, limit: Limit) {
        self.policyName = policyName
        self.limit = limit
    }
}

extension Policy {
    /// Whether the policy applies to such a request; attributes are compared as bytes.
    fileprivate func applies(to attributes: [Attribute], in document: PolicyDocument) -> Bool {
        if isDefault {
            return !document.policies.contains {
                !$0.isDefault && !$0.match.isEmpty && $0.matches(attributes)
            }
        }
        return matches(attributes)
    }

    private func matches(_ attributes: [Attribute]) -> Bool {
        match.allSatisfy { wanted in
            guard let value = attributes.value(of: wanted.name) else { return false }
            return switch wanted.condition {
            case .value(let other): value.utf8.elementsEqual(other.utf8)
            case .oneOf(let others): others.contains { value.utf8.elementsEqual($0.utf8) }
            case .present: true
            }
        }
    }

    /// The policy's place in its document and the values that it counts by, as bytes.
    fileprivate func keyBytes(
        index: Int, caller: [Attribute]
    ) throws(LimiterError) -> [UInt8] {
        var bytes = Array(String(index).utf8)
        for name in per {
            guard let value = caller.value(of: name) else {
                throw LimiterError(
                    .missingAttribute, "policy \(self.name) counts by \(name), which is missing")
            }
            bytes += Array(" \(value.utf8.count) ".utf8) + Array(value.utf8)
        }
        return bytes
    }
}

extension [Attribute] {
    fileprivate func value(of name: String) -> String? {
        first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}
