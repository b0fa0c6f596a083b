#if ADMISSION_CRASH_POINTS
    import Glibc

    /// Ends the process at the n-th write to words that processes share: what a test build, compiled
    /// with `-D ADMISSION_CRASH_POINTS`, shows crash safety with. No other build holds any of it.
    ///
    /// One thread arms it and does the operation; others would be counted too.
    public enum CrashPoint {
        /// Writes until the end; 0: not armed.
        nonisolated(unsafe) private static var left = 0
        /// Ends the process just before the `number`-th write from now on; 0 takes it back.
        public static func arm(_ number: Int) {
            left = number
        }

        /// Mappings that other processes may have; words elsewhere end with the process.
        nonisolated(unsafe) private static var mappings: [Range<UInt>] = []

        package static func note(_ base: UnsafeRawPointer, bytes: Int) {
            let start = UInt(bitPattern: base)
            mappings.append(start..<start + UInt(bytes))
        }

        package static func forget(_ base: UnsafeRawPointer) {
            mappings.removeAll { $0.lowerBound == UInt(bitPattern: base) }
        }

        /// Stands in front of every write.
        @inline(never)
        package static func hit(_ address: UnsafeRawPointer) {
            guard left > 0 else { return }
            let place = UInt(bitPattern: address)
            guard mappings.contains(where: { $0.contains(place) }) else { return }
            left -= 1
            // As SIGKILL from outside: nothing of this process runs any more.
            if left == 0 { kill(getpid(), SIGKILL) }
        }
    }
#endif
