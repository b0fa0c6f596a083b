/// The stamp of a bucket whose words are known modulo a cycle (`TokenBucket.needsStamp`).
///
/// It holds a steady instant: the bucket's word was made at or after it, less an eighth of a cycle.
/// A decision that finds it older than that renews it first: a bucket that has refilled since is
/// given a fresh word, then the stamp is raised. So a word is never read from farther than half a
/// cycle, and a bucket that lay idle for a year is full, not in debt.
///
/// Progress: lock-free; one load a decision, one store an eighth of a cycle.
struct BucketStamp {
    /// Start of the key's record.
    let record: UnsafeMutableRawPointer

    @inline(__always)
    var word: SharedWord { SharedWord(record, at: KeyRecord.stamp) }

    /// Whether the stamp is too old to read the bucket's word by.
    @inline(__always)
    func isOld(_ bucket: TokenBucket, now: Int64) -> Bool {
        now &- Int64(bitPattern: word.load()) > bucket.stampNanoseconds
    }

    /// Whether the bucket has refilled since: a charge lies at most an eighth of a cycle behind the
    /// stamp and puts the TAT at most a quarter ahead of itself.
    func isAncient(_ bucket: TokenBucket, now: Int64) -> Bool {
        now &- Int64(bitPattern: word.load()) > 3 * bucket.stampNanoseconds
    }

    /// Renews an old stamp, and the word with it.
    ///
    /// - Parameters:
    ///   - parity: of words under this bucket; one of the other parity is left alone.
    ///   - isInForce: whether words of that parity are this bucket's; asked behind the word's load.
    @inline(never)
    func renew(
        _ bucket: TokenBucket, now: Int64, tag: UInt64, parity: UInt64, isInForce: () -> Bool
    ) {
        let state = SharedWord(record, at: KeyRecord.state)
        while isOld(bucket, now: now) {
            let stamp = word.load()
            let age = now &- Int64(bitPattern: stamp)
            let seen = state.load()
            guard Segment.isSameLife(SharedWord(record, at: KeyRecord.tag).load(), tag),
                seen != TokenBucket.retired,
                seen & 1 == parity, isInForce()
            else { return }
            // A charge lies at most an eighth of a cycle behind the stamp and puts the TAT at most
            // a quarter ahead of itself: beyond three eighths the bucket is full.
            let isFull =
                age > 3 * bucket.stampNanoseconds || bucket.lead(of: seen, now: now) == 0
            if isFull && !state.swap(seen, bucket.fresh(now: now, parity: parity)) { continue }
            // Swapped where it is no instant, which a maximum would never leave behind.
            if stamp >> 63 == 0 {
                word.raise(UInt64(bitPattern: now))
            } else {
                _ = word.swap(stamp, UInt64(bitPattern: now))
            }
        }
    }
}

extension UnsafeMutablePointer where Pointee == ChargeStep {
    /// Makes the bucket's word readable at an instant.
    @inline(__always)
    func renewStamp(now: Int64) {
        guard bucket.pointee.needsStamp else { return }
        let stamp = BucketStamp(record: pointee.record)
        if stamp.isOld(bucket.pointee, now: now) {
            let notes = pointee.notes.takeUnretainedValue()
            stamp.renew(
                bucket.pointee, now: now, tag: pointee.tag, parity: pointee.detail,
                isInForce: { notes.isInForce })
        }
    }
}
