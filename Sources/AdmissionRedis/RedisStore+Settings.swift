import Admission

/// What the document in force says of its store, for who takes no lock, and counts beside it.
extension RedisStore {
    /// Processes that decide by themselves find out soon that the server is back.
    static func options(_ settings: RemoteSettings) -> RedisPipeline.Options {
        var options = RedisPipeline.Options()
        if settings.spendsLocally {
            options.circuit = Circuit(
                threshold: 3,
                backoff: Backoff(
                    baseNanoseconds: 50_000_000,
                    ceilingNanoseconds: OutageLedger.graceNanoseconds / 4),
                probeNanoseconds: OutageLedger.graceNanoseconds / 4)
        }
        return options
    }

    /// What a document asks of its store that is not there.
    func check(_ settings: RemoteSettings) throws(StoreError) {
        guard case .cluster = routes, settings.spendsLocally else { return }
        // A node that is gone is an outage of its slots alone.
        throw .invalidURL(
            url: url,
            reason: "on_outage \"local\" is not there for clusters; accepted: \"reject\", \"admit\""
        )
    }

    func noteSettings(_ settings: RemoteSettings) {
        let holdsReserves = settings.spendsLocally && settings.outageShare != nil
        let processes = settings.spendsLocally ? settings.processes ?? 0 : 0
        words[0].store(holdsReserves ? 1 : UInt64(clamping: processes))
        words[2].store(holdsReserves ? 1 : 0)
    }

    /// How many processes share the limits in an outage; 0: none decides by itself.
    @inline(__always)
    var localProcesses: Int64 { Int64(bitPattern: words[0].loadRelaxed()) }

    /// Whether what is spent in an outage is held in advance.
    var holdsReserves: Bool { words[2].loadRelaxed() != 0 }

    /// Whether the ledger is at work; a hint for who holds no lock.
    var isOutageOpen: Bool {
        get { words[1].load() != 0 }
        set { words[1].store(newValue ? 1 : 0) }
    }

    /// Slices that were asked for and whose answer did not come in time.
    var unansweredCount: UInt64 { words[3].loadRelaxed() }

    func noteUnanswered() { words[3].increment() }

    /// The largest steady instant of a decision in an outage, ns.
    var steadySpent: Int64 {
        get { Int64(bitPattern: words[4].loadRelaxed()) }
        set { words[4].raise(UInt64(bitPattern: max(0, newValue))) }
    }

    /// How slices change the limits of the document in force.
    var terms: SliceTerms { state.withLock { SliceTerms($0.settings) } }
}
