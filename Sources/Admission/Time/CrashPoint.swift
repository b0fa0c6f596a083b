#if ADMISSION_CRASH_POINTS
    import Glibc

    /// Ends the process at the n-th write to words that processes share: what a test build, compiled
    /// with `-D ADMISSION_CRASH_POINTS`, shows crash safety with. No other build holds any of it.
    ///
    /// One thread arms it and does the operation; others would be counted too.
    public enum CrashPoint {
        /// Writes until the end; 0: not armed.
        nonisolated(unsafe) private static var left = 0
        /// Writes since it was armed.
        nonisolated(unsafe) public private(set) static var count = 0

        /// Ends the process just before the `number`-th write from now on; 0 takes it back.
        public static func arm(_ number: Int) {
            left = number
            count = 0
        }

        /// Stands in front of every shared write.
        @inline(never)
        package static func hit() {
            count += 1
            guard left > 0 else { return }
            left -= 1
            // As SIGKILL from outside: nothing of this process runs any more.
            if left == 0 { kill(getpid(), SIGKILL) }
        }
    }
#endif
