import Glibc

/// What a worker under load shares with its driver: one mapped file, laid out as drivelog.h says.
struct DriveLog {
    enum Word: Int {
        case magic, capacity, bins, binNanoseconds, originNanoseconds, seed, forNanoseconds
        case holdNanoseconds, pollNanoseconds, most, largest, mixedEnds, every, renews
        case rampNanoseconds, rampHoldNanoseconds
        case stop, mark, written, admitted, refused, held, errors, lastError, units, expired
        case startedNanoseconds, endedNanoseconds, pid, operations
    }

    enum Operation: Int64 {
        case none, acquire, complete, abandon, drop, renew
    }

    static let magic: Int64 = 0x474f_4c4d_4441
    static let headerWords = 64
    static let recordWords = 8

    /// The whole mapping, which lives as long as the process.
    let words: UnsafeMutablePointer<Int64>

    /// Maps the log at `path`; nil where there is none.
    init?(path: String) {
        let file = open(path, O_RDWR)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_size >= Self.headerWords * 8 else { return nil }
        let address = mmap(nil, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard let address, address != MAP_FAILED else { return nil }
        words = address.bindMemory(to: Int64.self, capacity: status.st_size / 8)
        guard words[0] == Self.magic else { return nil }
    }

    subscript(word: Word) -> Int64 {
        get { words[word.rawValue] }
        nonmutating set { words[word.rawValue] = newValue }
    }

    /// Appends a record; the last of its words is the instant of the call's return.
    func write(
        _ kind: Int64, _ at: Int64, _ atUnix: Int64, _ cost: Int64, _ outcome: Int64,
        _ permit: Int64, _ called: Int64
    ) {
        let slot = Int(self[.written] % self[.capacity])
        let record = words + Self.headerWords + Int(self[.bins]) + slot * Self.recordWords
        record[0] = kind
        record[1] = at
        record[2] = atUnix
        record[3] = cost
        record[4] = outcome
        record[5] = permit
        record[6] = called
        record[7] = monotonicNanoseconds()
        self[.written] += 1
    }

    /// The bin of an instant; nil where there are no bins.
    func bin(at instant: Int64) -> UnsafeMutablePointer<Int64>? {
        guard self[.bins] > 0 else { return nil }
        let bin = (instant - self[.originNanoseconds]) / self[.binNanoseconds]
        guard bin >= 0, bin < self[.bins] else {
            self[.errors] += 1
            return nil
        }
        return words + Self.headerWords + Int(bin)
    }
}

func monotonicNanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}

/// A caller's pause: the call that it makes, or the time until it asks again.
func pause(nanoseconds: Int64) {
    var span = timeval(
        tv_sec: Int(nanoseconds / 1_000_000_000), tv_usec: Int(nanoseconds % 1_000_000_000 / 1_000))
    select(0, nil, nil, nil, &span)
}
