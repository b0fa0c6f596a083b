import Admission
import Foundation
import Testing

@Suite struct ZoneFileTests {
    @Test(
        "A name that could leave the database is refused before any file is opened",
        arguments: [
            "", "/etc/passwd", "../etc/passwd", "Europe/../../etc/passwd", "..", "Europe/Par\0is",
            String(repeating: "x", count: 256),
        ])
    func refusedNames(_ name: String) {
        let error = #expect(throws: ZoneError.self) { try Zone(named: name) }
        #expect(error?.path == "")
        #expect(error?.name == name)
        #expect(error?.reason.hasPrefix("the name ") == true)
    }

    @Test("A missing zone's error names the path that was tried")
    func missingZone() {
        let error = #expect(throws: ZoneError.self) {
            try Zone(named: "PST9", directory: "/usr/share/zoneinfo")
        }
        #expect(error?.path == "/usr/share/zoneinfo/PST9")
        #expect(error?.description.contains("/usr/share/zoneinfo/PST9") == true)
        #expect(error?.reason.contains("not in the time-zone database") == true)
        // A file where a directory is meant is a missing zone too.
        let below = #expect(throws: ZoneError.self) {
            try Zone(named: "UCT/Paris", directory: "/usr/share/zoneinfo")
        }
        #expect(below?.reason.contains("not in the time-zone database") == true)
    }

    @Test("UTC needs no files")
    func withoutFiles() throws {
        let zone = try Zone(named: "UTC", directory: "/nonexistent")
        #expect(zone.name == "UTC")
        #expect(zone.offsetSeconds(at: 0) == 0)
        #expect(Zone.utc.name == "UTC")
    }

    @Test("A directory, a named pipe and a file that is no zone are refused")
    func otherFiles() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("zones-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(mkfifo(folder.path + "/Pipe", 0o600) == 0)
        try Data("hello".utf8).write(to: folder.appendingPathComponent("Text"))
        try Data().write(to: folder.appendingPathComponent("Empty"))
        try Data(count: 1 << 21).write(to: folder.appendingPathComponent("Large"))
        let parts = [
            ("Pipe", "regular file"), ("Text", "cut short"), ("Empty", "cut short"),
            ("Large", "more than 1048576"),
        ]
        for (name, part) in parts {
            let error = #expect(throws: ZoneError.self) {
                try Zone(named: name, directory: folder.path)
            }
            #expect(error?.reason.contains(part) == true, "\(name): \(error?.reason ?? "")")
            #expect(error?.path == "\(folder.path)/\(name)")
        }
        let directory = #expect(throws: ZoneError.self) {
            try Zone(named: "America", directory: "/usr/share/zoneinfo")
        }
        #expect(directory?.reason.contains("regular file") == true)
    }
}
