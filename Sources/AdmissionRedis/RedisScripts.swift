/// The scripts of the store, composed of their parts: a clock, what deciding scripts share, and the
/// script itself. The texts are the files in `Scripts`.
struct RedisScripts: Sendable {
    let acquire: RedisScript
    let settle: RedisScript
    let renew: RedisScript
    let load: RedisScript

    /// Composed and named once a process: a digest reads every byte of them.
    static let bySystemClock = RedisScripts(isClockManual: false)
    static let byManualClock = RedisScripts(isClockManual: true)

    /// - Parameter isClockManual: time is read from a key instead of the server's clock.
    private init(isClockManual: Bool) {
        let clock =
            isClockManual ? PackageResources.clock_manual_lua : PackageResources.clock_time_lua
        let shared = [
            PackageResources.words_lua, PackageResources.scope_lua, PackageResources.loss_lua,
            PackageResources.merge_lua, PackageResources.windows_lua,
            PackageResources.answers_lua,
        ]
        acquire = Self.compose(
            [clock, PackageResources.acquire_quick_lua] + shared + [PackageResources.acquire_lua])
        settle = Self.compose(
            [clock, PackageResources.settle_quick_lua] + shared + [PackageResources.settle_lua])
        renew = Self.compose([clock, PackageResources.renew_lua])
        load = Self.compose([clock, PackageResources.load_lua])
    }

    private static func compose(_ parts: [[UInt8]]) -> RedisScript {
        RedisScript(Array(parts.joined(separator: [UInt8(ascii: "\n")])))
    }
}
