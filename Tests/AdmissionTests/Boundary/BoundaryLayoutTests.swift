import CAdmission
import Testing

@testable import Admission

@Suite("The engine's decision record and admission_decision")
struct BoundaryLayoutTests {
    @Test("have the same size and the same field at each place, since one is written as the other")
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
}
