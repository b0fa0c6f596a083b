import Foundation
import Testing

@testable import Admission

@Suite("PolicyDocument")
struct PolicyDocumentTests {
    /// Every key that a document may have, each at its own value.
    static let everything = """
        {
          "admission": 1,
          "shard": "project",
          "policies": [
            {"name": "gemini-2.5-flash/free",
             "match": {"provider": "gemini", "model": "gemini-2.5-flash"},
             "per": ["project"],
             "limits": [
               {"name": "rpm", "count": "requests", "limit": 10, "window": "1m"},
               {"name": "tpm", "count": "input_tokens", "limit": 250000, "window": "1m", "guard": "250ms"},
               {"name": "rpd", "count": "requests", "limit": 250, "window": "day", "zone": "America/Los_Angeles"},
               {"name": "parallel", "count": "concurrency", "limit": 8, "lease": "30s", "max_hold": "15m"}]},
            {"name": "tenant pacing", "per": ["project", "tenant"],
             "limits": [{"name": "pace", "count": "requests", "rate": "5/s", "burst": 10}]}],
          "queue": {"flow": "tenant", "max_waiting": 10000, "priorities": [
            {"name": "interactive", "share": 8}, {"name": "batch", "share": 1}]},
          "store": {"on_outage": "reject", "on_loss": "hold", "deadline": "50ms", "slices": false,
            "slice_ttl": "500ms"}
        }
        """

    /// A document around one limit's members.
    static func document(limit members: String) -> String {
        """
        {"admission":1,"policies":[{"name":"p","limits":[{"name":"l",\(members)}]}]}
        """
    }

    private func kind(_ members: String) throws -> LimitKind {
        try PolicyDocument(json: Self.document(limit: members)).policies[0].limits[0].kind
    }

    @Test("the design's example says what the design says")
    func designExample() throws {
        let document = try PolicyDocument(json: Self.everything)
        #expect(document.shard == "project")
        #expect(
            document.policies == [
                Policy(
                    name: "gemini-2.5-flash/free",
                    match: [
                        AttributeMatch("model", .value("gemini-2.5-flash")),
                        AttributeMatch("provider", .value("gemini")),
                    ], per: ["project"],
                    limits: [
                        Limit(
                            name: "rpm", count: .requests,
                            kind: .rollingWindow(
                                limit: 10, windowNanoseconds: 60_000_000_000, guardNanoseconds: 0)),
                        Limit(
                            name: "tpm", count: .inputTokens,
                            kind: .rollingWindow(
                                limit: 250_000, windowNanoseconds: 60_000_000_000,
                                guardNanoseconds: 250_000_000)),
                        Limit(
                            name: "rpd", count: .requests,
                            kind: .calendarWindow(
                                limit: 250, unit: .day, zone: "America/Los_Angeles",
                                guardNanoseconds: 0)),
                        Limit(
                            name: "parallel", count: .concurrency,
                            kind: .concurrency(
                                limit: 8, leaseNanoseconds: 30_000_000_000,
                                maxHoldNanoseconds: 900_000_000_000)),
                    ]),
                Policy(
                    name: "tenant pacing", per: ["project", "tenant"],
                    limits: [
                        Limit(
                            name: "pace", count: .requests,
                            kind: .tokenBucket(
                                units: 5, periodNanoseconds: 1_000_000_000, burst: 10))
                    ]),
            ])
        #expect(
            document.queue
                == QueueSettings(
                    flow: "tenant", maxWaiting: 10_000,
                    priorities: [
                        PriorityShare(name: "interactive", share: 8),
                        PriorityShare(name: "batch", share: 1),
                    ]))
        #expect(document.store == StoreSettings())
    }

    @Test("match takes a value, a list, and \"*\" for present")
    func match() throws {
        let document = try PolicyDocument(
            json: """
                {"admission":1,"policies":[{"name":"p","default":false,"limits":[
                  {"name":"l","count":"images","limit":1,"window":"1s"}],
                  "match":{"z":"","b":["x","","y"],"a":"*"}}]}
                """)
        #expect(
            document.policies[0].match == [
                AttributeMatch("a", .present), AttributeMatch("b", .oneOf(["x", "", "y"])),
                AttributeMatch("z", .value("")),
            ])
        #expect(document.policies[0].limits[0].count == Count("images"))
        #expect(!document.policies[0].isDefault)
    }

    @Test("what is left out has the documented default")
    func defaults() throws {
        #expect(
            try kind(#""count":"concurrency","limit":1"#)
                == .concurrency(
                    limit: 1, leaseNanoseconds: 30_000_000_000, maxHoldNanoseconds: 900_000_000_000)
        )
        // A lease above the default of max_hold lifts it.
        #expect(
            try kind(#""count":"concurrency","limit":1,"lease":"20m""#)
                == .concurrency(
                    limit: 1, leaseNanoseconds: 1_200_000_000_000,
                    maxHoldNanoseconds: 1_200_000_000_000))
        #expect(
            try kind(#""count":"x","limit":1,"window":"week""#)
                == .calendarWindow(limit: 1, unit: .week, zone: "UTC", guardNanoseconds: 0))
        let document = try PolicyDocument(
            json: Self.document(limit: #""count":"x","limit":1,"window":"week""#))
        #expect(document.shard == nil && document.queue == nil)
        #expect(document.policies[0].per.isEmpty && document.policies[0].match.isEmpty)
        #expect(document.store.onOutage == .reject && document.store.onLoss == .hold)
        #expect(!document.store.usesSlices && document.store.outageShare == nil)
    }

    @Test(
        "rates are units and a time, the time at least 1 of its unit",
        arguments: [
            ("5/s", 5, 1_000_000_000), ("60/m", 60, 60_000_000_000), ("1/90ms", 1, 90_000_000),
            ("1/h", 1, 3_600_000_000_000), ("7/ms", 7, 1_000_000), ("10/2s", 10, 2_000_000_000),
            ("1/8760h", 1, 31_536_000_000_000_000), ("1000000000/m", 1_000_000_000, 60_000_000_000),
            ("1000000000000/s", 1_000_000_000_000, 1_000_000_000),
        ] as [(String, Int64, Int64)])
    func rates(text: String, units: Int64, period: Int64) throws {
        #expect(
            try kind(#""count":"x","rate":"\#(text)","burst":1"#)
                == .tokenBucket(units: units, periodNanoseconds: period, burst: 1))
    }

    @Test("the edges of every range are accepted")
    func edges() throws {
        let accepted = [
            #""count":"x","limit":1,"window":"1ms""#,
            #""count":"x","limit":1000000000000,"window":"87600h""#,
            #""count":"x","limit":1,"window":"1s","guard":"999ms""#,
            #""count":"x","limit":1,"window":"minute","guard":"59999ms""#,
            #""count":"x","limit":1,"window":"1s","guard":"0s""#,
            #""count":"x","rate":"1000000000000/ms","burst":1000000000000"#,
            #""count":"x","rate":"1/1281023h","burst":1"#.replacingOccurrences(
                of: "1/1281023h", with: "2/1281023h"),
            #""count":"concurrency","limit":1000000,"lease":"100ms","max_hold":"100ms""#,
            #""count":"concurrency","limit":1,"lease":"24h","max_hold":"8760h""#,
        ]
        for members in accepted {
            #expect(throws: Never.self, "\(members)") { try kind(members) }
        }
        // 2^62 ns are 4611686018427 whole ms: with 1/ms that burst + 1 is the most.
        #expect(throws: Never.self) {
            try kind(#""count":"x","rate":"1/4611686ms","burst":999999"#)
        }
        #expect(throws: PolicyError.self) {
            try kind(#""count":"x","rate":"1/4611687ms","burst":999999"#)
        }
        // Exactly 2^62 cannot be written; the nearest below and above, by one unit of burst.
        #expect(throws: Never.self) { try kind(#""count":"x","rate":"1/h","burst":1281022"#) }
        #expect(throws: PolicyError.self) { try kind(#""count":"x","rate":"1/h","burst":1281023"#) }
    }

    @Test("reading the canonical text gives an equal document, whose canonical text is the same")
    func roundTrip() throws {
        for document in try Self.samples() {
            let again = try PolicyDocument(json: document.canonicalJSON)
            #expect(again == document)
            #expect(again.policies == document.policies && again.queue == document.queue)
            #expect(again.store == document.store && again.shard == document.shard)
            #expect(again.canonicalJSON == document.canonicalJSON && again.hash == document.hash)
            let object = try JSONSerialization.jsonObject(with: Data(document.canonicalJSON.utf8))
            #expect(object is [String: Any])
            let made = try PolicyDocument(
                policies: document.policies, shard: document.shard, queue: document.queue,
                store: document.store)
            #expect(made == document)
        }
    }

    static func samples() throws -> [PolicyDocument] {
        let limits = [
            #""count":"x","rate":"5/1s","burst":10"#, #""count":"x","rate":"60/60s","burst":1"#,
            #""count":"x","rate":"1/1001ms","burst":1"#, #""count":"x","rate":"1/10h","burst":1"#,
            #""count":"x","limit":7,"window":"61s","guard":"1s""#,
            #""count":"x","limit":7,"window":"year","zone":"UTC","guard":"1m""#,
            #""count":"x","limit":7,"window":"hour","zone":"Asia/Kathmandu""#,
            #""count":"concurrency","limit":7,"lease":"1h","max_hold":"1h""#,
            #""count":"concurrency","limit":7,"lease":"30s","max_hold":"16m""#,
            #""count":"\u0001\"\\/é😀","limit":7,"window":"1h""#,
        ].map(document(limit:))
        let rest = [
            everything,
            #"{"admission":1,"policies":[{"name":"d","default":true,"per":["a","b"],"limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]}],"queue":{}}"#,
            #"{"admission":1,"policies":[{"name":"d","match":{"a":["x","y"],"é":"*"},"limits":[{"name":"l","count":"x","limit":1,"window":"1m"}]}],"queue":{"flow":"f","max_waiting":1},"store":{"on_outage":"local","on_loss":"reset","deadline":"1s","slices":true,"slice_ttl":"100ms","processes":4,"outage_share":"1/4"}}"#,
        ]
        return try (limits + rest).map { try PolicyDocument(json: $0) }
    }

    @Test("the same in other words is the same document; another number is another")
    func equality() throws {
        let one = try PolicyDocument(
            json:
                #"{"admission":1,"policies":[{"name":"p","match":{"b":"1","a":"2"},"limits":[{"name":"l","count":"requests","limit":5,"window":"60s","guard":"0s"}]}],"store":{}}"#
        )
        let other = try PolicyDocument(
            json:
                #"{"policies":[{"limits":[{"window":"1m","limit":5,"count":"requests","name":"l"}],"match":{"a":"2","b":"1"},"name":"p"}],"admission":1}"#
        )
        #expect(one == other && one.hash == other.hash)
        #expect(
            one.canonicalJSON
                == #"{"admission":1,"policies":[{"name":"p","match":{"a":"2","b":"1"},"limits":[{"name":"l","count":"requests","limit":5,"window":"1m"}]}]}"#
        )
        // Pinned: events and shared stores compare it across processes and versions.
        #expect(one.hash == 0x018b_c9ff_e04c_26af)
        let third = try PolicyDocument(
            json: one.canonicalJSON.replacingOccurrences(of: ":5,", with: ":6,"))
        #expect(third != one && third.hash != one.hash)
    }

    @Test("a file is read, and one that cannot be read says why")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("admission-policy-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("policy.json")
        try Self.everything.write(to: file, atomically: true, encoding: .utf8)
        #expect(try PolicyDocument(path: file.path) == PolicyDocument(json: Self.everything))

        func fault(_ path: String) -> PolicyError? {
            do throws(PolicyError) {
                _ = try PolicyDocument(path: path)
                return nil
            } catch {
                return error
            }
        }
        let missing = folder.appendingPathComponent("nothing.json").path
        #expect(fault(missing)?.kind == .unreadable)
        #expect(
            fault(missing)?.message.contains("\(missing)\" cannot be read: No such file") == true)
        #expect(fault(folder.path)?.message.contains("is no file but a directory") == true)
        #expect(fault(file.path + "\0x")?.message.contains("NUL") == true)
        try Data(repeating: 0x20, count: PolicyDocument.maximumBytes + 1).write(to: file)
        #expect(fault(file.path)?.kind == .tooLarge)
        try Data(repeating: 0x20, count: PolicyDocument.maximumBytes).write(to: file)
        #expect(fault(file.path)?.kind == .malformed)
    }

    @Test("a document of 8 MiB is read, one byte more is refused by its size")
    func size() throws {
        var bytes = Array(Self.everything.utf8)
        bytes += [UInt8](repeating: 0x0A, count: PolicyDocument.maximumBytes - bytes.count)
        #expect(try PolicyDocument(json: bytes).policies.count == 2)
        bytes.append(0x0A)
        do throws(PolicyError) {
            _ = try PolicyDocument(json: bytes)
            Issue.record("read")
        } catch {
            #expect(error.kind == .tooLarge)
            #expect(error.description == "8388609 bytes of JSON; accepted: at most 8388608")
        }
    }
}
