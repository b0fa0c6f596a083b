import Testing

/// The rules find what is planted and leave alone what only looks like it.
@Suite("Style rules")
struct StyleRuleTests {
    private func file(_ text: String) -> CheckoutFile {
        CheckoutFile(path: "Planted.swift", text: text)
    }

    @Test("comments and strings are no code; interpolations are")
    func sourceText() {
        let source = SourceText(
            """
            let a = "try! // no comment" // try! here
            let b = "\\(f("x", value))" /* one
            /* two */ still */ let c = #"raw \\(not) "quoted""#
            """)
        #expect(source.code[0].hasPrefix("let a = \"") && !source.code[0].contains("try"))
        #expect(source.comments[0].contains("// try! here"))
        #expect(source.code[1].contains("(f(\" \", value))"))
        #expect(source.comments[1].contains("/* one"))
        #expect(source.code[2].contains("let c =") && !source.code[2].contains("not"))
        #expect(source.lines.count == 3)
    }

    @Test("a string over several lines is blank from quote to quote")
    func longString() {
        let source = SourceText("let a = \"\"\"\n  try! \"x\" // y\n  \"\"\"\nlet b = 1")
        #expect(source.code[1].isBlank)
        #expect(source.comments[1].isBlank)
        #expect(source.code[3] == "let b = 1")
    }

    @Test("a pattern between slashes is blank, a division is code")
    func pattern() {
        let source = SourceText("f(/a{\\/(/, 1)\nlet b = c / d / (e)\n  /^x$/")
        #expect(source.code[0].filter { $0 != " " } == "f(,1)")
        #expect(source.code[1] == "let b = c / d / (e)")
        #expect(source.code[2].isBlank)
    }

    @Test("functions are measured to their last brace")
    func functionLength() {
        let source = SourceText(
            """
            protocol P {
                func none(_ a: Int)
                init()
            }
            struct S {
                init(a: () -> Void = {}) {
                    a()
                }
                func two(
                    _ a: [Int]
                ) throws -> Int {
                    a.map { $0 }
                        .count
                }
                func one() { }
            }
            """)
        let extents = FunctionExtent.all(in: source)
        #expect(extents.map(\.line) == [6, 9, 15])
        #expect(extents.map(\.length) == [3, 6, 1])
        let planted = file("func f() {\n" + String(repeating: "    g()\n", count: 58) + "}\n")
        #expect(StyleRules.longFunctions(in: planted, limit: 60).count == 1)
        #expect(StyleRules.longFunctions(in: planted, limit: 61).isEmpty)
    }

    @Test("unfinished work without an issue is found")
    func unfinishedWork() {
        let planted = file("// TODO later\n// TODO #12 later\nlet todo = \"TODO\"")
        #expect(StyleRules.unfinishedWork(in: planted).map(\.line) == [1])
    }

    @Test("a forced optional is found; C's pointer parameters are none")
    func forcedOptionals() {
        let text = "func f(_ a: Pointer!, b: Other!) -> Int\nlet c = a!.b != d\nlet e = !g"
        #expect(StyleRules.forcedOptionals(in: file(text)).map(\.line) == [1, 2])
        let boundary = CheckoutFile(path: "Sources/AdmissionC/A.swift", text: text)
        #expect(StyleRules.forcedOptionals(in: boundary).map(\.line) == [2])
    }

    @Test("an unchecked conformance without a reason is found")
    func unchecked() {
        let planted = file(
            """
            /// What it is, not why.
            final class A: @unchecked Sendable {}

            // Only the lock's holder touches it.
            final class B: @unchecked Sendable {}
            """)
        #expect(StyleRules.uncheckedWithoutReason(in: planted).map(\.line) == [2])
    }

    @Test("public declarations and cases without a doc comment are found")
    func undocumented() {
        let planted = file(
            """
            public struct A {
                /// Fine.
                @inlinable
                public init() {}
                public var description: String { "" }
                public func f() {}
                func g() { switch x { case 1: break } }
            }
            /// Fine.
            public enum B {
                case one
                /// Fine.
                case two
                public static func f(x: B) {
                    switch x { case one: break }
                }
            }
            enum C { case one }
            package struct D { package init() {} }
            """)
        #expect(StyleRules.undocumented(in: planted).map(\.line) == [1, 6, 11, 14])
    }

    @Test("empty names and names of Swift's own are found")
    func names() {
        let planted = file("struct KeyManager {}\nenum Duration {}\nstruct UserInfo {}\n")
        #expect(StyleRules.emptyNames(in: planted).map(\.line) == [1, 2, 3])
        #expect(StyleRules.emptyNames(in: file("struct Managers {\n    enum Window {}\n}")).isEmpty)
    }
}
