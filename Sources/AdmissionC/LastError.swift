import Admission
import CAdmission
import Glibc

/// The text of each thread's last failure.
///
/// Swift has no thread-local storage, so the C library's keys hold one block a thread: its length,
/// then its bytes. Made at a thread's first failure, grown when a longer text comes, freed by the
/// key's destructor when the thread ends. A success touches nothing of it.
enum LastError {
    /// Longer texts are cut; a policy's error may quote the policy.
    static let maximumBytes = 16_384

    private static let key: pthread_key_t? = {
        var key = pthread_key_t()
        return pthread_key_create(&key, { free($0) }) == 0 ? key : nil
    }()

    /// Keeps the text for `admission_last_error`; without memory for it, the text before stays.
    static func set(_ text: String) {
        guard let key else { return }
        var text = text
        text.withUTF8 { bytes in
            let length = wholeCharacters(bytes, upTo: maximumBytes)
            guard let block = realloc(pthread_getspecific(key), 8 + length) else { return }
            block.storeBytes(of: length, as: Int.self)
            if length > 0, let start = bytes.baseAddress {
                memcpy(block + 8, start, length)
            }
            // After realloc the old block is gone: the key must not keep it.
            if pthread_setspecific(key, block) != 0 { free(block) }
        }
    }

    /// Gives the calling thread's text to the body; it is valid only there.
    static func read<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        guard let key, let block = pthread_getspecific(key) else {
            return body(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        let length = block.load(as: Int.self)
        return body(UnsafeRawBufferPointer(start: UnsafeRawPointer(block) + 8, count: length))
    }

    /// The longest beginning of up to `limit` bytes that does not end inside a character.
    static func wholeCharacters(_ bytes: some Collection<UInt8>, upTo limit: Int) -> Int {
        guard bytes.count > limit else { return bytes.count }
        var end = limit
        while end > 0, bytes[bytes.index(bytes.startIndex, offsetBy: end)] & 0xC0 == 0x80 {
            end -= 1
        }
        return end
    }
}

/// Keeps the text and hands the status through: `return fail(ADMISSION_E_…, "…")`.
@inline(never)
func fail(_ status: Int32, _ message: @autoclosure () -> String) -> Int32 {
    LastError.set(message())
    return status
}

@inline(never)
func fail(_ error: LimiterError) -> Int32 {
    LastError.set(error.message)
    return error.code.status
}
