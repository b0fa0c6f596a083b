/// What a scalar without quotes stands for.
///
/// The rules are those of YAML 1.1 (https://yaml.org/type/), which PyYAML follows, so that a
/// document means the same to every reader of this project; with two differences: dates are text,
/// and what YAML 1.1 and 1.2 read as different numbers is `disputed`.
enum PlainScalar: Hashable {
    case null
    case boolean(Bool)
    /// As JSON writes it.
    case number(String)
    case text
    case disputed

    init(_ text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": self = .boolean(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
            self = .boolean(false)
        default: self = Self.numberOrText(text)
        }
    }

    private static func numberOrText(_ text: String) -> PlainScalar {
        let sign = text.first == "-" ? "-" : ""
        let body = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
        guard let first = body.first, first.isASCII, first.isNumber || first == "." else {
            return .text
        }
        if body.wholeMatch(of: /0|[1-9][0-9_]*/) != nil {
            return .number(sign + body.filter { $0 != "_" })
        }
        if let match = body.wholeMatch(of: /0x([0-9a-fA-F]{1,15})/),
            let value = Int64(match.1, radix: 16)
        {
            return .number(sign + String(value))
        }
        if let match = body.wholeMatch(of: /([0-9]*)\.([0-9]*)([eE][-+]?[0-9]+)?/),
            !match.1.isEmpty || !match.2.isEmpty
        {
            let whole = match.1.drop { $0 == "0" }
            return .number(
                sign + (whole.isEmpty ? "0" : whole) + "." + (match.2.isEmpty ? "0" : match.2)
                    + (match.3 ?? ""))
        }
        let disputes =
            /0[0-9_]+|0o[0-7]+|0[xb][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?|[0-9]+[eE][-+]?[0-9]+|\.(inf|Inf|INF)|\.(nan|NaN|NAN)/
        return body.wholeMatch(of: disputes) != nil ? .disputed : .text
    }
}
