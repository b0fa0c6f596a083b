/// The policies the rows decide by. Limits are too large to refuse in the seconds a row takes, so
/// that every call goes the whole way; `…Spent` and `…Held` refuse.
enum Policies {
    static let bucket = document(
        "\"per\": [\"project\"], ",
        """
        {"name": "pace", "count": "requests", "rate": "1000000000/s", "burst": 1000000000}
        """)
    static let rolling = document(
        "\"per\": [\"project\"], ",
        """
        {"name": "rpm", "count": "requests", "limit": 1000000000000, "window": "1m"}
        """)
    static let calendar = document(
        "\"per\": [\"project\"], ",
        """
        {"name": "rpd", "count": "requests", "limit": 1000000000000, "window": "day",
         "zone": "America/Los_Angeles"}
        """)
    /// What a provider's free tier asks for: requests and tokens a minute, requests a day, calls at
    /// once.
    static let four = fourLimits(requestsPerMinute: 1_000_000_000_000, parallel: 8)
    static let bucketSpent = document(
        "\"per\": [\"project\"], ",
        """
        {"name": "pace", "count": "requests", "rate": "1/1h", "burst": 1}
        """)
    static let fourSpent = fourLimits(requestsPerMinute: 1, parallel: 8)
    static let fourHeld = fourLimits(requestsPerMinute: 1_000_000_000_000, parallel: 1)

    /// A limit of every kind.
    static let everyKind = document(
        "\"per\": [\"project\"], ",
        """
        {"name": "pace", "count": "requests", "rate": "1000000000/s", "burst": 1000000000},
        {"name": "rpm", "count": "requests", "limit": 1000000000000, "window": "1m"},
        {"name": "rpd", "count": "requests", "limit": 1000000000000, "window": "day",
         "zone": "America/Los_Angeles"},
        {"name": "parallel", "count": "concurrency", "limit": 8, "lease": "30s"}
        """)

    static func fourLimits(requestsPerMinute: Int, parallel: Int) -> String {
        document(
            "\"match\": {\"model\": \"gemini-2.5-flash\"}, \"per\": [\"project\"], ",
            """
            {"name": "rpm", "count": "requests", "limit": \(requestsPerMinute), "window": "1m"},
            {"name": "tpm", "count": "input_tokens", "limit": 1000000000000, "window": "1m"},
            {"name": "rpd", "count": "requests", "limit": 1000000000000, "window": "day",
             "zone": "America/Los_Angeles"},
            {"name": "parallel", "count": "concurrency", "limit": \(parallel), "lease": "30s"}
            """)
    }

    /// `count` policies of three limits each, one for each model.
    static func table(of count: Int) -> String {
        let policies = (0..<count).map { index in
            """
            {"name": "model-\(index)", "match": {"model": "model-\(index)"}, "per": ["project"],
             "limits": [
              {"name": "rpm", "count": "requests", "limit": \(100 + index), "window": "1m"},
              {"name": "tpm", "count": "input_tokens", "limit": 1000000, "window": "1m"},
              {"name": "pace", "count": "requests", "rate": "50/s", "burst": 100}]}
            """
        }
        return "{\"admission\": 1, \"policies\": [\(policies.joined(separator: ",\n"))]}"
    }

    private static func document(_ scope: String, _ limits: String) -> String {
        """
        {"admission": 1, "policies": [{"name": "bench", \(scope)"limits": [\(limits)]}]}
        """
    }
}
