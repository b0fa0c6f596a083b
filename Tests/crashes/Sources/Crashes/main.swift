// Dies at the n-th shared write of every operation, for every n, and looks at what the survivors
// find: `crashes DIRECTORY [OPERATION] [--even | --odd]`.
import Admission
import Glibc

/// Runs `body` in a child; true when it came to its end, false when it was killed.
func child(_ body: () throws -> Void) throws -> Bool {
    let pid = fork()
    guard pid >= 0 else { throw Fault("fork: errno \(errno)") }
    if pid == 0 {
        do {
            try body()
            _exit(0)
        } catch {
            print("  in the child: \(error)")
            fflush(stdout)
            _exit(3)
        }
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    if status == 0 { return true }
    guard status & 0x7f == SIGKILL else { throw Fault("the child ended with status \(status)") }
    return false
}

/// - Returns: at how many writes the operation was ended.
func run(_ operation: Operation, path: String) throws -> Int {
    var number = 1
    while true {
        let world = try World(path: path, isLater: operation.isLater)
        do {
            let isComplete = try child {
                let member = try World.Member(world)
                let prepared = try operation.prepare(member)
                CrashPoint.arm(number)
                try operation.act(member, prepared)
                CrashPoint.arm(0)
            }
            try world.inspect(operation, isComplete: isComplete)
            if isComplete { return number - 1 }
        } catch {
            throw Fault("died at write \(number): \(error)")
        }
        number += 1
    }
}

/// Making the file: a path names nothing or a whole file.
func create(path: String) throws -> Int {
    var number = 1
    while true {
        unlink(path)
        let isComplete = try child {
            CrashPoint.arm(number)
            let limiter = try Limiter(
                policyJSON: World.firstPolicy,
                options: Limiter.Options(
                    store: "file:\(path)", clock: .manual(startUnixNanoseconds: 0)))
            World.finish(limiter)
        }
        let world = try World(path: path, isLater: false, isNew: false)
        try world.inspect(Operation(name: "create", act: { _, _ in }), isComplete: true)
        if isComplete { return number - 1 }
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
    do {
        let writes = try body()
        guard writes > 0 || name == "renew" else { throw Fault("it never wrote") }
        passed += 1
        print("ok: \(name): died at each of \(writes) shared writes")
    } catch {
        failed += 1
        print("FAILED: \(name): \(error)")
    }
}

for operation in Operation.all { report(operation.name) { try run(operation, path: path) } }
report("create") { try create(path: path) }
print("\(passed) passed, \(failed) failed")
exit(failed == 0 ? 0 : 1)
