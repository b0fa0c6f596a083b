import Admission
import Foundation
import Testing

/// Compares calendar windows with Python's zoneinfo, an implementation we share nothing with.
///
/// `Tests/zones/oracle.py` says what is expected and how. Needed: a Python of 3.9 or above
/// (`ADMISSION_TEST_PYTHON`, else `python3`), fat files (`ADMISSION_TZDATA_FAT`, else
/// `/usr/share/zoneinfo`) and slim ones (`ADMISSION_TZDATA_SLIM`, else those of PyPI's `tzdata`).
/// What is missing fails the test. `ADMISSION_SOAK=1` compares every zone and every transition,
/// otherwise a few named zones and some at random; `ADMISSION_SEED` seeds the choice.
@Suite struct ZoneOracleTests {
    enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case fat, slim
        var testDescription: String { rawValue }
    }

    /// Where the calendar is at its worst: half hours, skipped dates, missing midnights, clocks put
    /// back over midnight, dates lived twice, negative daylight saving, rules into the next day.
    static let namedZones = [
        "America/Los_Angeles", "America/St_Johns", "America/Sao_Paulo", "America/Nuuk",
        "Africa/Cairo", "Africa/Casablanca", "Antarctica/Troll", "Asia/Beirut", "Asia/Gaza",
        "Australia/Lord_Howe", "Europe/Dublin", "Pacific/Apia", "Pacific/Kwajalein",
    ]

    @Test(
        "Every calendar boundary is where Python's zoneinfo has it", arguments: Kind.allCases)
    func boundaries(_ kind: Kind) throws {
        let environment = ProcessInfo.processInfo.environment
        let isSoak = environment["ADMISSION_SOAK"] == "1"
        let seed = environment["ADMISSION_SEED"] ?? "20261122"
        let python = environment["ADMISSION_TEST_PYTHON"] ?? "python3"
        let directory = try Self.directory(of: kind, python: python, environment)
        let choice =
            isSoak
            ? ["--all"]
            : [
                "--zones", Self.namedZones.joined(separator: ","), "--sample", "5",
                "--around-transitions", "3", "--seed", seed,
            ]
        let stream = try ZoneOracleStream(
            command: [python, Self.script, directory] + choice)
        var tally = ZoneOracleComparison()
        var end: String?
        while let line = try stream.line() {
            let fields = line.split(separator: " ")
            if fields.first == "end" {
                end = line
                break
            }
            try tally.compareZone(fields, stream, directory: directory)
            if tally.failures.count >= 20 { break }
        }
        let status = stream.finish()
        print(
            "zones \(kind) (\(directory), \(isSoak ? "all" : "seed \(seed)")): "
                + tally.description)
        #expect(tally.failures.isEmpty, "\(tally.failures.joined(separator: "\n")) seed \(seed)")
        if tally.failures.isEmpty {
            #expect(status == 0, "the oracle ended with status \(status)")
            #expect(end == "end \(tally.files) \(tally.names)", "the oracle's output is cut short")
        }
    }

    private static var script: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../zones/oracle.py").path
    }

    /// The directory of one kind of files, after a look whether its files are of that kind.
    private static func directory(
        of kind: Kind, python: String, _ environment: [String: String]
    ) throws -> String {
        let directory: String
        switch kind {
        case .fat: directory = environment["ADMISSION_TZDATA_FAT"] ?? "/usr/share/zoneinfo"
        case .slim:
            if let named = environment["ADMISSION_TZDATA_SLIM"] {
                directory = named
            } else {
                let program = "import os, tzdata; print(os.path.dirname(tzdata.__file__))"
                let stream = try ZoneOracleStream(command: [python, "-c", program])
                let line = try stream.line()
                let status = stream.finish()
                let package = try #require(
                    status == 0 ? line : nil,
                    "\(python) has no package tzdata: pip install tzdata, or set ADMISSION_TZDATA_SLIM"
                )
                directory = package + "/zoneinfo"
            }
        }
        let path = directory + "/America/New_York"
        let file = try #require(
            FileManager.default.contents(atPath: path),
            "\(path) is missing: install tzdata, or set ADMISSION_TZDATA_\(kind.rawValue.uppercased())"
        )
        // Slim files leave the 32-bit block's transitions out: RFC 9636 appendix A.
        let header = [UInt8](file.prefix(36))
        let isFat = header.count == 36 && header[32...].contains { $0 != 0 }
        try #require(
            isFat == (kind == .fat),
            "\(path) is \(isFat ? "fat" : "slim"): make the other with `zic -b \(kind) -d DIR tzdata.zi`"
        )
        return directory
    }
}

/// Compares what the oracle printed of one zone with `Zone`, and counts.
struct ZoneOracleComparison: CustomStringConvertible {
    private(set) var files = 0
    private(set) var names = 0
    private(set) var failures: [String] = []
    private var counts: [CalendarUnit: Int] = [:]

    var description: String {
        let boundaries = CalendarUnit.allCases.map { "\(counts[$0] ?? 0) \($0.name)" }
        return "\(files) files of \(names) zones, boundaries compared: "
            + boundaries.joined(separator: ", ")
    }

    mutating func compareZone(
        _ fields: [Substring], _ stream: ZoneOracleStream, directory: String
    ) throws {
        try #require(fields.count == 7 && fields[0] == "zone", "the oracle said \(fields)")
        let zoneNames = fields[1].split(separator: ",").map(String.init)
        let sizes = try fields[2...].map { try #require(Int($0)) }
        files += 1
        names += zoneNames.count
        // Links are files too: each must load, and one of equal files is compared.
        let zones = try zoneNames.map { try Zone(named: $0, directory: directory) }
        let units: [CalendarUnit] = [.day, .week, .month, .year]
        let boundaries = try sizes[..<4].map { try stream.integers($0) }
        let runs = try stream.integers(3 * sizes[4])
        for (unit, boundaries) in zip(units, boundaries) {
            compare(unit, boundaries, zones[0])
            compareAmid(unit, boundaries, runs, zones[0])
        }
        compareClock(.minute, 60, runs, zones[0])
        compareClock(.hour, 3600, runs, zones[0])
    }

    /// Looks windows up from just before and at each transition, amid a day that may be shown twice.
    private mutating func compareAmid(
        _ unit: CalendarUnit, _ boundaries: [Int64], _ runs: [Int64], _ zone: Zone
    ) {
        var index = 0
        for run in stride(from: 0, to: runs.count, by: 3) {
            for instant in [runs[run], runs[run + 1] - 1] {
                while index + 2 < boundaries.count && boundaries[index + 1] <= instant {
                    index += 1
                }
                guard boundaries[index] <= instant, instant < boundaries[index + 1] else {
                    continue
                }
                let span = CalendarSpan(
                    startSeconds: boundaries[index], endSeconds: boundaries[index + 1])
                let found = zone.span(of: unit, containing: instant)
                guard found != span, failures.count < 20 else { continue }
                failures.append(
                    "\(zone.name) \(unit.name) at \(instant): \(found), expected \(span)")
            }
        }
    }

    private mutating func compare(_ unit: CalendarUnit, _ boundaries: [Int64], _ zone: Zone) {
        counts[unit, default: 0] += max(0, boundaries.count - 1)
        for (start, end) in zip(boundaries, boundaries.dropFirst()) {
            expect(unit, from: start, to: end, zone)
        }
    }

    /// Expands the runs of one offset to full hours or minutes and the transitions between them.
    private mutating func compareClock(
        _ unit: CalendarUnit, _ length: Int64, _ runs: [Int64], _ zone: Zone
    ) {
        var last: Int64?
        var count = 0
        var previousEnd: Int64?
        var previousOffset: Int64 = 0
        for run in stride(from: 0, to: runs.count, by: 3) {
            let (from, to, offset) = (runs[run], runs[run + 1], runs[run + 2])
            if previousEnd != from {
                last = nil
            } else if previousOffset != offset {
                if let last {
                    expect(unit, from: last, to: from, zone)
                    count += 1
                }
                last = from
            }
            let local = from + offset
            var full = from + (length - (local % length + length) % length) % length
            while full < to {
                if let last, last != full {
                    expect(unit, from: last, to: full, zone)
                    count += 1
                }
                last = full
                full += length
            }
            previousEnd = to
            previousOffset = offset
        }
        counts[unit, default: 0] += count
    }

    /// One window, found from its first second and, but for minutes, of which there are hundreds of
    /// millions, from its last.
    private mutating func expect(
        _ unit: CalendarUnit, from start: Int64, to end: Int64, _ zone: Zone
    ) {
        let span = CalendarSpan(startSeconds: start, endSeconds: end)
        let found = zone.span(of: unit, containing: start)
        let foundLast = unit == .minute ? found : zone.span(of: unit, containing: end - 1)
        guard found != span || foundLast != span, failures.count < 20 else { return }
        failures.append("\(zone.name) \(unit.name): \(found), \(foundLast), expected \(span)")
    }
}

/// The output of a command: lines of text with arrays of integers between them.
final class ZoneOracleStream {
    private let process = Process()
    private let handle: FileHandle
    private var buffer: [UInt8] = []
    private var position = 0

    init(command: [String]) throws {
        let pipe = Pipe()
        handle = pipe.fileHandleForReading
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.standardOutput = pipe
        try process.run()
    }

    /// The next line without its newline, or nil at the end.
    func line() throws -> String? {
        while true {
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { position = end + 1 }
                return String(decoding: buffer[position..<end], as: UTF8.self)
            }
            guard try fill() else { return nil }
        }
    }

    func integers(_ count: Int) throws -> [Int64] {
        while buffer.count - position < 8 * count {
            try #require(try fill(), "the oracle's output is cut short")
        }
        defer { position += 8 * count }
        return buffer.withUnsafeBytes { bytes in
            (0..<count).map {
                Int64(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: position + 8 * $0, as: Int64.self))
            }
        }
    }

    /// Waits for the command's end and returns its status.
    func finish() -> Int32 {
        try? handle.close()
        process.waitUntilExit()
        return process.terminationStatus
    }

    private func fill() throws -> Bool {
        buffer.removeSubrange(..<position)
        position = 0
        guard let more = try handle.read(upToCount: 1 << 16), !more.isEmpty else { return false }
        buffer.append(contentsOf: more)
        return true
    }
}
