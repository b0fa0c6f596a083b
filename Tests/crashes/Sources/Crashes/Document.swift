/// The numbers of a policy document: what differs between the worlds.
struct Document {
    var rate = "1/s"
    var burst = 10
    var window = "10s"
    var roll = 11
    var tokens = 60
    /// A calendar window's name, and its limit.
    var calendar = "minute"
    var calls = 12
    /// Window of the limit that never binds.
    var long = "1h"
    var slots = 4
    var lease = "60s"

    /// `call` and `pace` take the general way on every clock: more limits than a few, a bucket among
    /// others. `few` and `single` take the ways at once on a system clock.
    var json: String {
        """
        {"admission": 1, "policies": [
          {"name": "calls", "match": {"kind": "call"}, "per": ["project"], "limits": [
            {"name": "pace", "count": "requests", "rate": "\(rate)", "burst": \(burst)},
            {"name": "roll", "count": "requests", "limit": \(roll), "window": "\(window)"},
            {"name": "calendar", "count": "requests", "limit": \(calls), "window": "\(calendar)"},
            {"name": "tokens", "count": "input_tokens", "limit": \(tokens),
             "window": "\(window)"},
            {"name": "parallel", "count": "concurrency", "limit": \(slots), "lease": "\(lease)"}]},
          {"name": "pacing", "match": {"kind": "pace"}, "per": ["project"], "limits": [
            {"name": "pace2", "count": "requests", "rate": "\(rate)", "burst": \(burst)},
            {"name": "tokens2", "count": "input_tokens", "limit": 50, "window": "\(window)"}]},
          {"name": "few", "match": {"kind": "few"}, "per": ["project"], "limits": [
            {"name": "few roll", "count": "requests", "limit": \(roll), "window": "\(window)"},
            {"name": "few calendar", "count": "requests", "limit": \(calls),
             "window": "\(calendar)"},
            {"name": "few tokens", "count": "input_tokens", "limit": \(tokens),
             "window": "\(window)"},
            {"name": "few parallel", "count": "concurrency", "limit": \(Self.fewSlots),
             "lease": "\(lease)"}]},
          {"name": "single", "match": {"kind": "single"}, "per": ["project"], "limits": [
            {"name": "single", "count": "requests", "rate": "\(rate)", "burst": \(burst)}]},
          {"name": "everything", "match": {"kind": ["call", "pace"]}, "per": ["project"], "limits": [
            {"name": "all", "count": "requests", "limit": 1000, "window": "\(long)"}]}]}
        """
    }

    static let fewSlots = 4
    /// Names of its buckets.
    static let buckets: Set<String> = ["pace", "pace2", "single"]

    /// On a manual clock; windows turn when it is moved.
    static let manual = Document()

    /// On the system's clock: nothing passes in the seconds that a test takes, so that each figure is
    /// known without moving the time.
    static let system = Document(
        rate: "1/24h", window: "24h", calendar: "year", long: "24h")

    /// On a manual clock, with more slots than the first block of a key holds.
    static let wide = Document(slots: 256)

    /// The same with some more.
    static let wider = Document(slots: 262)

    /// What is loaded over a document: other numbers under the same names.
    var successor: Document {
        var next = self
        next.lease = "30s"
        if rate == Self.system.rate {
            // Nothing comes back with time there: more than was spent.
            next.rate = "2/24h"
            (next.burst, next.roll, next.tokens, next.calls) = (21, 19, 120, 24)
        } else {
            next.rate = "2/s"
            (next.burst, next.roll) = (9, 8)
        }
        return next
    }
}
