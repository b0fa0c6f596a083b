/// A gate's attributes behind its first plan: each its name and its value, as u32 length and UTF-8.
extension ChargePlanReference {
    /// Bytes of the whole plan.
    var bytes: Int { Int(load(ChargePlan.bytesOffset)) }

    /// What makes the gate's next plan; empty where none were kept.
    package var attributes: [Attribute] {
        var attributes: [Attribute] = []
        var offset = Int(load(ChargePlan.attributesOffset))
        while offset < bytes {
            let name = text(at: &offset)
            attributes.append(Attribute(name, text(at: &offset)))
        }
        return attributes
    }

    static func bytes(of attributes: [Attribute]) -> Int {
        attributes.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 8 }
    }

    func keep(_ attributes: [Attribute], at start: Int, bytes: Int) {
        // A plan has 256 steps at most and a gate as many attributes as it was given: below 4 GiB.
        address.storeBytes(
            of: UInt32(truncatingIfNeeded: bytes), toByteOffset: ChargePlan.bytesOffset,
            as: UInt32.self)
        address.storeBytes(
            of: UInt32(truncatingIfNeeded: start), toByteOffset: ChargePlan.attributesOffset,
            as: UInt32.self)
        var offset = start
        for attribute in attributes {
            put(attribute.name, at: &offset)
            put(attribute.value, at: &offset)
        }
    }

    private func load(_ offset: Int) -> UInt32 { (address + offset).loadUnaligned(as: UInt32.self) }

    private func text(at offset: inout Int) -> String {
        let count = Int(load(offset))
        defer { offset += 4 + count }
        let bytes = UnsafeRawBufferPointer(start: address + offset + 4, count: count)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func put(_ text: String, at offset: inout Int) {
        let count = text.utf8.count
        (address + offset).storeBytes(of: UInt32(truncatingIfNeeded: count), as: UInt32.self)
        let copied: Void? = text.utf8.withContiguousStorageIfAvailable { bytes in
            guard let start = bytes.baseAddress else { return }
            (address + offset + 4).copyMemory(from: start, byteCount: count)
        }
        if copied == nil {
            for (index, byte) in text.utf8.enumerated() {
                (address + offset + 4 + index).storeBytes(of: byte, as: UInt8.self)
            }
        }
        offset += 4 + count
    }
}
