import Admission
import AdmissionRedis
import ArgumentParser

/// `admission inspect`.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what a store in a file or a server holds, or checks it.",
        discussion: """
            Prints the limits with the keys nearest them, the leases with their owners, the \
            processes that use the store, and its sizes. Nothing is changed, no policy is needed, \
            and the store may be in use.

            With --check, looks at everything in the store instead: each fault is a line on \
            standard error, and the command exits with 1.

            A Redis server is asked for every key of its database (SCAN, a thousand at a time): where \
            millions lie there, that costs it seconds in small pieces. Processes and events are not \
            known to a server.

            Example:
              admission inspect /var/lib/app/quota
              admission inspect /var/lib/app/quota --watch 2
              admission inspect --check /var/lib/app/quota
              admission inspect redis://localhost:6379/0 --json
            """)

    /// Keys that a page lists unless told otherwise, and an object.
    private static let usualKeys = (page: 50, object: 10_000)

    @Argument(
        help: ArgumentHelp(
            "The store: its path, or a file: or redis: URL.", valueName: "store"))
    var store: StoreArgument

    @Option(
        help: ArgumentHelp(
            "List at most so many keys, those nearest their limit, and leases. Default: 50, with "
                + "--json 10000.",
            valueName: "count"))
    var keys: Int?

    @Option(
        defaultAsFlag: WatchInterval.usual,
        help: ArgumentHelp(
            "Draw it again every so many seconds until Ctrl-C; where standard output is no terminal "
                + "print it again, with --json a line each time.",
            valueName: "seconds"))
    var watch: WatchInterval?

    @Flag(help: "Verify that the whole store is consistent.")
    var check = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if check, watch != nil || keys != nil {
            throw ValidationError("--check excludes --watch and --keys")
        }
        if let keys, !(0...1_000_000).contains(keys) {
            throw ValidationError("--keys must be 0 to 1000000")
        }
    }

    func run() throws {
        if check { return try runCheck() }
        let watch = watch.map { Watch(interval: $0, isPage: !json && Terminal.isScreen) }
        // A store that is not there is an error; one that goes away while it is watched is a page.
        let first: String
        do throws(LimiterError) {
            first = try page()
        } catch {
            throw error.failure(isJSON: json)
        }
        guard let watch else { return print(first) }
        let separator = json || Terminal.isScreen ? "" : "\n"
        watch.run(first) {
            do throws(LimiterError) {
                return separator + (try page())
            } catch {
                return json
                    ? error.json
                    : separator + Terminal.styled(Wording.printable(error.message), .red)
            }
        }
    }

    private func page() throws(LimiterError) -> String {
        let maximumKeys = keys ?? (json ? Self.usualKeys.object : Self.usualKeys.page)
        if store.isRemote {
            let store = try RedisInspection.read(store: store.url, maximumKeys: maximumKeys)
            return json ? store.json : RemoteView(store: store).text
        }
        let store = try StoreInspection.read(store: store.url, maximumKeys: maximumKeys)
        return json ? store.json : InspectionView(store: store).text
    }

    private func runRemoteCheck() throws {
        let found: RedisInspection
        do throws(LimiterError) {
            found = try RedisInspection.read(store: store.url, maximumKeys: 0, isCheck: true)
        } catch {
            throw error.failure(isJSON: json)
        }
        if json {
            print(found.json)
        } else {
            for fault in found.faults { Terminal.error(Wording.printable(fault)) }
            let keys = Wording.counted(found.limits.reduce(0) { $0 + $1.keyCount }, "key")
            let limits = Wording.counted(found.limits.count, "limit")
            print(
                found.faults.isEmpty
                    ? "\(Terminal.styled("ok", .green)) \(found.url): \(keys) in use, \(limits)"
                    : "\(Terminal.styled("damaged", .red)) \(found.url): "
                        + Wording.counted(found.faults.count, "fault"))
        }
        if !found.faults.isEmpty { throw Failure(.refused) }
    }

    private func runCheck() throws {
        if store.isRemote { return try runRemoteCheck() }
        let report: SegmentCheckReport
        do throws(LimiterError) {
            report = try StoreCheck.run(store: store.url)
        } catch  where error.code == .storeCorrupted {
            // So broken that there is nothing to look at.
            let failure = error.failure(isJSON: json)
            throw Failure(.refused, failure.message)
        } catch {
            throw error.failure(isJSON: json)
        }
        if json {
            print(report.json)
        } else {
            CheckReportView(report: report, name: store.name).show()
        }
        if !report.isSound { throw Failure(.refused) }
    }
}

/// What a check found, in lines.
private struct CheckReportView {
    let report: SegmentCheckReport
    let name: String

    /// Notes and the summary go to standard output, faults to standard error.
    func show() {
        for note in report.notes { print("\(Terminal.styled("note:", .yellow)) \(note)") }
        for fault in report.faults { Terminal.error(fault) }
        if report.omitted > 0 { print("\(Wording.number(report.omitted)) more are not listed") }
        let what =
            report.isSound
            ? "\(Terminal.styled("ok", .green)) \(name): "
            : "\(Terminal.styled("damaged", .red)) \(name): "
                + "\(Wording.counted(report.faults.count, "fault")) in "
        print(
            what + "\(Wording.counted(report.keys, "key")), "
                + "\(Wording.counted(report.definitions, "limit")), "
                + "\(Wording.bytes(report.bytesUsed)) used, of these "
                + "\(Wording.bytes(report.bytesFree)) free again and "
                + "\(Wording.bytes(report.bytesLost)) lost")
    }
}
