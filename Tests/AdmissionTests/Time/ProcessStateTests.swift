import Foundation
import Testing

@testable import Admission

@Suite struct ProcessStateTests {
    private func line(_ name: String, _ state: String, threads: Int = 1) -> [UInt8] {
        Array(
            "42 (\(name)) \(state) 1 42 42 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 \(threads) 0 98765 7 8 9\n"
                .utf8)
    }

    @Test("a process' line tells its state and start, whatever its name")
    func stat() {
        for name in ["sleep", "a b", ") Z 1", "((", ""] {
            #expect(ProcessTable.parse(line(name, "S")) == .running(startTime: 98_765))
            #expect(ProcessTable.parse(line(name, "T")) == .running(startTime: 98_765), "stopped")
            #expect(ProcessTable.parse(line(name, "Z")) == .gone)
            #expect(ProcessTable.parse(line(name, "X")) == .gone)
        }
        #expect(
            ProcessTable.parse(line("x", "Z", threads: 2)) == .running(startTime: 98_765),
            "the first thread ended, another one runs")
        for text in [
            "", "42", "42 (x", "42 (x)", "42 (x) S 1 2 3",
            "42 (x) S" + String(repeating: " y", count: 40),
        ] {
            #expect(ProcessTable.parse(Array(text.utf8)) == nil)
        }
    }

    @Test("this process lives since its start, and no other time")
    func own() {
        let system = SystemFacts.current
        let startTime = system.startTime(of: getpid())
        #expect(startTime > 0)
        #expect(system.isAlive(pid: getpid(), startTime: startTime))
        #expect(system.isAlive(pid: getpid(), startTime: 0))
        #expect(!system.isAlive(pid: getpid(), startTime: startTime + 1))
        for pid in [Int32(0), -1, .min, .max] { #expect(!system.isAlive(pid: pid, startTime: 0)) }
        #expect(system.isAlive(pid: 1, startTime: 0))
        #expect(system.bootIdentity != 0 && system.pidNamespace() != 0)
    }

    @Test("a child that has ended is dead, waited for or not")
    func child() throws {
        let system = SystemFacts.current
        let child = ForkedChild { _exit(0) }
        var status = siginfo_t()
        waitid(P_PID, id_t(child.pid), &status, WEXITED | WNOWAIT)
        #expect(!system.isAlive(pid: child.pid, startTime: 0), "it waits for its parent")
        child.wait()
        #expect(!system.isAlive(pid: child.pid, startTime: 0))
    }
}
