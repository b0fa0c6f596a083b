/// A line that breaks a rule of the house style.
struct Finding: Hashable, CustomStringConvertible {
    let path: String
    let line: Int
    let text: String

    var description: String { "\(path):\(line): \(text)" }
}

/// The style rules that a machine can see, each a search through one file.
enum StyleRules {
    /// The lines of code that contain the pattern, of which `word` is a part.
    static func code(
        _ pattern: some RegexComponent, around word: StaticString, in file: CheckoutFile,
        says text: String
    ) -> [Finding] {
        file.source.code.enumerated().compactMap { index, line in
            line.mentions(word) && line.contains(pattern)
                ? Finding(path: file.path, line: index + 1, text: text) : nil
        }
    }

    /// Marks of unfinished work that name no issue.
    static func unfinishedWork(in file: CheckoutFile) -> [Finding] {
        let mark = /\b(TODO|FIXME|XXX|HACK)\b/
        let issue = /#\d+/
        return file.source.comments.enumerated().compactMap { index, line in
            guard line.contains(mark), !line.contains(issue) else {
                return nil
            }
            return Finding(path: file.path, line: index + 1, text: "unfinished without an issue")
        }
    }

    /// Checks that the compiler was told to leave out, with no comment beside that says why.
    static func uncheckedWithoutReason(in file: CheckoutFile) -> [Finding] {
        let source = file.source
        return source.code.indices.compactMap { index -> Finding? in
            let line = source.code[index]
            guard line.mentions("@unchecked") || line.mentions("nonisolated(unsafe)") else {
                return nil
            }
            let around = max(0, index - 1)...min(index + 1, source.code.count - 1)
            // What a type is for is no reason; of a property, its doc comment may be one.
            let isType = line.mentions("@unchecked")
            let hasReason = around.contains {
                let comment = source.comments[$0]
                return isType ? comment.contains(/^\s*\/\/[^\/]/) : !comment.isBlank
            }
            guard !hasReason else { return nil }
            return Finding(path: file.path, line: index + 1, text: "unchecked, and no reason given")
        }
    }

    /// Functions of `limit` lines and more, from the line of the declaration to its last brace.
    static func longFunctions(in file: CheckoutFile, limit: Int) -> [Finding] {
        FunctionExtent.all(in: file.source).compactMap { function in
            guard function.length >= limit else { return nil }
            return Finding(
                path: file.path, line: function.line, text: "a function of \(function.length) lines"
            )
        }
    }

    /// Optionals that are unwrapped by force.
    ///
    /// The functions that implement the header take `Type!`, as the compiler imports C's pointers;
    /// their parameters say so in `AdmissionC`, and nothing is unwrapped there.
    static func forcedOptionals(in file: CheckoutFile) -> [Finding] {
        let isBoundary = file.path.hasPrefix("Sources/AdmissionC/")
        return file.source.code.enumerated().compactMap { index, line in
            guard line.mentions("!") else { return nil }
            let code =
                isBoundary
                ? line.replacing(/(: |-> )[A-Z][\w<>?]*!(?=[,)]|\s*(\{|$))/, with: "") : line
            guard code.contains(/[\w)\]>]!(?!=)/) else { return nil }
            return Finding(path: file.path, line: index + 1, text: "an optional forced")
        }
    }

    /// Types whose name says nothing, or, at the top of a file, what Swift's own types say.
    static func emptyNames(in file: CheckoutFile) -> [Finding] {
        let empty =
            /(Manager|Handler|Helper|Helpers|Util|Utils|Utility|Service|Context|Info|Data|Item|Backend|Impl|Base|Common|Misc)$/
        let taken: Set<String> = [
            "Admission", "Clock", "Duration", "Instant", "Result", "Task", "Request", "Response",
            "Token", "Bucket", "Window", "Rate",
        ]
        return TypeDeclaration.all(in: file.source).compactMap { declaration in
            let isTaken = !declaration.isNested && taken.contains(declaration.name)
            guard declaration.name.contains(empty) || isTaken else { return nil }
            return Finding(
                path: file.path, line: declaration.line, text: "a type named \(declaration.name)")
        }
    }

    /// Public declarations, and cases of public enums, with no doc comment above them.
    ///
    /// Witnesses whose protocol documents them need none: `description`, `==`, `<`, `hash`.
    static func undocumented(in file: CheckoutFile) -> [Finding] {
        let source = file.source
        var enumDepths: [Int] = []
        var depth = 0
        var found: [Finding] = []
        for (index, line) in source.code.enumerated() {
            let isCase =
                enumDepths.last == depth && line.mentions("case ")
                && line.contains(/^\s*(indirect\s+)?case\s/)
            let mayBePublic = line.mentions("public ")
            let isPublic =
                mayBePublic
                && line.contains(
                    /\bpublic\s+(?!extension|package|internal|private)[a-z@(~ ]*\b(func|var|let|struct|class|enum|protocol|actor|init|subscript|typealias|static|mutating|consuming)\b/
                )
            if (isCase || isPublic) && !isWitness(line)
                && !hasDocumentation(above: index, in: source)
            {
                found.append(Finding(path: file.path, line: index + 1, text: "no doc comment"))
            }
            for byte in line.utf8 {
                if byte == UInt8(ascii: "{") { depth += 1 }
                if byte == UInt8(ascii: "}") {
                    depth -= 1
                    if let innermost = enumDepths.last, innermost > depth {
                        enumDepths.removeLast()
                    }
                }
            }
            if mayBePublic && !line.mentions("}")
                && line.contains(/\bpublic\s+(indirect\s+)?enum\b/)
            {
                enumDepths.append(depth)
            }
        }
        return found
    }

    private static func isWitness(_ line: String) -> Bool {
        line.contains(/\b(var\s+(description|debugDescription|hashValue)\b|func\s+(==|<|hash\b))/)
    }

    private static func hasDocumentation(above index: Int, in source: SourceText) -> Bool {
        var line = index - 1
        // Attributes and conditions of the compiler may stand between comment and declaration.
        while line >= 0, source.code[line].contains(/^\s*(@\w+.*|#if.*|#endif)\s*$/) { line -= 1 }
        return line >= 0 && source.comments[line].contains(/^\s*(\/\/\/|.*\*\/\s*$)/)
    }
}

/// Where a function stands, and how long it is.
struct FunctionExtent {
    let line: Int
    let length: Int

    static func all(in source: SourceText) -> [FunctionExtent] {
        let keywords: [StaticString] = ["func ", "init", "subscript"]
        return source.code.indices.compactMap { index in
            guard keywords.contains(where: source.code[index].mentions),
                source.code[index].contains(
                    /^\s*[\w@(): ]*\b(func\s+\S|init[?(<]|init\s*\(|deinit\b|subscript\s*[(<])/),
                !source.code[index].contains(/^\s*(return|let|var|self|super|try|case|if|guard)\b/),
                let end = lastLine(ofFunctionAt: index, in: source.code)
            else { return nil }
            return FunctionExtent(line: index + 1, length: end - index + 1)
        }
    }

    /// The line of the brace that closes the body, or nil where the declaration has none.
    private static func lastLine(ofFunctionAt start: Int, in code: [String]) -> Int? {
        var parentheses = 0
        var braces = 0
        for index in start..<code.count {
            if index > start, braces == 0, parentheses == 0,
                code[index].contains(/^\s*(\}|func\b|var\b|init\b|[\w ]+\bfunc\b|$)/)
            {
                return nil
            }
            for byte in code[index].utf8 {
                switch byte {
                case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
                case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
                case UInt8(ascii: "{"): if braces > 0 || parentheses == 0 { braces += 1 }
                case UInt8(ascii: "}"):
                    if braces == 0 { if parentheses == 0 { return nil } else { continue } }
                    braces -= 1
                    if braces == 0 { return index }
                default: break
                }
            }
        }
        return nil
    }
}
