/// Opens the stores of some URL schemes: what a limiter is given for URLs that it does not know
/// itself.
///
/// ```swift
/// import AdmissionRedis
/// let options = Limiter.Options(store: "redis://quota.internal:6379/0", openers: [.redis])
/// ```
public struct StoreOpener: Sendable {
    /// Schemes without the colon.
    package let schemes: [String]
    package let open: @Sendable (RemoteRequest) throws(StoreError) -> any RemoteStore

    package init(
        schemes: [String],
        open: @escaping @Sendable (RemoteRequest) throws(StoreError) -> any RemoteStore
    ) {
        self.schemes = schemes
        self.open = open
    }
}

/// How a remote store is to be opened.
package struct RemoteRequest: Sendable {
    package var url: String
    package var settings: RemoteSettings
    /// Wall time at which a manual clock starts where the store has none yet; nil: the server's.
    package var manualStart: Int64?

    package init(url: String, settings: RemoteSettings, manualStart: Int64?) {
        self.url = url
        self.settings = settings
        self.manualStart = manualStart
    }
}
