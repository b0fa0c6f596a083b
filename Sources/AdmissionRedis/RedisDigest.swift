/// Numbers that stand for bytes, where a script compares them.
enum RedisDigest {
    /// 52 bits of a digest, never 0.
    static func word(of bytes: [UInt8]) -> Int64 {
        let digits = ScriptDigest.hexadecimal(of: bytes).prefix(13)
        return max(1, Int64(String(decoding: digits, as: UTF8.self), radix: 16) ?? 1)
    }
}
