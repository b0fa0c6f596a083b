import Testing

@testable import Admission

@Suite("A trace")
struct WorkloadTraceTests {
    private static let header = "TIMESTAMP,ContextTokens,GeneratedTokens"

    private func workload(
        _ lines: String..., end: String = "\n", attributes: [Attribute] = []
    ) throws(WorkloadError) -> Workload {
        let text = ([Self.header] + lines).joined(separator: end)
        return try Workload(trace: Array(text.utf8), title: "test", attributes: attributes)
    }

    private func fault(_ text: String) -> String {
        do {
            _ = try Workload(trace: Array(text.utf8), title: "test")
            return "no error"
        } catch {
            return error.description
        }
    }

    @Test("starts at its first call and counts offsets from there")
    func offsets() throws {
        let workload = try workload(
            "2023-11-16 18:17:03.9799600,4808,10", "2023-11-16 18:17:04.0319600,3180,8")
        #expect(workload.startUnixNanoseconds == 1_700_158_623_979_960_000)
        #expect(workload.arrivals.map(\.offsetNanoseconds) == [0, 52_000_000])
        #expect(workload.arrivals.map(\.inputTokens) == [4808, 3180])
        #expect(workload.arrivals.map(\.outputTokens) == [10, 8])
        #expect(workload.durationNanoseconds == 52_000_000)
        #expect(workload.callers == [[]])
    }

    @Test(
        "is the same with any line end, with and without the last one",
        arguments: ["\n", "\r\n"], ["", "\n", "\r\n", "\n\n"])
    func lineEnds(end: String, last: String) throws {
        let line = "2023-11-16 18:17:03.5,1,2"
        let text = [Self.header, line, line].joined(separator: end) + last
        let workload = try Workload(trace: Array(text.utf8), title: "test")
        #expect(workload.arrivals.count == 2)
        #expect(workload.arrivals.last?.outputTokens == 2)
    }

    @Test(
        "reads a timestamp with T, with Z, with +00:00, with and without a fraction",
        arguments: [
            ("2024-02-29 23:59:59", 1_709_251_199_000_000_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000_000_000),
            ("2024-02-29 23:59:59.25+00:00", 1_709_251_199_250_000_000),
            ("2024-02-29 23:59:59.123456789", 1_709_251_199_123_456_789),
            ("1970-01-01 00:00:00.000000001", 1),
            ("2000-03-01 00:00:00", 951_868_800_000_000_000),
            ("2199-12-31 23:59:59", 7_258_118_399_000_000_000),
        ] as [(String, Int64)])
    func timestamps(text: String, unixNanoseconds: Int64) throws {
        #expect(try workload("\(text),0,0").startUnixNanoseconds == unixNanoseconds)
    }

    @Test(
        "refuses a timestamp that is none and names the line",
        arguments: [
            "2023-02-29 00:00:00", "2023-11-31 00:00:00", "2023-13-01 00:00:00",
            "2023-11-16 24:00:00", "2023-11-16 18:60:00", "2023-11-16 18:17:60",
            "2023-11-16", "2023-11-16 18:17:03.", "2023-11-16 18:17:03+01:00",
            "1969-12-31 23:59:59",
            "2200-01-01 00:00:00", "", "16.11.2023 18:17",
        ])
    func badTimestamps(text: String) {
        let fault = fault("\(Self.header)\n2023-11-16 18:17:03,1,1\n\(text),1,1\n")
        #expect(fault.hasPrefix("line 3: the timestamp is "))
    }

    @Test("refuses a fraction finer than nanoseconds, and what follows a timestamp")
    func restOfTimestamp() {
        #expect(
            fault("\(Self.header)\n2023-11-16 18:17:03.1234567891,1,1")
                == "line 2: a comma must follow the timestamp, found \"1\"")
    }

    @Test(
        "refuses tokens that are no whole number of 0 or more",
        arguments: [
            ("-1", "ContextTokens is \"-1\", not a whole number of 0 or more"),
            ("", "ContextTokens is nothing, not a whole number of 0 or more"),
            ("1.5", "ContextTokens is \"1.5\", not a whole number of 0 or more"),
            ("1000000001", "ContextTokens is \"1000000001\"; at most 1000000000 fits"),
            (
                "99999999999999999999999999",
                "ContextTokens is \"99999999999999999999999999\"; at most 1000000000 fits"
            ),
        ])
    func badTokens(text: String, message: String) {
        #expect(
            fault("\(Self.header)\n2023-11-16 18:17:03,\(text),1") == "line 2: \(message)")
    }

    @Test("accepts 0 tokens and as many as a call may have")
    func edgesOfTokens() throws {
        let workload = try workload("2023-11-16 18:17:03,0,1000000000")
        #expect(workload.arrivals[0].inputTokens == 0)
        #expect(workload.arrivals[0].outputTokens == Workload.maximumTokens)
    }

    @Test("refuses time that runs backwards, and accepts calls at the same instant")
    func order() throws {
        #expect(
            try workload("2023-11-16 18:17:03,1,1", "2023-11-16 18:17:03,1,1").arrivals.count == 2)
        #expect(
            fault("\(Self.header)\n2023-11-16 18:17:03,1,1\n2023-11-16 18:17:02.999999999,1,1")
                .hasPrefix("line 3: the timestamp is before the one of the line ahead"))
    }

    @Test("counts the lines that it skips because they are empty")
    func emptyLines() {
        #expect(fault("\n\(Self.header)\n\n\nrubbish").hasPrefix("line 5: "))
    }

    @Test("refuses another header, and a text without one")
    func headers() {
        #expect(fault("").hasPrefix("line 1: no header"))
        #expect(fault("\n\n").hasPrefix("line 2: no header"))
        #expect(
            fault("time,tokens\n")
                == "line 1: the header must begin with \(Self.header), found \"time\"")
        #expect(fault("\(Self.header),\n") == "line 1: column 4 has no name")
        #expect(fault("\(Self.header),a,a\n") == "line 1: the attribute a is given twice")
    }

    @Test("takes a byte-order mark, and holds no call where there is only a header")
    func headerAlone() throws {
        let text = "\u{FEFF}\(Self.header)\r\n"
        let workload = try Workload(
            trace: Array(text.utf8), title: "test", attributes: [Attribute("project", "acme")])
        #expect(workload.arrivals.isEmpty)
        #expect(workload.callers == [[Attribute("project", "acme")]])
    }

    @Test("makes a caller of each combination of further columns, in the order of appearance")
    func columns() throws {
        let text = """
            \(Self.header),tenant,model
            2023-11-16 18:17:03,1,1,b,pro
            2023-11-16 18:17:03,1,1,a,pro
            2023-11-16 18:17:03,1,1,b,pro
            2023-11-16 18:17:03,1,1,b,
            """
        let workload = try Workload(
            trace: Array(text.utf8), title: "test", attributes: [Attribute("project", "acme")])
        #expect(workload.arrivals.map(\.caller) == [0, 1, 0, 2])
        #expect(
            workload.callers[2] == [
                Attribute("project", "acme"), Attribute("tenant", "b"), Attribute("model", ""),
            ])
        #expect(
            fault("\(Self.header),tenant\n2023-11-16 18:17:03,1,1\n")
                == "line 2: 3 fields where the header names 4")
        #expect(
            fault("\(Self.header),tenant\n2023-11-16 18:17:03,1,1,\"a\"\n")
                == "line 2: quoted fields are not read: \"a\"")
    }

    @Test("compares further columns as bytes: two spellings of é are two callers")
    func spelling() throws {
        let text = """
            \(Self.header),tenant
            2023-11-16 18:17:03,1,1,\u{E9}
            2023-11-16 18:17:03,1,1,e\u{301}
            """
        let workload = try Workload(trace: Array(text.utf8), title: "test")
        #expect(workload.callers.count == 2)
    }

    @Test("refuses bytes that are not UTF-8")
    func encoding() {
        let bytes = Array("\(Self.header),tenant\n2023-11-16 18:17:03,1,1,".utf8) + [0xFF]
        #expect(throws: WorkloadError.self) { try Workload(trace: bytes, title: "test") }
    }
}
