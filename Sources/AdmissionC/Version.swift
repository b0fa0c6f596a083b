// swift-format-ignore-file: AlwaysUseLowerCamelCase

// The header's section "Version".
import CAdmission

/// The library's version; the header's, since both are of one commit.
private let versionText: StaticString = "0.1.0"

@_cdecl("admission_version") @implementation
public func admission_version() -> UnsafePointer<CChar>! {
    versionText.cString
}

@_cdecl("admission_abi_version") @implementation
public func admission_abi_version() -> UInt32 {
    UInt32(ADMISSION_ABI_VERSION)
}

extension StaticString {
    /// The text as C sees it; static strings end with a NUL.
    var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
