import Admission
import CAdmission
import Glibc
import Synchronization

/// The counts that callers named in extra counts, found again without a `String`.
///
/// An open-addressing table of pointers to entries that are never changed or freed. Finding a name
/// is wait-free and allocates nothing; only a name's first use validates and interns it. The bound
/// keeps callers that take names from user input from filling memory.
enum CountNames {
    /// Twice the names it may hold, so that a free place ends every search.
    private static let placeCount = 2 * Int(ADMISSION_MAX_COUNT_NAMES)
    /// The places' address, 0 before the first name. Published with release.
    private static let places = Atomic<UInt>(0)
    private static let nameCount = Atomic<Int>(0)

    /// A name: this header, then its bytes. Owned by the table for the process' life.
    private struct Entry {
        var hash: UInt64
        var length: Int
        var count: Count
    }

    /// The count of that name.
    static func count(_ name: UnsafePointer<CChar>?) throws(Refusal) -> Count {
        guard let name else { throw .null("a count's name") }
        let (hash, length) = hash(name)
        guard length > 0, length <= Int(ADMISSION_MAX_COUNT_NAME_BYTES) else {
            throw Refusal(
                ADMISSION_E_INVALID_COUNT,
                "a count's name has 1 to \(ADMISSION_MAX_COUNT_NAME_BYTES) bytes")
        }
        let bytes = UnsafeRawBufferPointer(start: name, count: length)
        if let found = find(bytes, hash) { return found }
        return try add(bytes, hash)
    }

    /// FNV-1a (Fowler, Noll, Vo; https://www.rfc-editor.org/rfc/rfc9923) over at most one byte more
    /// than a name may have.
    private static func hash(_ name: UnsafePointer<CChar>) -> (hash: UInt64, length: Int) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var length = 0
        while length <= Int(ADMISSION_MAX_COUNT_NAME_BYTES), name[length] != 0 {
            hash = (hash ^ UInt64(UInt8(bitPattern: name[length]))) &* 0x100_0000_01B3
            length += 1
        }
        return (hash, length)
    }

    private typealias Places = UnsafeMutablePointer<Atomic<UInt>>

    private static func find(_ name: UnsafeRawBufferPointer, _ hash: UInt64) -> Count? {
        guard let places = Places(bitPattern: self.places.load(ordering: .acquiring)) else {
            return nil
        }
        for step in 0..<placeCount {
            let place = places + (Int(truncatingIfNeeded: hash >> 8) + step) & (placeCount - 1)
            // Acquiring: pairs with the swap in `add`.
            let address = place.pointee.load(ordering: .acquiring)
            guard let entry = UnsafeRawPointer(bitPattern: address) else { return nil }
            if let count = match(entry, name, hash) { return count }
        }
        return nil
    }

    private static func match(
        _ entry: UnsafeRawPointer, _ name: UnsafeRawBufferPointer, _ hash: UInt64
    ) -> Count? {
        let header = entry.load(as: Entry.self)
        guard header.hash == hash, header.length == name.count, let bytes = name.baseAddress,
            memcmp(entry + MemoryLayout<Entry>.stride, bytes, name.count) == 0
        else { return nil }
        return header.count
    }

    private static func add(
        _ name: UnsafeRawBufferPointer, _ hash: UInt64
    ) throws(Refusal) -> Count {
        guard let text = String(validating: name, as: UTF8.self) else {
            throw Refusal(ADMISSION_E_INVALID_UTF8, "a count's name is not UTF-8")
        }
        if ["requests", "input_tokens", "output_tokens", "tokens", "concurrency"].contains(text) {
            throw Refusal(
                ADMISSION_E_INVALID_COUNT, "\(text) is no extra count: it has a place of its own")
        }
        // Counted after they are placed: who finds the bound reached finds the name as well, if it
        // is another thread that has just added it. So the bound may be passed by one a thread.
        guard nameCount.load(ordering: .acquiring) < Int(ADMISSION_MAX_COUNT_NAMES) else {
            if let found = find(name, hash) { return found }
            throw Refusal(
                ADMISSION_E_INVALID_COUNT,
                "\(text) would be count name number \(ADMISSION_MAX_COUNT_NAMES + 1)")
        }
        let bytes = MemoryLayout<Entry>.stride + name.count
        guard let places = madePlaces(), let memory = malloc(bytes), let start = name.baseAddress
        else { throw Refusal(ADMISSION_E_OUT_OF_MEMORY, "no memory for the count \(text)") }
        let count = Count(text)
        memory.storeBytes(of: Entry(hash: hash, length: name.count, count: count), as: Entry.self)
        memcpy(memory + MemoryLayout<Entry>.stride, start, name.count)
        for step in 0..<placeCount {
            let place = places + (Int(truncatingIfNeeded: hash >> 8) + step) & (placeCount - 1)
            let placed = place.pointee.compareExchange(
                expected: 0, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
            if placed.exchanged {
                nameCount.add(1, ordering: .releasing)
                return count
            }
            // Another thread may have added the same name meanwhile.
            if let entry = UnsafeRawPointer(bitPattern: placed.original),
                match(entry, name, hash) != nil
            {
                break
            }
        }
        free(memory)
        return count
    }

    private static func madePlaces() -> Places? {
        if let places = Places(bitPattern: self.places.load(ordering: .acquiring)) { return places }
        guard let memory = calloc(placeCount, 8) else { return nil }
        let made = self.places.compareExchange(
            expected: 0, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
        if made.exchanged { return memory.assumingMemoryBound(to: Atomic<UInt>.self) }
        free(memory)
        return Places(bitPattern: made.original)
    }
}
