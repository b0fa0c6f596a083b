/// A name with an address of its own for C: one copy per distinct name and kind of store in the
/// process, never freed. In front of the bytes stands which kind of store it was made for, so that
/// a decision that has a limit's name has its store's mode.
package struct InternedName: @unchecked Sendable {
    // Unchecked: an address of bytes that are never written again nor freed.
    package let address: UnsafePointer<CChar>

    private static let table = ForkableLock<[[UInt8]: UInt]>([:], rank: .names)

    package init(_ name: String, mode: StoreMode = .memory) {
        let bits = Self.table.withLock { table -> UInt in
            let key = [UInt8(truncatingIfNeeded: mode.rawValue)] + Array(name.utf8)
            if let known = table[key] { return known }
            let bytes = Array(name.utf8CString)
            let copy = UnsafeMutableRawPointer.allocate(
                byteCount: Self.prefix + bytes.count, alignment: 8)
            copy.storeBytes(of: mode.rawValue, as: Int32.self)
            bytes.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress {
                    (copy + Self.prefix).copyMemory(from: start, byteCount: bytes.count)
                }
            }
            let bits = UInt(bitPattern: copy + Self.prefix)
            table[key] = bits
            return bits
        }
        guard let address = UnsafePointer<CChar>(bitPattern: bits) else {
            preconditionFailure("a name's address is never nil")
        }
        self.address = address
    }

    private static var prefix: Int { 8 }

    /// `StoreMode.rawValue` of the store that an interned name was made for.
    @inline(__always)
    static func storeMode(of name: UnsafePointer<CChar>) -> Int32 {
        UnsafeRawPointer(name).load(fromByteOffset: -prefix, as: Int32.self)
    }
}
