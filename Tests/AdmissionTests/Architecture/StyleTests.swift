import Testing

@Suite("Style")
struct StyleTests {
    private static let sources = Checkout.librarySources

    @Test("every file is shorter than 400 lines")
    func shortFiles() {
        let long = Checkout.allSwift.filter { $0.source.lines.count >= 400 }
        #expect(long.map(\.path) == [])
        #expect(!Checkout.allSwift.isEmpty)
    }

    @Test("every function is shorter than 60 lines")
    func shortFunctions() {
        let files = Checkout.allSwift
        #expect(files.flatMap { StyleRules.longFunctions(in: $0, limit: 60) } == [])
        #expect(files.contains { !FunctionExtent.all(in: $0.source).isEmpty })
    }

    @Test("unfinished work names its issue")
    func unfinishedWork() {
        #expect(Checkout.allCode.flatMap { StyleRules.unfinishedWork(in: $0) } == [])
    }

    @Test("the library never traps on purpose and forces nothing")
    func nothingForced() {
        let forced = Self.sources.flatMap { file in
            StyleRules.code(/\b(try|as)!/, around: "!", in: file, says: "forced")
                + StyleRules.code(
                    /\bfatalError\b/, around: "fatalError", in: file, says: "fatalError")
                + StyleRules.forcedOptionals(in: file)
        }
        #expect(forced == [])
    }

    @Test("the library imports no Foundation and no Dispatch")
    func smallImports() {
        let pattern = /^\s*(@\w+\s+)*import\s+(Foundation\w*|Dispatch)\b/
        let imports = Self.sources.flatMap {
            StyleRules.code(pattern, around: "import", in: $0, says: "imported")
        }
        #expect(imports == [])
    }

    @Test("a type's name says what it is")
    func namesSaySomething() {
        #expect(Checkout.allSwift.flatMap { StyleRules.emptyNames(in: $0) } == [])
    }

    @Test("whatever the compiler shall not check has its reason beside it")
    func uncheckedHasReason() {
        #expect(Self.sources.flatMap { StyleRules.uncheckedWithoutReason(in: $0) } == [])
    }

    @Test("no test sleeps")
    func noSleep() {
        let pattern = /\b(u|nano|clock_nano)?sleep\s*\(/
        let sleeps = Checkout.allTests.flatMap {
            StyleRules.code(pattern, around: "sleep", in: $0, says: "sleeps")
        }
        #expect(sleeps == [])
        #expect(!Checkout.allTests.isEmpty)
    }

    @Test("every public declaration of the library is documented")
    func documented() {
        // The functions of AdmissionC are documented in the header that they implement.
        let files = Self.sources.filter { !$0.path.hasPrefix("Sources/AdmissionC/") }
        #expect(files.flatMap { StyleRules.undocumented(in: $0) } == [])
    }
}
