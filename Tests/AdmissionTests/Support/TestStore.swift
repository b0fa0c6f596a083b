import Foundation
import Glibc
import Synchronization

@testable import Admission

#if Redis
    import AdmissionRedis
#endif

/// A directory of a test's own, removed with its last reference.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "admission-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String = "quota") -> String { "\(path)/\(name)" }
}

/// A store that a conformance test opens: each runs the same traces against the same oracle.
enum TestStore: String, CaseIterable, Sendable, CustomStringConvertible {
    case memory
    case file
    #if Redis
        case redis
    #endif

    var description: String { rawValue }

    /// Whether its time is in whole microseconds.
    var keepsMicroseconds: Bool {
        #if Redis
            return self == .redis
        #else
            return false
        #endif
    }

    /// What a case is about that the store does otherwise, on purpose: Redis' keys expire by
    /// themselves, and `reclaim` forgets what the process keeps of them.
    func isExempt(fromCaseOf steps: [String]) -> Bool {
        keepsMicroseconds && steps.contains { $0.hasPrefix("reclaim") }
    }

    /// A URL that nobody has opened yet, and what keeps it until it is released.
    func fresh() throws -> (url: String, directory: ScratchDirectory?) {
        switch self {
        case .memory: return ("memory:", nil)
        case .file:
            let directory = try ScratchDirectory()
            return ("file:" + directory.file(), directory)
        #if Redis
            case .redis: return (try SharedRedis.freshURL(), nil)
        #endif
        }
    }
}

#if Redis
    /// One server for all tests that only need counters of their own: each gets a database of its own.
    enum SharedRedis {
        private static let server = Result { try RedisServer(["--databases", "100000"]) }
        private static let databases = Atomic<Int>(0)

        static func freshURL(isClockManual: Bool = true) throws -> String {
            let server = try server.get()
            let number = databases.add(1, ordering: .relaxed).newValue
            return "redis+unix://\(server.socketPath)?db=\(number)"
                + (isClockManual ? "&clock=manual" : "")
        }
    }
#endif

extension Limiter.Options {
    /// With every opener that there is.
    init(
        anyStore store: String?, clock: LimiterClock = .system, permitCapacity: Int = 65_536,
        keyCapacity: Int = 1_048_576, heartbeat: Heartbeat = .automatic
    ) {
        self.init(
            store: store, clock: clock, permitCapacity: permitCapacity, keyCapacity: keyCapacity,
            heartbeat: heartbeat)
        #if Redis
            openers = [.redis]
        #endif
    }
}
