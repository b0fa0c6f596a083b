import Admission

/// The scripts of the store, composed of their parts: a clock, what deciding scripts share, and the
/// script itself. The texts are the files in `Scripts`.
///
/// Threads: any. Lock: its own, for the deciding scripts, which are made for each shape of a call.
final class RedisScripts: Sendable {
    /// The two that decide, for one shape.
    struct Deciding: Sendable {
        let acquire: RedisScript
        let settle: RedisScript
    }

    private let clock: [UInt8]
    private let deciding = ForkableLock([RedisShape: Deciding](), rank: .redisMemory)
    let renew: RedisScript
    let load: RedisScript

    /// Composed and named once a process: a digest reads every byte of them.
    static let bySystemClock = RedisScripts(isClockManual: false)
    static let byManualClock = RedisScripts(isClockManual: true)

    /// - Parameter isClockManual: time is read from a key instead of the server's clock.
    private init(isClockManual: Bool) {
        clock =
            isClockManual ? PackageResources.clock_manual_lua : PackageResources.clock_time_lua
        renew = Self.compose([clock, PackageResources.renew_lua])
        load = Self.compose([clock, PackageResources.load_lua])
    }

    /// The deciding scripts for calls of a shape.
    func deciding(_ shape: RedisShape) -> Deciding {
        if let known = deciding.withLock({ $0[shape] }) { return known }
        let made = Deciding(
            acquire: compose(
                shape, quick: PackageResources.acquire_quick_lua, PackageResources.acquire_lua),
            settle: compose(
                shape, quick: PackageResources.settle_quick_lua, PackageResources.settle_lua))
        deciding.withLock { $0[shape] = made }
        return made
    }

    private func compose(_ shape: RedisShape, quick: [UInt8], _ whole: [UInt8]) -> RedisScript {
        let count = Array("local scope_count = \(shape.scopes.count)".utf8)
        let unrolled = shape.unrolled(String(decoding: quick, as: UTF8.self))
        return Self.compose(
            [count, clock] + (shape.isUnrollable ? [Array(unrolled.utf8)] : []) + [
                PackageResources.words_lua, PackageResources.scope_lua,
                PackageResources.loss_lua, PackageResources.merge_lua,
                PackageResources.windows_lua, PackageResources.answers_lua, whole,
            ])
    }

    static func compose(_ parts: [[UInt8]]) -> RedisScript {
        RedisScript(Array(parts.joined(separator: [UInt8(ascii: "\n")])))
    }
}
