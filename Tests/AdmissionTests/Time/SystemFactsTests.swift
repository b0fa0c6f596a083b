import Foundation
import Testing

@testable import Admission

@Suite struct SystemFactsTests {
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
        let system = SystemFacts()
        let startTime = system.startTime(of: getpid())
        #expect(startTime > 0)
        #expect(system.isAlive(pid: getpid(), startTime: startTime))
        #expect(system.isAlive(pid: getpid(), startTime: 0))
        #expect(!system.isAlive(pid: getpid(), startTime: startTime + 1))
        for pid in [Int32(0), -1, .min, .max] { #expect(!system.isAlive(pid: pid, startTime: 0)) }
        #expect(system.isAlive(pid: 1, startTime: 0))
        #expect(system.bootIdentity != 0 && system.pidNamespace != 0)
    }

    @Test("a child that has ended is dead, waited for or not")
    func child() throws {
        let system = SystemFacts()
        let child = ForkedChild { _exit(0) }
        var status = siginfo_t()
        waitid(P_PID, id_t(child.pid), &status, WEXITED | WNOWAIT)
        #expect(!system.isAlive(pid: child.pid, startTime: 0), "it waits for its parent")
        child.wait()
        #expect(!system.isAlive(pid: child.pid, startTime: 0))
    }

    @Test("a boot's identity is that of its UUID")
    func boot() {
        let text = Array("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n".utf8)
        let halves: (UInt64, UInt64) = (0x0f1e_2d3c_4b5a_6978, 0x8796_a5b4_c3d2_e1f0)
        #expect(SystemFacts.bootIdentity(text) == halves.0 ^ halves.1)
        #expect(SystemFacts.bootIdentity(Array("nothing".utf8)) == 0)
        #expect(SystemFacts.bootIdentity([]) == 0)
    }

    @Test("file systems are known by their number")
    func fileSystems() throws {
        var system = SystemFacts()
        #expect(
            system.fileSystemName(0x6969) == "NFS" && system.fileSystemTrust(0x6969) == .network)
        for type: UInt64 in [
            0xff53_4d42, 0x0102_1997, 0xc3_6400, 0x5346_414f, 0x0bd0_0bd0, 0x0116_1970,
        ] {
            #expect(system.fileSystemTrust(type) == .network)
        }
        #expect(system.fileSystemTrust(0x0102_1994) == .good)
        // As a signed word of 32 bits would be widened.
        #expect(system.fileSystemName(0xffff_ffff_ff53_4d42) == "CIFS")
        #expect(
            system.fileSystemName(0x1234) == "0x1234" && system.fileSystemTrust(0x1234) == .unproven
        )
        let descriptor = open("/dev/shm", O_RDONLY)
        defer { close(descriptor) }
        if descriptor >= 0 {
            #expect(system.fileSystemName(system.fileSystemType(of: descriptor)) == "tmpfs")
        }
        #expect(system.fileSystemType(of: -1) == 0)
        system.standIn.fileSystemType = 0x6969
        #expect(system.fileSystemType(of: descriptor) == 0x6969)
    }
}
