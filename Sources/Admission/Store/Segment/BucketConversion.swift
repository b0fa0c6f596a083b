/// Bringing a bucket's word under the parameters in force, where a load left it behind.
///
/// Why equal words do no harm here. A conversion swaps from the word that it read, as of two sets
/// of parameters. Between its reading and its swap others may convert the word, charge it, and load
/// twice more, so that the parity comes back. Then the swap succeeds only on the very same word: the
/// same instant to the half nanosecond. A load that follows another ends with every word under its
/// own parity, so such a word was computed anew from the instant of a load. With the same
/// parameters as before it means the same, and what the late swap makes of it is converted once more,
/// there and back (the way from a burst to another and back ends at the same instant: no chance is
/// needed for this case). With others it would have to meet that instant by chance, and then has the
/// level of the older set, cut to the burst: no bucket ever holds more than its burst.
extension Segment {
    /// Converts the word of a key where it is not under the parameters in force.
    ///
    /// Any process does it for any other; done once, since a converted word differs from the old one
    /// in its parity. Lock-free.
    ///
    /// - Returns: the bucket in force and its parity; nil when the key is gone, or the definition is
    ///   damaged.
    func convertBucket(
        _ key: KeyReference, of definition: Definition
    ) -> (bucket: TokenBucket, parity: UInt64)? {
        let state = word(key.offset + KeyRecord.state)
        let stamp = BucketStamp(record: base + key.offset)
        while true {
            guard let block = definition.blockInForce() else { return nil }
            let parameters = Definition.Parameters(block)
            let word = state.load()
            guard Self.isSameLife(self.word(key.offset + KeyRecord.tag).load(), key.tag),
                word != TokenBucket.retired
            else { return nil }
            // Behind the word: it is of the block's own number or of the one before.
            guard definition.published.word.load() == block.word else { continue }
            let bucket = parameters.bucket
            let parity = block.number & 1
            if word & 1 == parity { return (bucket, parity) }
            guard let before = definition.parameters(before: block) else {
                guard definition.published.word.load() == block.word else { continue }
                return nil
            }
            let old = before.bucket
            if old.needsStamp, stamp.isOld(old, now: parameters.loadedAt) {
                // A word of a cycle that has gone round is full, not in debt.
                stamp.renew(old, now: parameters.loadedAt, tag: key.tag, parity: 1 - parity) {
                    definition.published.word.load() == block.word
                }
                guard !stamp.isOld(old, now: parameters.loadedAt) else { continue }
                guard state.load() == word else { continue }
            }
            let new = bucket.converted(word, from: old, now: parameters.loadedAt, parity: parity)
            // Before the word: the stamp of a bucket that did not need one may be ancient.
            self.word(key.offset + KeyRecord.stamp).raise(UInt64(bitPattern: parameters.loadedAt))
            if state.swap(word, new) { return (bucket, parity) }
            retries.increment()
        }
    }

    /// Whether a bucket's key is the one that was meant, and not retired.
    func isLive(_ key: KeyReference) -> Bool {
        let state = word(key.offset + KeyRecord.state).load()
        return Self.isSameLife(word(key.offset + KeyRecord.tag).load(), key.tag)
            && state != TokenBucket.retired
    }
}
