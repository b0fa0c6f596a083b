import CAdmission
import Testing

@testable import Admission
@testable import AdmissionC

@Suite("The engine's names, numbers and records and those of the header")
struct BoundaryLayoutTests {
    @Test("have one layout of a decision, since one is written as the other")
    func sameLayout() {
        typealias Engine = MemoryLayout<DecisionRecord>
        typealias Header = MemoryLayout<admission_decision>
        #expect(Engine.size == Header.size)
        #expect(Engine.stride == Header.stride)
        #expect(Engine.alignment == Header.alignment)
        #expect(Engine.size == Int(ADMISSION_DECISION_SIZE_1))
        #expect(Engine.offset(of: \.structSize) == Header.offset(of: \.struct_size))
        #expect(Engine.offset(of: \.outcome) == Header.offset(of: \.outcome))
        #expect(Engine.offset(of: \.reason) == Header.offset(of: \.reason))
        #expect(Engine.offset(of: \.storeMode) == Header.offset(of: \.store_mode))
        #expect(Engine.offset(of: \.permit) == Header.offset(of: \.permit))
        #expect(Engine.offset(of: \.retryAfterNanoseconds) == Header.offset(of: \.retry_after_ns))
        #expect(
            Engine.offset(of: \.predictedStartUnixNanoseconds)
                == Header.offset(of: \.predicted_start_unix_ns))
        #expect(Engine.offset(of: \.decidedAtNanoseconds) == Header.offset(of: \.decided_at_ns))
        #expect(
            Engine.offset(of: \.decidedAtUnixNanoseconds)
                == Header.offset(of: \.decided_at_unix_ns))
        #expect(Engine.offset(of: \.limit) == Header.offset(of: \.limit))
        #expect(Engine.offset(of: \.asked) == Header.offset(of: \.asked))
        #expect(Engine.offset(of: \.remaining) == Header.offset(of: \.remaining))
        #expect(Engine.offset(of: \.policyName) == Header.offset(of: \.policy_name))
        #expect(Engine.offset(of: \.limitName) == Header.offset(of: \.limit_name))
    }

    @Test("carry the header's version, in Swift as in C")
    func sameVersion() {
        #expect(AdmissionVersion.text == ADMISSION_VERSION_STRING)
        #expect(String(cString: admission_version()) == ADMISSION_VERSION_STRING)
        #expect(admission_abi_version() == UInt32(ADMISSION_ABI_VERSION))
    }

    @Test("share each code's number and name, in Swift as in C")
    func sameCodes() {
        let codes: [LimiterError.Code] = [
            .invalidArgument, .closed, .notSupported, .invalidPolicy, .policyUnreadable,
            .zoneUnavailable, .missingAttribute, .duplicateAttribute, .invalidAttribute,
            .negativeCost, .negativeUsage, .concurrencyNeedsPermit, .tooManyLimits,
            .alreadyCompleted, .notOwner, .leaseExpired, .permitTableFull, .keyTableFull,
            .outOfMemory, .unsupportedStore, .notManualClock, .clockBackwards, .internalError,
        ]
        for code in codes {
            #expect(String(cString: admission_status_name(code.status)) == code.name)
        }
        #expect(Set(codes.map(\.status)).count == codes.count)
    }
}
