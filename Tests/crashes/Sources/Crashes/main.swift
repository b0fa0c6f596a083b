// Dies at the n-th shared write of every operation, for every n, and looks at what the survivors
// find: `crashes DIRECTORY [OPERATION] [--even | --odd]`.
import Admission
import Glibc

/// How a child ended.
enum End {
    case complete, killed
    /// It asked for another try.
    case again
}

/// Runs `body` in a child.
func child(_ body: () throws -> Void) throws -> End {
    let pid = fork()
    guard pid >= 0 else { throw Fault("fork: errno \(errno)") }
    if pid == 0 {
        do {
            try body()
            _exit(0)
        } catch is NotAtOnce {
            _exit(4)
        } catch {
            print("  in the child: \(error)")
            fflush(stdout)
            _exit(3)
        }
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    if status == 0 { return .complete }
    if status == 4 << 8 { return .again }
    guard status & 0x7f == SIGKILL else { throw Fault("the child ended with status \(status)") }
    return .killed
}

/// What came of one process that was armed.
struct Trial {
    var end: End
    /// It died between taking and giving back.
    var isBetween = false
}

/// Has a process die at one write of an operation, or come to its end.
func run(_ operation: Operation, path: String, number: Int) throws -> Trial {
    let world = try World(path: path, for: operation)
    defer { world.end() }
    let end = try child {
        let member = try Member(world)
        var other: Member?
        if let act = operation.other {
            let process = try Member(world)
            other = process
            CrashPoint.interpose(before: act.write) {
                do { try act.act(process) } catch { fatalError("\(error)") }
            }
        }
        if operation.isAtOnce { try member.openShortWays() }
        let prepared = try operation.prepare(world, member)
        if let dead = operation.dead {
            // Behind the opening of this process, which would find it.
            _ = try child {
                try dead(world)
                kill(getpid(), SIGKILL)
            }
        }
        CrashPoint.arm(number)
        try operation.act(world, member, prepared)
        CrashPoint.arm(0)
        guard other == nil || CrashPoint.isInterposed else { throw Fault("nobody came between") }
        World.finish(other)
        World.finish(member)
    }
    let instant = monotonicNanoseconds()
    if end == .again { return Trial(end: .again) }
    let isSweeping = operation.dead != nil && world.ownersBeingSwept > 0
    do {
        let isBetween = try world.inspect(
            operation, diedAt: end == .killed ? number : nil, seen: instant)
        return Trial(end: end, isBetween: isBetween || isSweeping)
    } catch  where world.isOver {
        return Trial(end: .again)
    }
}

/// - Returns: at how many writes the operation was ended.
func run(_ operation: Operation, path: String) throws -> Int {
    var number = 1
    var repeated = 0
    var between = 0
    while true {
        let trial: Trial
        do {
            trial = try run(operation, path: path, number: number)
        } catch {
            throw Fault("died at write \(number): \(error)")
        }
        if trial.end == .again {
            repeated += 1
            guard repeated < 100 else { throw Fault("the short way stays closed") }
            continue
        }
        if trial.isBetween { between += 1 }
        guard trial.end == .killed else { break }
        number += 1
    }
    if operation.isSeenBetween && between == 0 {
        throw Fault("no death was seen between taking and giving back")
    }
    return number - 1
}

/// Making the file: a path names nothing or a whole file.
func create(_ kind: World.Kind, path: String) throws -> Int {
    let operation = Operation(name: "create", kind: kind, act: { _, _, _ in })
    var number = 1
    while true {
        unlink(path)
        let end = try child {
            CrashPoint.arm(number)
            let limiter = try Limiter(
                policyJSON: kind.document.json,
                options: Limiter.Options(
                    store: "file:\(path)",
                    clock: kind == .system ? .system : .manual(startUnixNanoseconds: 0),
                    heartbeat: kind == .system ? .manual : .automatic))
            World.finish(limiter)
        }
        let instant = monotonicNanoseconds()
        let world = try World(path: path, for: operation, isNew: false)
        defer { world.end() }
        do {
            try world.inspect(operation, diedAt: nil, seen: instant)
        } catch  where world.isOver {
            continue
        }
        if end == .complete { return number - 1 }
        number += 1
    }
}

setvbuf(stdout, nil, _IOLBF, 0)
guard CommandLine.arguments.count >= 2 else {
    print("usage: crashes DIRECTORY [OPERATION]")
    exit(2)
}
let path = CommandLine.arguments[1] + "/quota"
let wanted = CommandLine.arguments.dropFirst(2).first.flatMap { $0.hasPrefix("--") ? nil : $0 }
/// Two processes share the work, one on each core: `--even` and `--odd`; neither: all of it.
let isEven = CommandLine.arguments.contains("--even")
let isOdd = CommandLine.arguments.contains("--odd")
var reported = 0
var passed = 0
var failed = 0

func report(_ name: String, _ body: () throws -> Int) {
    guard wanted == nil || wanted == name else { return }
    reported += 1
    if isEven && reported % 2 == 1 || isOdd && reported % 2 == 0 { return }
    let begun = monotonicNanoseconds()
    do {
        let writes = try body()
        guard writes > 0 else { throw Fault("it never wrote") }
        passed += 1
        let milliseconds = (monotonicNanoseconds() - begun) / 1_000_000
        print("ok: \(name): died at each of \(writes) shared writes (\(milliseconds) ms)")
    } catch {
        failed += 1
        print("FAILED: \(name): \(error)")
    }
}

let closed = Member.closedWays
for operation in Operation.all where !operation.isAtOnce || closed == nil {
    report(operation.name) { try run(operation, path: path) }
}
if let closed { print("NOT TRIED: the short ways of a decision, closed here: \(closed)") }
report("create") { try create(.manual, path: path) }
report("create by the system's clock") { try create(.system, path: path) }
print("\(passed) passed, \(failed) failed")
exit(failed == 0 ? 0 : 1)
