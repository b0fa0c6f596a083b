// Enforces a policy live, on the system clock, and prints each decision.
//
//     swift run --package-path Examples/swift LiveExample Examples/policies/gemini.json
import Admission

let path = CommandLine.arguments.dropFirst().first ?? "Examples/policies/gemini.json"
let limiter = try Limiter(policyPath: path)
let gate = try limiter.gate([
    "provider": "gemini", "model": "gemini-2.5-flash", "project": "acme",
])

print("call  input tokens  decision    left of the limit that binds")
for call in 1...20 {
    // Long prompts, every fourth a short one; the last is longer than the limit itself.
    let tokens: Int64 = call == 20 ? 1_200_000 : call % 4 == 0 ? 8_000 : 90_000
    let decision: String
    switch try gate.tryAcquire(Cost(inputTokens: tokens)) {
    case .admitted(let permit):
        decision = "admitted    \(describe(permit.binding))"
        // The call is made here; then its permit is completed with what it really used.
        try permit.complete(Usage(inputTokens: tokens * 9 / 10, outputTokens: 250))
    case .rejected(let rejection):
        let wait = rejection.retryAfterNanoseconds.map { "in \($0 / 1_000_000) ms" }
        let retry = rejection.isNever ? "never" : wait ?? "when a call ends"
        decision = "rejected    \(describe(rejection.binding)), again \(retry)"
    }
    print("\(pad(call, to: 4))  \(pad(tokens, to: 12))  \(decision)")
}

func describe(_ binding: Binding) -> String {
    "\(binding.limitName ?? "no limit"): \(binding.remaining) of \(binding.limit)"
}

func pad(_ number: some BinaryInteger, to width: Int) -> String {
    let digits = String(number)
    return String(repeating: " ", count: max(0, width - digits.count)) + digits
}
