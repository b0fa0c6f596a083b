import Foundation

/// A forked child of the test's process, which does something and then waits to be killed.
struct ForkedChild {
    let pid: Int32
    private let descriptor: Int32

    private typealias Fork = @convention(c) () -> Int32

    /// - Parameter body: run in the child. It shall not return to the test: what it throws or records
    ///   is lost; `isReady` tells how it went.
    init(_ body: () -> Bool) {
        var pipe: (read: Int32, write: Int32) = (-1, -1)
        withUnsafeMutableBytes(of: &pipe) { bytes in
            _ = Foundation.pipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress)
        }
        let symbol = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork")
        let child = unsafeBitCast(symbol, to: Fork.self)()
        if child == 0 {
            // Whatever happens to the test, the child ends. Its thread may have every signal blocked, as
            // threads of pools have.
            var alarms = sigset_t()
            sigemptyset(&alarms)
            sigaddset(&alarms, SIGALRM)
            pthread_sigmask(SIG_UNBLOCK, &alarms, nil)
            alarm(60)
            close(pipe.read)
            var answer: UInt8 = body() ? 1 : 0
            write(pipe.write, &answer, 1)
            while true { pause() }
        }
        close(pipe.write)
        pid = child
        descriptor = pipe.read
    }

    /// Waits until the child's body has ended; whether it returned true.
    func isReady() -> Bool {
        var answer: UInt8 = 0
        return read(descriptor, &answer, 1) == 1 && answer == 1
    }

    /// Ends the child as no handler can prevent, and waits for its end.
    func kill() {
        _ = Foundation.kill(pid, SIGKILL)
        wait()
    }

    /// Ends it, and waits until it has: it stays, ended, until `wait`.
    func killWithoutWaiting() {
        _ = Foundation.kill(pid, SIGKILL)
        var status = siginfo_t()
        waitid(P_PID, id_t(pid), &status, WEXITED | WNOWAIT)
    }

    func wait() {
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        close(descriptor)
    }
}
