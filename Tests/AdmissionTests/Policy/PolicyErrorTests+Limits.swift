@testable import Admission

extension PolicyErrorTests {
    private static let rolling = #""count":"x","limit":1,"window":"1m""#
    private static let bucket = #""count":"x","rate":"5/s","burst":1"#
    private static let slots = #""count":"concurrency","limit":1"#

    static let limitFaults = [
        limit(
            #""count":"x""#, .missing, "", "accepted: rate and burst, limit and window, or count"),
        limit(#""limit":1,"window":"1s""#, .missing, "count", "count is missing"),
        limit(#""count":1,"limit":1,"window":"1s""#, .wrongType, "count", "1 is a number"),
        limit(#""count":"","limit":1,"window":"1s""#, .missing, "count", "is empty"),
        limit(#""count":"a\u0000","limit":1,"window":"1s""#, .unreadableValue, "count", "NUL"),
        limit(rolling + #","bursts":1"#, .unknownKey, "bursts", "accepted: name, count, rate"),
        limit(rolling + #","limit":1"#, .duplicate, "limit", "stands twice"),
        limit(#""count":"x","limit":1"#, .missing, "window", "window is missing"),
        limit(#""count":"x","window":"1m""#, .missing, "limit", "limit is missing"),
        limit(#""count":"x","rate":"5/s""#, .missing, "burst", "burst is missing in a limit"),
        limit(#""count":"x","burst":5"#, .missing, "rate", "rate is missing"),
        // One kind only.
        limit(
            bucket + #","limit":1"#, .conflict, "limit", "limit does not go with a limit with rate"),
        limit(bucket + #","window":"1m""#, .conflict, "window", "accepted: rate, burst"),
        limit(bucket + #","guard":"1ms""#, .conflict, "guard", "guard does not go with"),
        limit(bucket + #","guard":"0s""#, .conflict, "guard", "guard does not go with"),
        limit(bucket + #","zone":"UTC""#, .conflict, "zone", "zone does not go with"),
        limit(bucket + #","lease":"1s""#, .conflict, "lease", "lease does not go with"),
        limit(rolling + #","rate":"1/s""#, .conflict, "limit", "accepted: rate, burst"),
        limit(rolling + #","burst":1"#, .conflict, "limit", "limit does not go with"),
        limit(rolling + #","zone":"UTC""#, .conflict, "zone", "a limit with a rolling window"),
        limit(rolling + #","lease":"1s""#, .conflict, "lease", "accepted: limit, window, guard"),
        limit(rolling + #","max_hold":"1s""#, .conflict, "max_hold", "does not go with"),
        limit(
            #""count":"x","limit":1,"window":"day","lease":"1s""#, .conflict, "lease",
            "accepted: limit, window, zone, guard"),
        limit(slots + #","window":"1m""#, .conflict, "window", "a limit with count: concurrency"),
        limit(slots + #","zone":"UTC""#, .conflict, "zone", "does not go with"),
        limit(slots + #","guard":"1s""#, .conflict, "guard", "does not go with"),
        limit(slots + #","burst":1"#, .conflict, "burst", "accepted: limit, lease, max_hold"),
        limit(
            #""count":"concurrency","rate":"1/s","burst":1"#, .conflict, "rate",
            "count: concurrency"),
        limit(#""count":"concurrency""#, .missing, "limit", "limit is missing"),
        // Zones.
        limit(zone("PST9"), .zone, "zone", "\"PST9\" is not in the time-zone database"),
        limit(zone("../../etc/passwd"), .zone, "zone", "../../etc/passwd"),
        limit(zone("/etc/localtime"), .zone, "zone", "/etc/localtime"),
        limit(zone("Europe"), .zone, "zone", "\"Europe\""),
        limit(zone(""), .missing, "zone", "is empty"),
        limit(zone("UTC\\u0000"), .unreadableValue, "zone", "NUL"),
        limit(
            #""count":"x","limit":1,"window":"day","zone":1"#, .wrongType, "zone", "1 is a number"),
        limit(
            #""count":"x","limit":1,"window":"day","zone":null"#, .wrongType, "zone",
            "null is no value"),
    ]

    private static func zone(_ name: String) -> String {
        #""count":"x","limit":1,"window":"day","zone":"\#(name)""#
    }

    private static func units(_ text: String) -> String {
        #""count":"x","window":"1m","limit":\#(text)"#
    }
    private static let unitsAccepted = "accepted: a whole number from 1 to 1000000000000"

    static let numberFaults = [
        limit(units("0"), .outOfRange, "limit", "0 is out of range; \(unitsAccepted)"),
        limit(units("-1"), .outOfRange, "limit", "-1 is out of range"),
        limit(units("-0"), .outOfRange, "limit", "-0 is out of range"),
        limit(units("1000000000001"), .outOfRange, "limit", "1000000000001 is out of range"),
        limit(units("9223372036854775807"), .outOfRange, "limit", "9223372036854775807 is out"),
        limit(units("9223372036854775808"), .outOfRange, "limit", "9223372036854775808 is out"),
        limit(units("-9223372036854775809"), .outOfRange, "limit", unitsAccepted),
        limit(
            units("1.5"), .wrongType, "limit", "1.5 has a fraction or an exponent; \(unitsAccepted)"
        ),
        limit(units("1.0"), .wrongType, "limit", "1.0 has a fraction"),
        limit(units("1e3"), .wrongType, "limit", "1e3 has a fraction or an exponent"),
        limit(units("\"10\""), .wrongType, "limit", "\"10\" is text; \(unitsAccepted)"),
        limit(units("true"), .wrongType, "limit", "true is a boolean"),
        limit(units("null"), .wrongType, "limit", "null is no value"),
        limit(units("[1]"), .wrongType, "limit", "is a list"),
        limit(#""count":"x","rate":"5/s","burst":0"#, .outOfRange, "burst", "0 is out of range"),
        limit(
            #""count":"x","rate":"5/s","burst":1000000000001"#, .outOfRange, "burst",
            "1000000000001 is out of range; \(unitsAccepted)"),
        limit(#""count":"x","rate":"5/s","burst":1.5"#, .wrongType, "burst", "1.5 has a fraction"),
        limit(
            #""count":"concurrency","limit":1000001"#, .outOfRange, "limit",
            "1000001 is out of range; accepted: a whole number from 1 to 1000000"),
        limit(#""count":"concurrency","limit":0"#, .outOfRange, "limit", "0 is out of range"),
        limit(
            #""count":"x","rate":"1/h","burst":1281023"#, .outOfRange, "burst",
            "(burst + 1) x interval is 1281024 x 3600000000000 ns = 4611686400000000000 ns; "
                + "accepted: at most 2^62 = 4611686018427387904 ns"),
        limit(
            #""count":"x","rate":"1/1281023h","burst":1000000000000"#, .outOfRange, "burst",
            "1000000000001 x 4611682800000000000 ns"),
        limit(rate("0/s"), .outOfRange, "rate", "\"0/s\" is out of range; accepted: 1 to"),
        limit(rate("1000000000001/s"), .outOfRange, "rate", "is out of range"),
        limit(rate("99999999999999999999/s"), .outOfRange, "rate", "is too fast"),
        limit(
            rate("1/0s"), .outOfRange, "rate",
            "\"1/0s\" is out of range; accepted: a time of 1ms to"),
        limit(rate("1/1281024h"), .outOfRange, "rate", "is out of range"),
        limit(rate("1/99999999999999999999h"), .outOfRange, "rate", "longer than 2^63 nanoseconds"),
        limit(rate("1/2562048h"), .outOfRange, "rate", "longer than 2^63 nanoseconds"),
        limit(rate("1/d"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("1/1d"), .unreadableValue, "rate", "is not a rate"),
        limit(
            rate("60/min"), .unreadableValue, "rate", "\"60/min\" is not a rate; accepted: a whole"),
        limit(rate("5"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("5/"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("/s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate(""), .unreadableValue, "rate", "\"\" is not a rate"),
        limit(rate("5 / s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("-5/s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("+5/s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("0.5/s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("5/\u{301}s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("5/s/s"), .unreadableValue, "rate", "is not a rate"),
        limit(rate("٥/s"), .unreadableValue, "rate", "is not a rate"),
        limit(#""count":"x","rate":5,"burst":1"#, .wrongType, "rate", "5 is a number"),
    ]

    private static func rate(_ text: String) -> String {
        #""count":"x","burst":1,"rate":"\#(text)""#
    }
    private static func window(_ text: String) -> String {
        #""count":"x","limit":1,"window":\#(text)"#
    }
    private static func guarded(_ window: String, _ text: String) -> String {
        #""count":"x","limit":1,"window":"\#(window)","guard":"\#(text)""#
    }
    private static let twoWords = #"accepted: "24h" for a span of hours, or the window "day""#

    static let durationFaults = [
        limit(
            window(#""1d""#), .unreadableValue, "window", "\"1d\" is not a duration; \(twoWords)"),
        limit(window(#""7d""#), .unreadableValue, "window", "\"168h\""),
        limit(window(#""0d""#), .unreadableValue, "window", "\"24h\""),
        limit(
            window(#""60""#), .unreadableValue, "window",
            "\"60\" is not a window; accepted: a whole"),
        limit(
            window(#""1w""#), .unreadableValue, "window", "minute, hour, day, week, month or year"),
        limit(window(#""1M""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""Day""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""1 m""#), .unreadableValue, "window", "is not a window"),
        limit(window(#"" 1m""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""1m30s""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""1.5s""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""-1s""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""1us""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""1ns""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""m""#), .unreadableValue, "window", "is not a window"),
        limit(window(#""""#), .unreadableValue, "window", "\"\" is not a window"),
        limit(window("60"), .wrongType, "window", "60 is a number"),
        limit(
            window(#""0s""#), .outOfRange, "window",
            "\"0s\" is out of range; accepted: 1ms to 87600h"),
        limit(window(#""87601h""#), .outOfRange, "window", "\"87601h\" is out of range"),
        limit(window(#""9223372036854775808ms""#), .outOfRange, "window", "longer than 2^63"),
        limit(window(#""9223372036855ms""#), .outOfRange, "window", "longer than 2^63"),
        limit(
            guarded("1m", "1m"), .outOfRange, "guard", "\"1m\" is not shorter than the window of 1m"
        ),
        limit(guarded("1m", "2h"), .outOfRange, "guard", "is not shorter"),
        limit(guarded("minute", "1m"), .outOfRange, "guard", "is not shorter than a minute"),
        limit(guarded("day", "24h"), .outOfRange, "guard", "is not shorter than a day"),
        limit(guarded("1m", "1d"), .unreadableValue, "guard", twoWords),
        limit(
            guarded("1m", "1"), .unreadableValue, "guard",
            "accepted: a whole number and ms, s, m or h"),
        limit(
            #""count":"x","limit":1,"window":"1m","guard":0"#, .wrongType, "guard", "0 is a number"),
        limit(
            slots + #","lease":"99ms""#, .outOfRange, "lease",
            "\"99ms\" is out of range; accepted: 100ms"),
        limit(slots + #","lease":"25h""#, .outOfRange, "lease", "accepted: 100ms to 24h"),
        limit(slots + #","lease":30"#, .wrongType, "lease", "30 is a number"),
        limit(
            slots + #","lease":"1m","max_hold":"59s""#, .conflict, "max_hold",
            "shorter than the lease of 1m"),
        limit(
            slots + #","max_hold":"29s""#, .conflict, "max_hold", "shorter than the lease of 30s"),
        limit(slots + #","max_hold":"8761h""#, .outOfRange, "max_hold", "accepted: 100ms to 8760h"),
    ]

    private static func slices(_ store: String, window: String, _ text: String) -> FaultCase {
        FaultCase(
            json: """
                {"admission":1,"policies":[{"name":"p","limits":[{"name":"l","count":"x","limit":1,
                \(window)}]}],"store":{"slices":true\(store)}}
                """, kind: .conflict, path: "policies[0].limits[0].window", text: text)
    }

    static let settingFaults = [
        document(
            #""queue":{"flows":"x"}"#, .unknownKey, "queue.flows", "accepted: flow, max_waiting"),
        document(#""queue":{"flow":""}"#, .missing, "queue.flow", "is empty"),
        document(#""queue":{"flow":1}"#, .wrongType, "queue.flow", "1 is a number"),
        document(
            #""queue":{"max_waiting":0}"#, .outOfRange, "queue.max_waiting", "from 1 to 10000000"),
        document(
            #""queue":{"max_waiting":10000001}"#, .outOfRange, "queue.max_waiting", "out of range"),
        document(#""queue":{"max_waiting":"9"}"#, .wrongType, "queue.max_waiting", "is text"),
        document(#""queue":{"priorities":[]}"#, .missing, "queue.priorities", "the list is empty"),
        document(#""queue":{"priorities":{}}"#, .wrongType, "queue.priorities", "is an object"),
        document(#""queue":{"priorities":["a"]}"#, .wrongType, "queue.priorities[0]", "is text"),
        document(
            #""queue":{"priorities":[{"name":"a"}]}"#, .missing, "queue.priorities[0].share",
            "share is missing in a priority"),
        document(
            #""queue":{"priorities":[{"share":1}]}"#, .missing, "queue.priorities[0].name",
            "missing"),
        document(
            #""queue":{"priorities":[{"name":"a","share":0}]}"#, .outOfRange,
            "queue.priorities[0].share",
            "0 is out of range; accepted: a whole number from 1 to 1000000"),
        document(
            #""queue":{"priorities":[{"name":"a","share":1},{"name":"a","share":1}]}"#, .duplicate,
            "queue.priorities[1].name", "an earlier priority"),
        document(
            #""queue":{"priorities":[{"name":"a","share":1,"x":1}]}"#, .unknownKey,
            "queue.priorities[0].x", "accepted: name, share"),
        document(
            #""store":{"on_outage":"allow"}"#, .unreadableValue, "store.on_outage",
            "accepted: reject, admit, local"),
        document(
            #""store":{"on_loss":"keep"}"#, .unreadableValue, "store.on_loss",
            "accepted: hold, reset"),
        document(#""store":{"on_loss":true}"#, .wrongType, "store.on_loss", "true is a boolean"),
        document(
            #""store":{"deadline":"0ms"}"#, .outOfRange, "store.deadline", "accepted: 1ms to 1m"),
        document(
            #""store":{"deadline":"61s"}"#, .outOfRange, "store.deadline", "\"61s\" is out of range"
        ),
        document(#""store":{"deadline":50}"#, .wrongType, "store.deadline", "50 is a number"),
        document(
            #""store":{"slices":"no"}"#, .wrongType, "store.slices", "accepted: true or false"),
        document(#""store":{"slice_ttl":"0s"}"#, .outOfRange, "store.slice_ttl", "out of range"),
        document(#""store":{"processes":0}"#, .outOfRange, "store.processes", "0 is out of range"),
        document(#""store":{"processes":1000001}"#, .outOfRange, "store.processes", "out of range"),
        document(
            #""store":{"outage_share":0.25}"#, .wrongType, "store.outage_share",
            "0.25 is a number; accepted: a fraction in quotes"),
        document(
            #""store":{"outage_share":"25%"}"#, .unreadableValue, "store.outage_share",
            "\"25%\" is not a fraction"),
        document(
            #""store":{"outage_share":"1/4/2"}"#, .unreadableValue, "store.outage_share",
            "is not a fraction"),
        document(
            #""store":{"outage_share":"5/4"}"#, .outOfRange, "store.outage_share",
            "\"5/4\" is out of range"),
        document(
            #""store":{"outage_share":"0/4"}"#, .outOfRange, "store.outage_share", "out of range"),
        document(
            #""store":{"outage_share":"0/0"}"#, .outOfRange, "store.outage_share", "out of range"),
        document(
            #""store":{"outage_share":"1/1000001"}"#, .outOfRange, "store.outage_share",
            "out of range"),
        document(#""store":{"url":"x"}"#, .unknownKey, "store.url", "accepted: on_outage"),
        slices(
            "", window: #""window":"30s""#,
            "guard 0ms + slice_ttl 500ms + one cell of 500000000 ns is 1000000000 ns; accepted: at most 3 % of the window, 900000000 ns"
        ),
        slices("", window: #""window":"1m","guard":"400ms""#, "is too short for slices"),
        slices(#","slice_ttl":"801ms""#, window: #""window":"1m""#, "1801000000 ns; accepted"),
        slices(#","slice_ttl":"50s""#, window: #""window":"1h""#, "one cell of 60000000000 ns"),
    ]
}
