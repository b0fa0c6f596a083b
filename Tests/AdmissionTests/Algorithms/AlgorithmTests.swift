import Testing

@testable import Admission

@Suite struct TokenBucketTests {
    @Test("a bucket gives its burst, refuses one more until exactly an interval has passed")
    func edges() {
        let bucket = TokenBucket(units: 5, periodNanoseconds: 1_000_000_000, burst: 10)
        var word = bucket.fresh(now: 1_000, parity: 0)
        #expect(bucket.verdict(word, now: 1_000, amount: 10).refusal == .none)
        #expect(bucket.verdict(word, now: 1_000, amount: 11).refusal == .exceedsLimit)
        #expect(bucket.verdict(word, now: 1_000, amount: 0).refusal == .none)
        word = bucket.exceeded(word, now: 1_000, amount: 10, parity: 0)
        let refused = bucket.verdict(word, now: 1_000, amount: 1)
        #expect(refused.refusal == .exhausted && refused.retryAfterNanoseconds == 200_000_000)
        #expect(bucket.verdict(word, now: 200_000_999, amount: 1).refusal == .exhausted)
        #expect(bucket.verdict(word, now: 200_001_000, amount: 1).refusal == .none)
        #expect(bucket.verdict(word, now: 1_000, amount: 0).refusal == .none)
        word = bucket.exceeded(word, now: 1_000, amount: 1, parity: 0)
        let debt = bucket.verdict(word, now: 1_000, amount: 0)
        #expect(debt.refusal == .debt && debt.retryAfterNanoseconds == 200_000_000)
        word = bucket.refunded(word, now: 1_000, amount: 1_000_000_000_000, parity: 0)
        #expect(word == bucket.fresh(now: 1_000, parity: 0))
    }

    @Test("no word is the one that means retired")
    func retired() {
        let bucket = TokenBucket(units: 1, periodNanoseconds: 1, burst: 1)
        for now: Int64 in [.max, -1, .min, 0] {
            for parity: UInt64 in [0, 1] {
                #expect(bucket.fresh(now: now, parity: parity) != TokenBucket.retired)
            }
        }
    }

    @Test("instants wrap without harm where a cycle is short")
    func wrap() throws {
        let bucket = TokenBucket(
            units: 700_000_001, periodNanoseconds: 1_000_000_000, burst: 1_000)
        try #require(bucket.nanosecondShift > 1)
        let cycle = Int64(bitPattern: 1 << (64 - bucket.nanosecondShift))
        for now in [cycle - 500, cycle - 1, cycle, cycle + 1, 3 * cycle - 300] {
            var word = bucket.exceeded(
                bucket.fresh(now: now, parity: 1), now: now, amount: 1_000, parity: 1)
            #expect(bucket.remaining(lead: bucket.lead(of: word, now: now)) == 0)
            let refused = bucket.verdict(word, now: now, amount: 1_000)
            let instant = now + refused.retryAfterNanoseconds
            #expect(bucket.verdict(word, now: instant - 1, amount: 1_000).refusal == .exhausted)
            #expect(bucket.verdict(word, now: instant, amount: 1_000).refusal == .none)
            // Long idle is full.
            word = bucket.refunded(word, now: now + cycle / 4, amount: 0, parity: 1)
            #expect(bucket.lead(of: word, now: now + cycle / 4) == 0)
        }
    }

    @Test("a level is kept by a reload, cut to the burst, and never grows")
    func converted() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        for _ in 0..<5_000 {
            let old = TokenBucket(
                units: numbers.number(1...100_000),
                periodNanoseconds: numbers.number(1...10) * 7_000_000,
                burst: numbers.number(1...1_000))
            let new = TokenBucket(
                units: numbers.number(1...100_000),
                periodNanoseconds: numbers.number(1...10) * 9_000_000,
                burst: numbers.number(1...1_000))
            let now = numbers.number(0...1 << 50)
            let used = numbers.number(0...old.burst * 2)
            let word = old.exceeded(
                old.fresh(now: now, parity: 0), now: now, amount: used, parity: 0)
            let converted = new.converted(word, from: old, now: now, parity: 1)
            #expect(converted & 1 == 1)
            let left = new.remaining(lead: new.lead(of: converted, now: now))
            let expected = min(max(0, old.burst - used), new.burst)
            #expect(left == expected, "seed \(TestLength.seed): used \(used), \(old), \(new)")
            if used > old.burst {
                let debt = new.used(lead: new.lead(of: converted, now: now)) - new.burst
                #expect(debt == used - old.burst)
            }
        }
    }
}

@Suite struct RollingWindowTests {
    @Test("an instant's cell and its place in the ring are exact, up to the end of time")
    func exactness() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        let windows: [Int64] = [
            1_000_000, 7_000_000, 1_000_000_000, 60_000_000_000, 3_600_000_000_001,
            87_600 * 3_600_000_000_000,
        ]
        for window in windows {
            let rolling = RollingWindow(limit: 1, windowNanoseconds: window, guardNanoseconds: 0)
            let cell = UInt64((window + Int64(rolling.cells) - 1) / Int64(rolling.cells))
            #expect(rolling.cellNanoseconds == cell)
            for _ in 0..<2_000 {
                var now = UInt64(numbers.number(0...Int64(1) << numbers.number(1...62)))
                if numbers.isOne(of: 2) { now -= now % cell }
                if numbers.isOne(of: 3), now > 0 { now -= 1 }
                let epoch = rolling.epoch(at: Int64(now))
                #expect(epoch - rolling.epoch(at: 0) == now / cell)
                #expect(rolling.start(ofEpoch: epoch) == Int64(now - now % cell))
                if epoch < 1 << 57 {
                    #expect(rolling.slot(ofEpoch: epoch) == Int(epoch % UInt64(rolling.ringCount)))
                }
            }
        }
    }

    @Test("words keep what was put into them, and saturate instead of touching the seal")
    func words() {
        let largest = RollingWindow.largestCount
        for epoch: UInt64 in [0, 1, 1 << 21, (1 << 22) - 1, 1 << 22, (1 << 40) + 5] {
            for count: UInt64 in [0, 1, largest] {
                let word = RollingWindow.cell(epoch: epoch, count: count, isSealed: false)
                #expect(RollingWindow.carries(word, epoch: epoch))
                #expect(!RollingWindow.carries(word, epoch: epoch + 1))
                #expect(RollingWindow.count(ofCell: word) == count)
                #expect(!RollingWindow.isSealed(cell: word))
                let closed = RollingWindow.sealing(cell: word)
                #expect(RollingWindow.isSealed(cell: closed))
                #expect(RollingWindow.count(ofCell: closed) == count)
                #expect(!RollingWindow.isRetired(cell: closed))
            }
            #expect(RollingWindow.isRetired(cell: RollingWindow.retiredCell(epoch: epoch)))
            let base = RollingWindow.base(epoch: epoch, sum: .max)
            #expect(RollingWindow.sum(ofBase: base) == RollingWindow.largestSum)
            #expect(base != RollingCells.retiredBase)
        }
    }
}

@Suite struct CalendarWindowTests {
    @Test("windows in order have numbers in order, over the wrap and before 1970")
    func numbers() throws {
        for unit in CalendarUnit.allCases {
            let window = CalendarWindow(limit: 1, unit: unit, guardNanoseconds: 0)
            for start: Int64 in [0, -86_400 * 400, 1_700_000_000, 4_194_304 * 60 - 7_200] {
                var span = Zone.utc.span(of: unit, containing: start)
                for _ in 0..<200 {
                    let next = Zone.utc.span(of: unit, containing: span.endSeconds)
                    let (first, second) = (
                        window.number(startSeconds: span.startSeconds),
                        window.number(startSeconds: next.startSeconds)
                    )
                    #expect(CalendarWindow.isLater(second, than: first))
                    #expect(!CalendarWindow.isLater(first, than: second))
                    #expect(!CalendarWindow.isLater(first, than: first))
                    let word = CalendarWindow.word(
                        number: first, count: CalendarWindow.largestCount)
                    #expect(CalendarWindow.number(ofWord: word) == first)
                    #expect(CalendarWindow.count(ofWord: word) == CalendarWindow.largestCount)
                    #expect(word != CalendarWindow.retired)
                    span = next
                }
            }
        }
    }
}

@Suite struct LeaseSlotsTests {
    @Test("a lease lives for its length and at most a step longer")
    func expiry() {
        var numbers = SeededNumbers(seed: TestLength.seed)
        let step: Int64 = 1 << 21
        for _ in 0..<5_000 {
            let now = numbers.number(0...1 << 61)
            let lease = numbers.number(1...86_400_000_000_000)
            let word = LeaseSlots.word(
                owner: 1 + numbers.next() % 4_095, generation: numbers.next() & 0xffff,
                expiry: LeaseSlots.expiry(now: now, leaseNanoseconds: lease))
            let end = LeaseSlots.end(of: word, now: now)
            #expect(end > now + lease && end <= now + lease + step)
            #expect(LeaseSlots.isLive(word, now: now + lease))
            #expect(LeaseSlots.isLive(word, now: end - 1))
            #expect(!LeaseSlots.isLive(word, now: end))
            #expect(!LeaseSlots.isLive(LeaseSlots.freed(word), now: now))
            #expect(
                LeaseSlots.generation(of: LeaseSlots.freed(word)) == LeaseSlots.generation(of: word)
            )
            // A year later it is long over.
            #expect(!LeaseSlots.isLive(word, now: end &+ 365 * 86_400_000_000_000))
        }
    }
}
