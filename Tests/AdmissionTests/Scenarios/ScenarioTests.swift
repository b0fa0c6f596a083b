import Foundation
import Synchronization
import Testing

/// Every shared scenario tagged (core), from the table that the C and the Python runner read too.
@Suite("The shared scenarios hold through the Swift interface", PrintsScenarioIdentifiers())
struct ScenarioTests {
    @Test("The scenario holds", arguments: ScenarioTable.shared.cases, TestStore.allCases)
    func holds(_ scenario: ScenarioCase, _ store: TestStore) throws {
        if store.isExempt(fromCaseOf: scenario.steps) { return }
        try ScenarioRun.run(scenario, store: store)
        ranIdentifiers.withLock { _ = $0[store, default: []].insert(scenario.id) }
    }

    @Test("A case that does not hold fails", arguments: ScenarioTable.refused.cases)
    func fails(_ scenario: ScenarioCase) {
        #expect(throws: ScenarioFailure.self) { try ScenarioRun.run(scenario) }
    }

    @Test("The table has a case for every id that it lists, and lists every case's id")
    func coversItsIdentifiers() {
        let table = ScenarioTable.shared
        #expect(!table.ids.isEmpty, "no table at \(ScenarioTable.path)")
        #expect(table.ids.count == Set(table.ids).count)
        #expect(Set(table.cases.map(\.id)) == Set(table.ids))
        #expect(!ScenarioTable.refused.cases.isEmpty)
    }

    @Test(
        "The table lists every scenario tagged (core) of the shared page beside the checkout",
        .enabled(if: FileManager.default.fileExists(atPath: sharedPage)))
    func listsEveryCoreScenario() throws {
        let page = try String(contentsOfFile: Self.sharedPage, encoding: .utf8)
        let tagged = page.split(separator: "\n").compactMap { line -> String? in
            let (id, rest) = String(line).cut(at: ". ")
            return rest.hasPrefix("(core)") ? id : nil
        }
        #expect(tagged == ScenarioTable.shared.ids)
    }

    private static let sharedPage = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../../shared/scenarios.md").path
}

/// The ids of the cases that held to the end.
private let ranIdentifiers = Mutex<[TestStore: Set<String>]>([:])

/// Prints the ids that ran, once the whole suite has.
private struct PrintsScenarioIdentifiers: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: () async throws -> Void
    ) async throws {
        try await function()
        let ran = ranIdentifiers.withLock { $0 }
        for store in TestStore.allCases {
            let ids = ScenarioTable.shared.ids.filter { ran[store]?.contains($0) == true }
            print("scenarios core (swift, \(store)): \(ids.joined(separator: " "))")
        }
    }
}
