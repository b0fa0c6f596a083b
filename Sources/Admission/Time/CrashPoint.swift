#if ADMISSION_CRASH_POINTS
    import Glibc

    /// Ends the process at the n-th write to words that processes share: what a test build, compiled
    /// with `-D ADMISSION_CRASH_POINTS`, shows crash safety with. No other build holds any of it.
    ///
    /// One thread arms it and does the operation; others would be counted too.
    public enum CrashPoint {
        /// The write in front of which the process ends; 0: not armed.
        nonisolated(unsafe) private static var fatal = 0
        /// Writes since it was armed.
        nonisolated(unsafe) private static var made = 0
        /// What is done in front of a write, and of which; nil once it is done.
        nonisolated(unsafe) private static var other: (write: Int, act: () -> Void)?

        /// Ends the process just before the `number`-th write from now on; 0 takes it back.
        public static func arm(_ number: Int) {
            fatal = number
            made = 0
        }

        /// Has something done just before the `write`-th write behind the next `arm`: what another
        /// process does between a caller's look and its swap. Its own writes are not counted, and it
        /// is done before a process ends there.
        public static func interpose(before write: Int, _ act: @escaping () -> Void) {
            other = (write, act)
        }

        /// Whether what was interposed was done.
        public static var isInterposed: Bool { other == nil }

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
            guard fatal > 0 else { return }
            let place = UInt(bitPattern: address)
            guard mappings.contains(where: { $0.contains(place) }) else { return }
            made += 1
            if let (write, act) = other, write == made {
                other = nil
                let armed = (fatal, made)
                fatal = 0
                act()
                (fatal, made) = armed
            }
            // As SIGKILL from outside: nothing of this process runs any more.
            if made == fatal { kill(getpid(), SIGKILL) }
        }
    }
#endif
