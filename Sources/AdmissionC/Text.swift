import Admission
import CAdmission
import Glibc

/// Why a call is refused before the engine sees it.
struct Refusal: Error {
    var status: Int32
    var message: String

    init(_ status: Int32, _ message: String) {
        self.status = status
        self.message = message
    }
}

extension Refusal {
    static func null(_ name: String) -> Refusal {
        Refusal(ADMISSION_E_INVALID_ARGUMENT, "\(name) is NULL")
    }
}

@inline(never)
func fail(_ refusal: Refusal) -> Int32 {
    LastError.set(refusal.message)
    return refusal.status
}

/// The caller's NUL-terminated text, copied.
///
/// - Parameters:
///   - maximumBytes: read at most; one byte more is looked at.
///   - tooLong: the status for a longer text.
///   - name: the argument's name in the error's text.
func text(
    _ pointer: UnsafePointer<CChar>?, upTo maximumBytes: Int32, tooLong: Int32, _ name: String
) throws(Refusal) -> String {
    guard let pointer else { throw .null(name) }
    let limit = Int(maximumBytes)
    let length = strnlen(pointer, limit + 1)
    guard length <= limit else {
        throw Refusal(tooLong, "\(name) is longer than \(limit) bytes")
    }
    let bytes = UnsafeRawBufferPointer(start: pointer, count: length)
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw Refusal(ADMISSION_E_INVALID_UTF8, "\(name) is not UTF-8")
    }
    return text
}

/// Fills a caller's buffer as the header's chapter "Text" says.
func write(
    _ text: String, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    var text = text
    return text.withUTF8 { bytes in
        needed?.pointee = bytes.count + 1
        guard let buffer, size != 0 else {
            return fail(
                ADMISSION_E_BUFFER_TOO_SMALL, "no buffer for a text of \(bytes.count + 1) bytes")
        }
        // size_t comes as Int: a size above Int.max is negative here, and enough for any text.
        guard size < 0 || bytes.count < size else {
            buffer[0] = 0
            return fail(
                ADMISSION_E_BUFFER_TOO_SMALL,
                "the text takes \(bytes.count + 1) bytes, the buffer has \(size)")
        }
        UnsafeMutableRawBufferPointer(start: buffer, count: bytes.count)
            .copyMemory(from: UnsafeRawBufferPointer(bytes))
        buffer[bytes.count] = 0
        return ADMISSION_OK
    }
}

/// Whether a buffer is one: NULL needs size 0.
func isBuffer(_ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Bool {
    buffer != nil || size == 0
}
