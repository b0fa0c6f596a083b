@testable import Admission

/// A file store of a test's own, on a manual clock, that several limiters share.
struct SharedFile {
    static let start: Int64 = 1_700_000_000_000_000_000
    static let second: Int64 = 1_000_000_000

    private let directory: ScratchDirectory
    private let clock: LimiterClock

    init(clock: LimiterClock = .manual(startUnixNanoseconds: SharedFile.start)) throws {
        directory = try ScratchDirectory()
        self.clock = clock
    }

    var url: String { "file:" + directory.file() }

    /// A path beside it.
    func file(_ name: String) -> String { directory.file(name) }

    /// As another process would open it.
    func limiter(_ limits: String...) throws -> Limiter {
        try Limiter(
            policy: Self.document(limits.joined(separator: ", ")),
            options: Limiter.Options(
                store: url, clock: clock, permitCapacity: 4_096,
                keyCapacity: 1_024, heartbeat: .manual))
    }

    static func json(_ limits: String) -> String {
        #"{"admission": 1, "policies": [{"name": "p", "limits": [\#(limits)]}]}"#
    }

    static func document(_ limits: String) throws -> PolicyDocument {
        try PolicyDocument(json: json(limits))
    }

    static func pace(_ rate: String, _ burst: Int) -> String {
        #"{"name": "pace", "count": "requests", "rate": "\#(rate)", "burst": \#(burst)}"#
    }

    static func rpm(_ limit: Int) -> String {
        #"{"name": "rpm", "count": "requests", "limit": \#(limit), "window": "1m"}"#
    }

    static func day(_ limit: Int) -> String {
        #"{"name": "day", "count": "requests", "limit": \#(limit), "window": "day"}"#
    }

    static func slots(_ limit: Int, lease: String = "30s") -> String {
        #"{"name": "slots", "count": "concurrency", "limit": \#(limit), "lease": "\#(lease)"}"#
    }
}

extension Limiter {
    /// Capacity and what is left of each limit of the gate without attributes.
    func left() throws -> [[Int64]] {
        try gate([]).explain().limits.map { [$0.capacity, $0.remaining] }
    }

    /// A load of another document in this limiter's name, before its first step.
    func beginLoad(_ document: PolicyDocument) throws -> DocumentLoad {
        try core.store.beginLoad(PolicyTable(document).scopes, hash: document.hash)
    }
}
