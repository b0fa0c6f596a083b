/// The slots of a cluster: a number for each key, and a node for each number.
enum RedisSlots {
    static let count = 16_384

    /// The slot of a key: of what stands between its first `{` and the next `}`, if anything does,
    /// else of all of it (Redis Cluster specification, *Hash tags*).
    static func slot(ofKey key: [UInt8]) -> Int {
        var hashed = key[...]
        if let start = key.firstIndex(of: UInt8(ascii: "{")),
            let end = key[(start + 1)...].firstIndex(of: UInt8(ascii: "}")), end > start + 1
        {
            hashed = key[(start + 1)..<end]
        }
        return Int(checksum(hashed)) % count
    }

    /// CRC16 as the cluster's specification has it: CCITT's polynomial, from 0 (XMODEM).
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var sum: UInt16 = 0
        for byte in bytes {
            sum ^= UInt16(byte) << 8
            for _ in 0..<8 { sum = sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
        }
        return sum
    }
}

/// What `CLUSTER SLOTS` answers: which master has which slots.
struct RedisSlotMap {
    /// More masters than a cluster has (its designers name 1,000 as the end) are not read.
    static let nodesBound = 1_024

    private(set) var hosts: [RedisHost] = []
    /// For each slot the index of its host, from 1; 0: nobody has it.
    private(set) var owners = [UInt16](repeating: 0, count: RedisSlots.count)

    /// - Parameter asked: who was asked; a node that does not know its own name means that host.
    /// - Returns: nil for what is no such answer, and where nobody has any slot.
    init?(_ reply: RedisReply, asked: RedisHost) {
        guard case .array(let ranges) = reply else { return nil }
        var indices: [RedisHost: UInt16] = [:]
        for range in ranges {
            guard case .array(let parts) = range, parts.count >= 3,
                case .integer(let first) = parts[0], case .integer(let last) = parts[1],
                0 <= first, first <= last, last < RedisSlots.count
            else { return nil }
            guard let host = Self.host(parts[2], asked: asked) else { continue }
            if indices[host] == nil {
                guard hosts.count < Self.nodesBound else { return nil }
                hosts.append(host)
                indices[host] = UInt16(hosts.count)
            }
            for slot in first...last { owners[Int(slot)] = indices[host] ?? 0 }
        }
        guard !hosts.isEmpty else { return nil }
    }

    private static func host(_ reply: RedisReply, asked: RedisHost) -> RedisHost? {
        guard case .array(let parts) = reply, parts.count >= 2,
            case .integer(let number) = parts[1], let port = UInt16(exactly: number), port > 0
        else { return nil }
        let name = parts[0].text ?? ""
        guard name != "?" else { return nil }
        return RedisHost(name: name.isEmpty ? asked.name : name, port: port)
    }
}

extension RedisHost {
    /// A redirection's address; without a name it is another port of the host that was asked.
    init?(redirection address: String, asked: RedisHost) {
        guard let colon = address.lastIndex(of: ":"),
            let port = UInt16(address[address.index(after: colon)...]), port > 0
        else { return nil }
        let name = String(address[..<colon])
        self.init(name: name.isEmpty ? asked.name : name, port: port)
    }
}
