import Testing

@testable import Admission

/// A document with one fault, and what must be said about it.
struct FaultCase: Sendable, CustomTestStringConvertible {
    let json: String
    let kind: PolicyError.Kind
    let path: String
    let text: String

    var testDescription: String { "\(path) \(text)" }
}

@Suite("PolicyError")
struct PolicyErrorTests {
    static func limit(
        _ members: String, _ kind: PolicyError.Kind, _ key: String, _ text: String
    ) -> FaultCase {
        FaultCase(
            json: PolicyDocumentTests.document(limit: members), kind: kind,
            path: "policies[0].limits[0]" + (key.isEmpty ? "" : ".\(key)"), text: text)
    }

    static func policy(
        _ members: String, _ kind: PolicyError.Kind, _ path: String, _ text: String
    ) -> FaultCase {
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"p",\(members)
                "limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]}]}
                """, kind: kind, path: "policies[0].\(path)", text: text)
    }

    static func document(
        _ members: String, _ kind: PolicyError.Kind, _ path: String, _ text: String
    ) -> FaultCase {
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"p","per":["a"],"limits":[
                {"name":"l","count":"x","limit":1,"window":"1s"}]}],\(members)}
                """, kind: kind, path: path, text: text)
    }

    @Test(
        "a fault is named by its path, its value and what is accepted",
        arguments: documentFaults + policyFaults + limitFaults + numberFaults + durationFaults
            + settingFaults)
    func faults(_ expected: FaultCase) {
        do throws(PolicyError) {
            _ = try PolicyDocument(json: expected.json)
            Issue.record("accepted: \(expected.json)")
        } catch {
            #expect(error.path == expected.path, "\(error)")
            #expect(error.kind == expected.kind, "\(error)")
            #expect(error.message.contains(expected.text), "\(error)")
            #expect(error.line != nil && error.column != nil)
        }
    }

    @Test("the design's example of an error reads as the design says, with its place behind")
    func designExample() {
        let text = PolicyDocumentTests.everything.replacing("America/Los_Angeles", with: "PST9")
        #expect(throws: PolicyError.self) { try PolicyDocument(json: text) }
        do throws(PolicyError) {
            _ = try PolicyDocument(json: text)
        } catch {
            #expect(
                error.description.hasPrefix(
                    #"policies[0].limits[2].zone: "PST9" is not in the time-zone database"#))
            #expect(error.message.contains("/PST9: "), "\(error)")
            #expect(error.description.hasSuffix("(line 11, column 84)"), "\(error)")
        }
    }

    @Test("values are shown as they were written, and cut where they are long")
    func values() {
        func message(_ members: String) -> String {
            do throws(PolicyError) {
                _ = try PolicyDocument(json: PolicyDocumentTests.document(limit: members))
                return ""
            } catch {
                return error.message
            }
        }
        // 60s is 1m to the model; the reader of the error wrote 60s.
        #expect(
            message(#""count":"x","limit":1,"window":"1m","guard":"60s""#)
                == #""60s" is not shorter than the window of 1m; accepted: less than that"#)
        let long = String(repeating: "9", count: 5_000)
        #expect(
            message(#""count":"x","limit":\#(long),"window":"1m""#)
                == "\(String(repeating: "9", count: 40))… is out of range; accepted: "
                + "a whole number from 1 to 1000000000000")
        #expect(message(#""count":"x","limit":1,"window":"\#(long)""#).utf8.count < 300)
        #expect(message(#""count":"x","limit":1,"window":"\u0007""#).hasPrefix(#""\u0007" is"#))
    }

    @Test("a key that needs quotes has them in the path")
    func quotedPath() {
        do throws(PolicyError) {
            _ = try PolicyDocument(
                json: #"{"admission":1,"policies":[{"name":"p","match":{"a b.c":7},"limits":[]}]}"#)
        } catch {
            #expect(error.path == #"policies[0].match["a b.c"]"#)
        }
    }

    static let documentFaults = [
        FaultCase(json: "[]", kind: .wrongType, path: "", text: "[…] is a list"),
        FaultCase(json: "null", kind: .wrongType, path: "", text: "null is no value"),
        FaultCase(json: "{}", kind: .missing, path: "admission", text: "\"admission\": 1"),
        FaultCase(json: "{\"policies\":[]}", kind: .missing, path: "admission", text: "is missing"),
        FaultCase(
            json: "{\"admission\":2,\"new\":1}", kind: .outOfRange, path: "admission",
            text: "2 is not a version this library reads; accepted: 1"),
        FaultCase(
            json: "{\"admission\":\"1\"}", kind: .wrongType, path: "admission",
            text: "\"1\" is text"
        ),
        FaultCase(
            json: "{\"admission\":1.0}", kind: .wrongType, path: "admission",
            text: "1.0 has a fraction or an exponent"),
        FaultCase(json: "{\"admission\":true}", kind: .wrongType, path: "admission", text: "true"),
        FaultCase(json: "{\"admission\":1}", kind: .missing, path: "policies", text: "is missing"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":{}}", kind: .wrongType, path: "policies",
            text: "{…} is an object; accepted: a list of policies"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":null}", kind: .wrongType, path: "policies",
            text: "null"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[]}", kind: .missing, path: "policies",
            text: "the list is empty"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[7]}", kind: .wrongType, path: "policies[0]",
            text: "7 is a number; accepted: a policy"),
        FaultCase(
            json: "{\"admission\":1,\"polices\":[]}", kind: .unknownKey, path: "polices",
            text: "\"polices\" is no key of a policy document; accepted: admission, shard, policies"
        ),
        FaultCase(
            json: "{\"admission\":1,\"admission\":1}", kind: .duplicate, path: "admission",
            text: "stands twice"),
        document("\"queue\":7", .wrongType, "queue", "7 is a number"),
        document("\"store\":[]", .wrongType, "store", "is a list"),
        document("\"shard\":\"\"", .missing, "shard", "is empty"),
        document("\"shard\":1", .wrongType, "shard", "1 is a number"),
        document("\"shard\":\"a\\u0000\"", .unreadableValue, "shard", "NUL"),
        document(
            "\"shard\":\"project\"", .conflict, "policies[0].per",
            "[\"a\"] lacks the shard attribute \"project\""),
        FaultCase(
            json: """
                {"admission":1,"shard":"s","policies":[
                {"name":"p","per":["s"],"limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]},
                {"name":"q","limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]}]}
                """, kind: .conflict, path: "policies[1].per", text: "[] lacks"),
        FaultCase(
            json: """
                {"admission":1,"policies":[
                {"name":"p","limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]},
                {"name":"p","limits":[{"name":"l","count":"x","limit":1,"window":"1s"}]}]}
                """, kind: .duplicate, path: "policies[1].name",
            text: "\"p\" is the name of an earlier policy"),
    ]

    static let policyFaults = [
        policy("\"limit\":1,", .unknownKey, "limit", "accepted: name, match, default, per, limits"),
        policy("\"default\":true,\"match\":{\"a\":\"b\"},", .conflict, "default", "with match"),
        policy("\"default\":true,\"match\":{},", .conflict, "default", "with match"),
        policy("\"default\":1,", .wrongType, "default", "1 is a number; accepted: true or false"),
        policy("\"default\":\"true\",", .wrongType, "default", "is text"),
        policy("\"match\":[],", .wrongType, "match", "is a list"),
        policy("\"match\":{\"a\":1},", .wrongType, "match.a", "1 is a number"),
        policy("\"match\":{\"a\":true},", .wrongType, "match.a", "true is a boolean"),
        policy("\"match\":{\"a\":null},", .wrongType, "match.a", "null"),
        policy("\"match\":{\"a\":{}},", .wrongType, "match.a", "is an object"),
        policy("\"match\":{\"a\":[]},", .missing, "match.a", "the list is empty"),
        policy("\"match\":{\"a\":[\"b\",1]},", .wrongType, "match.a[1]", "1 is a number"),
        policy("\"match\":{\"a\":[\"b\",\"*\"]},", .conflict, "match.a[1]", "\"*\" is no value"),
        policy("\"match\":{\"a\":[\"*\"]},", .conflict, "match.a[0]", "\"*\" alone"),
        policy("\"match\":{\"a\":[\"b\",\"b\"]},", .duplicate, "match.a[1]", "stands twice"),
        policy("\"match\":{\"a\":\"\\u0000\"},", .unreadableValue, "match.a", "NUL"),
        policy("\"match\":{\"\":\"b\"},", .missing, "match[\"\"]", "is empty"),
        policy("\"match\":{\"a\":\"b\",\"a\":\"c\"},", .duplicate, "match.a", "stands twice"),
        policy(
            "\"match\":{\"a\":\"\(String(repeating: "x", count: 4_097))\"},", .outOfRange,
            "match.a", "has 4097 bytes; accepted: at most 4096"),
        policy("\"per\":\"a\",", .wrongType, "per", "\"a\" is text; accepted: a list"),
        policy("\"per\":[1],", .wrongType, "per[0]", "1 is a number"),
        policy("\"per\":[\"\"],", .missing, "per[0]", "is empty"),
        policy("\"per\":[\"a\",\"b\",\"a\"],", .duplicate, "per[2]", "\"a\" stands twice"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[{\"limits\":[]}]}", kind: .missing,
            path: "policies[0].name", text: "name is missing in a policy"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[{\"name\":\"p\"}]}", kind: .missing,
            path: "policies[0].limits", text: "limits is missing"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[{\"name\":\"p\",\"limits\":[]}]}", kind: .missing,
            path: "policies[0].limits", text: "the list is empty"),
        FaultCase(
            json: "{\"admission\":1,\"policies\":[{\"name\":5,\"limits\":[]}]}", kind: .wrongType,
            path: "policies[0].name", text: "5 is a number; accepted: the policy's name"),
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"","limits":[
                {"name":"l","count":"x","limit":1,"window":"1s"}]}]}
                """, kind: .missing, path: "policies[0].name", text: "\"\" is empty"),
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"\(String(repeating: "é", count: 128))","limits":[
                {"name":"l","count":"x","limit":1,"window":"1s"}]}]}
                """, kind: .outOfRange, path: "policies[0].name", text: "has 256 bytes"),
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"p","limits":[
                {"name":"l","count":"x","limit":1,"window":"1s"},
                {"name":"l","count":"y","limit":1,"window":"1s"}]}]}
                """, kind: .duplicate, path: "policies[0].limits[1].name",
            text: "\"l\" is the name of an earlier limit of policy \"p\""),
    ]
}
