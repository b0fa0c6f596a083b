import Admission
import Glibc

/// An open permit that a collection can hold.
final class HeldPermit {
    let number: Int64
    let cost: Int64
    let bin: UnsafeMutablePointer<Int64>?
    private var permit: Permit?

    init(
        _ permit: consuming Permit, number: Int64, cost: Int64 = 0,
        bin: UnsafeMutablePointer<Int64>? = nil
    ) {
        self.permit = consume permit
        self.number = number
        self.cost = cost
        self.bin = bin
    }

    func complete(inputTokens: Int64?) -> Int32 {
        guard let permit = permit.take() else { return 400 }
        guard let inputTokens else { return status(permit.complete()) }
        do {
            return status(try permit.complete(Usage(inputTokens: inputTokens)))
        } catch {
            return 304
        }
    }

    func abandon() -> Int32 {
        guard let permit = permit.take() else { return 400 }
        return status(permit.abandon())
    }

    func drop() -> Int32 {
        guard let permit = permit.take() else { return 400 }
        return status(permit.drop())
    }

    func renew() -> Int32 {
        guard let held = permit.take() else { return 400 }
        let result = status(held.renew())
        permit = consume held
        return result
    }

    private func status(_ settlement: Settlement) -> Int32 {
        switch settlement {
        case .settled: 0
        case .alreadyCompleted: 400
        case .notOwner: 401
        case .leaseExpired: 402
        case .storeUnavailable: 601
        }
    }
}

/// The load loop, as in drive.h, step by step.
struct Drive {
    private let gate: Gate
    private let log: DriveLog
    private var random: UInt64
    private var cost: Int64 = 0
    private var numbers: Int64 = 0
    private var held: [HeldPermit] = []

    init(gate: Gate, log: DriveLog) {
        self.gate = gate
        self.log = log
        random = UInt64(bitPattern: log[.seed])
    }

    mutating func run() {
        log[.pid] = Int64(getpid())
        log[.startedNanoseconds] = monotonicNanoseconds()
        let end = monotonicNanoseconds() + log[.forNanoseconds]
        cost = nextCost()
        while log[.stop] == 0, monotonicNanoseconds() < end {
            let choice = nextRandom() >> 8
            if log[.held] == log[.most] || (log[.held] > 0 && choice % 4 == 0) {
                endOldest(choice >> 8)
            } else {
                acquire()
            }
        }
        while !held.isEmpty { endOldest(7) }
        log[.endedNanoseconds] = monotonicNanoseconds()
    }

    /// xorshift64 (Marsaglia 2003).
    private mutating func nextRandom() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random
    }

    private mutating func nextCost() -> Int64 {
        1 + Int64(nextRandom() % UInt64(log[.largest]))
    }

    private mutating func acquire() {
        let called = monotonicNanoseconds()
        log[.mark] = DriveLog.Operation.acquire.rawValue
        do throws(LimiterError) {
            switch try gate.tryAcquire(Cost(inputTokens: cost)) {
            case .admitted(let permit):
                admitted(permit, called)
            case .rejected(let rejection):
                refused(rejection, called)
            }
        } catch {
            log[.mark] = 0
            log[.errors] += 1
            log[.lastError] = 1
            if log[.errors] == 1 { write(error) }
            pause(nanoseconds: 1_000_000)
        }
    }

    /// Swift names its codes, and the log holds numbers: the first error goes to standard error.
    private func write(_ error: LimiterError) {
        var text = "\(error)\n"
        text.withUTF8 { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }

    private mutating func admitted(_ permit: consuming Permit, _ called: Int64) {
        log[.mark] = 0
        log[.operations] += 1
        let at = permit.binding.decidedAt.nanoseconds
        let atUnix = permit.binding.decidedAtWall.unixNanoseconds
        numbers += 1
        let entry = HeldPermit(permit, number: numbers, cost: cost, bin: log.bin(at: at))
        if let bin = entry.bin { bin.pointee += cost }
        log.write(1, at, atUnix, cost, 1, numbers, called)
        log[.admitted] += 1
        log[.units] += cost
        held.append(entry)
        log[.held] += 1
        cost = nextCost()
        guard log[.holdNanoseconds] > 0 else { return }
        let elapsed = monotonicNanoseconds() - log[.startedNanoseconds]
        let isRamp = elapsed < log[.rampNanoseconds]
        pause(nanoseconds: isRamp ? log[.rampHoldNanoseconds] : log[.holdNanoseconds])
    }

    private mutating func refused(_ rejection: Rejection, _ called: Int64) {
        log[.mark] = 0
        log[.operations] += 1
        log[.refused] += 1
        if log[.every] != 0 {
            let at = rejection.binding.decidedAt.nanoseconds
            let atUnix = rejection.binding.decidedAtWall.unixNanoseconds
            log.write(1, at, atUnix, cost, 2, Int64(rejection.reason.rawValue), called)
        }
        if log[.renews] != 0, let oldest = held.first {
            log[.mark] = DriveLog.Operation.renew.rawValue
            _ = oldest.renew()
            log[.mark] = 0
            log[.operations] += 1
        }
        if log[.pollNanoseconds] > 0 { pause(nanoseconds: log[.pollNanoseconds]) }
    }

    /// What goes back leaves its bin before the call: a worker that dies in between is counted as
    /// having used less, never more.
    private mutating func endOldest(_ choice: UInt64) {
        let entry = held.removeFirst()
        log[.held] -= 1
        var operation = DriveLog.Operation.complete
        var usage: Int64?
        var back: Int64 = 0
        if log[.mixedEnds] != 0 {
            switch choice % 8 {
            case 0, 1:
                usage = entry.cost / 2
                back = entry.cost - entry.cost / 2
            case 2: (operation, back) = (.abandon, entry.cost)
            case 3: operation = .drop
            default: break
            }
        }
        if let bin = entry.bin { bin.pointee -= back }
        let called = monotonicNanoseconds()
        log[.mark] = operation.rawValue
        let status =
            switch operation {
            case .abandon: entry.abandon()
            case .drop: entry.drop()
            default: entry.complete(inputTokens: usage)
            }
        log[.mark] = 0
        log[.operations] += 1
        if status == 402 {
            log[.expired] += 1
        } else if status != 0 {
            log[.errors] += 1
            log[.lastError] = Int64(status)
        }
        log.write(2, back, operation.rawValue, entry.cost, Int64(status), entry.number, called)
    }
}
