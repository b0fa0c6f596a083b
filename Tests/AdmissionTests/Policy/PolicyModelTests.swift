import Testing

@testable import Admission

/// Documents made in Swift.
@Suite("Policy")
struct PolicyModelTests {
    private static let rolling = LimitKind.rollingWindow(
        limit: 1, windowNanoseconds: 1_000_000_000, guardNanoseconds: 0)

    private static func policy(
        _ kind: LimitKind = rolling, count: Count = .requests, match: [AttributeMatch] = []
    ) -> Policy {
        Policy(name: "p", match: match, limits: [Limit(name: "l", count: count, kind: kind)])
    }

    private func fault(_ policies: [Policy], shard: String? = nil) -> String {
        do throws(PolicyError) {
            _ = try PolicyDocument(policies: policies, shard: shard)
            return "accepted"
        } catch {
            #expect(error.line == nil && error.column == nil)
            return error.description
        }
    }

    @Test("a document made in Swift equals the one read from JSON")
    func equal() throws {
        let made = try PolicyDocument(policies: [Self.policy()])
        let read = try PolicyDocument(
            json: PolicyDocumentTests.document(
                limit: #""count":"requests","limit":1,"window":"1s""#))
        #expect(made == read && made.hash == read.hash)
    }

    /// Policies that no document can hold, and what is said of them.
    private static let refusals: [([Policy], String)] = [
        ([], "policies: the list is empty"),
        ([Policy(name: "p", limits: [])], "policies[0].limits: the list is empty"),
        (
            [policy(match: [AttributeMatch("a", .value("*"))])],
            "policies[0].match.a: \"*\" is no value among others"
        ),
        (
            [
                policy(match: [
                    AttributeMatch("a", .present), AttributeMatch("a", .present),
                ])
            ],
            "policies[0].match.a: \"a\" is matched twice"
        ),
        (
            [policy(rolling, count: .concurrency)],
            "policies[0].limits[0].count: \"concurrency\" does not go with a rolling limit"
        ),
        (
            [
                policy(
                    .tokenBucket(units: 1, periodNanoseconds: 1_000_000, burst: 1),
                    count: .concurrency)
            ],
            "does not go with a bucket limit"
        ),
        (
            [
                policy(
                    .concurrency(
                        limit: 1, leaseNanoseconds: 30_000_000_000,
                        maxHoldNanoseconds: 30_000_000_000))
            ],
            "policies[0].limits[0].count: \"requests\" does not go with a concurrency limit"
        ),
        (
            [
                policy(
                    .rollingWindow(limit: 1, windowNanoseconds: 1_500_000, guardNanoseconds: 0))
            ],
            "policies[0].limits[0].window: \"1500000ns\" is out of range; accepted: 1ms to 87600h, in whole"
        ),
        (
            [
                policy(
                    .rollingWindow(limit: 1, windowNanoseconds: 2_000_000, guardNanoseconds: 1))
            ],
            "policies[0].limits[0].guard: \"1ns\" is out of range; accepted: whole milliseconds"
        ),
        (
            [
                policy(
                    .rollingWindow(
                        limit: 1, windowNanoseconds: 2_000_000, guardNanoseconds: -1_000_000))
            ],
            "policies[0].limits[0].guard: \"-1ms\" is out of range"
        ),
        (
            [
                policy(
                    .rollingWindow(limit: .min, windowNanoseconds: .min, guardNanoseconds: .min)
                )
            ],
            "policies[0].limits[0].limit: -9223372036854775808 is out of range"
        ),
        (
            [policy(.tokenBucket(units: .max, periodNanoseconds: .max, burst: .max))],
            "policies[0].limits[0].rate: "
        ),
        (
            [policy(.tokenBucket(units: 1, periodNanoseconds: .max, burst: .max))],
            "policies[0].limits[0].rate: "
        ),
        (
            [policy(.tokenBucket(units: 1, periodNanoseconds: 0, burst: 1))],
            "\"1/0ms\" is out of range"
        ),
        (
            [
                policy(
                    .calendarWindow(limit: 1, unit: .day, zone: "Nowhere", guardNanoseconds: 0))
            ],
            "policies[0].limits[0].zone: \"Nowhere\" is not in the time-zone database"
        ),
        (
            [policy(rolling, count: Count(""))],
            "policies[0].limits[0].count: \"\" is empty"
        ),
        (
            [
                Policy(
                    name: "p",
                    limits: (0...64).map {
                        Limit(name: "\($0)", count: .requests, kind: rolling)
                    })
            ],
            "policies[0].limits: 65 limits are too many; accepted: at most 64"
        ),
        (
            [Policy(name: "p", per: (0...64).map(String.init), limits: policy().limits)],
            "policies[0].per: 65 attributes are too many"
        ),
        (
            [
                Policy(
                    name: "p", match: [AttributeMatch("a", .present)], isDefault: true,
                    limits: policy().limits)
            ],
            "policies[0].default: true does not go with match"
        ),
    ]

    @Test("what JSON cannot say is refused from Swift too")
    func onlyInSwift() {
        for (policies, expected) in Self.refusals {
            let answer = fault(policies)
            #expect(answer.contains(expected), "\(answer)")
        }
        #expect(fault([Self.policy()], shard: "s").hasPrefix("policies[0].per: [] lacks"))
    }

    @Test("names that Swift takes for equal are two where their bytes differ")
    func bytewise() {
        let composed = Limit(name: "\u{E9}", count: .requests, kind: Self.rolling)
        let decomposed = Limit(name: "e\u{301}", count: .requests, kind: Self.rolling)
        #expect(fault([Policy(name: "p", limits: [composed, decomposed])]) == "accepted")
        #expect(fault([Policy(name: "p", limits: [composed, composed])]).contains("earlier limit"))
    }

    @Test("settings made in Swift are held to their bounds")
    func settings() {
        func fault(_ queue: QueueSettings?, _ store: StoreSettings = StoreSettings()) -> String {
            do throws(PolicyError) {
                _ = try PolicyDocument(policies: [Self.policy()], queue: queue, store: store)
                return "accepted"
            } catch {
                return error.description
            }
        }
        #expect(fault(QueueSettings()) == "accepted")
        #expect(fault(QueueSettings(maxWaiting: .min)).hasPrefix("queue.max_waiting: "))
        #expect(
            fault(QueueSettings(priorities: [PriorityShare(name: "", share: 1)]))
                .hasPrefix("queue.priorities[0].name: \"\" is empty"))
        #expect(fault(nil, StoreSettings(processes: -1)).hasPrefix("store.processes: -1"))
        #expect(
            fault(nil, StoreSettings(outageShare: OutageShare(numerator: 1, denominator: .min)))
                .hasPrefix("store.outage_share: "))
        #expect(
            fault(nil, StoreSettings(deadlineNanoseconds: 1_000_001))
                .hasPrefix("store.deadline: \"1000001ns\" is out of range"))
    }
}
