import Admission
import AdmissionRedis
import AdmissionYAML
import ArgumentParser

/// `admission reset`.
struct Reset: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives back everything that was charged to a store in a file or a server.",
        discussion: """
            Buckets are full and windows empty afterwards, and what dead processes held is free. \
            A store that live processes use is refused with 1, unless forced; then they go on \
            deciding, and keep the leases of their open calls.

            A Redis server does not know who uses the store: there it takes --force. Leases stay and \
            run out.

            Example:
              admission reset /var/lib/app/quota
              admission reset redis://localhost:6379/0 --force
            """)

    @Argument(
        help: ArgumentHelp("The store: its path, or a file: or redis: URL.", valueName: "store"))
    var store: StoreArgument

    @Flag(help: "Reset it although processes use it.")
    var force = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        if store.isRemote { return try runRemotely() }
        let report: SegmentResetReport
        do throws(LimiterError) {
            report = try StoreReset.run(store: store.url, force: force)
        } catch {
            throw error.failure(isJSON: json)
        }
        print(json ? report.json : text(report))
        guard !report.isPartial else {
            throw Failure(
                .refused,
                json
                    ? nil
                    : "\(store.name) is damaged, not all was met: see admission inspect --check"
            )
        }
    }

    private func runRemotely() throws {
        guard force else {
            let message = "a server does not know who uses its store; force a reset"
            guard json else { throw Failure(.refused, message) }
            let error = JSONText.object([
                "code": JSONText.string("store_in_use"), "message": JSONText.string(message),
            ])
            print(JSONText.object(["error": error]))
            throw Failure(.refused)
        }
        let report: RedisReset
        do throws(LimiterError) {
            report = try RedisReset.run(store: store.url)
        } catch {
            throw error.failure(isJSON: json)
        }
        print(
            json
                ? report.json
                : "\(Terminal.styled("reset", .green)): "
                    + "\(Wording.counted(report.scopes, "scope")) of "
                    + "\(Wording.counted(report.shards, "shard")) untouched again; "
                    + "leases stay until they run out")
    }

    private func text(_ report: SegmentResetReport) -> String {
        let freed =
            report.leasesFreed > 0
            ? ", \(Wording.counted(report.leasesFreed, "lease")) of dead processes freed" : ""
        var line =
            "\(Terminal.styled("reset", .green)) \(store.name): "
            + "\(Wording.counted(report.keys, "key")) untouched again" + freed
        if report.liveProcesses > 0 {
            line +=
                "\n  \(Wording.counted(report.liveProcesses, "live process", "live processes")) "
                + "went on, \(Wording.counted(report.leasesKept, "lease")) kept"
        }
        return line
    }
}
