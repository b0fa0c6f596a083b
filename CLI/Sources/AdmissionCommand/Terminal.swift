import Foundation

/// Where the command writes, and whether it may use colours there.
enum Terminal {
    /// A colour or weight; what it means is up to who uses it.
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    /// Colours are for people: on a terminal, unless `NO_COLOR` (https://no-color.org) is set.
    static let isColoured = isColoured(STDOUT_FILENO)

    /// Whether standard output is one whose cursor can be moved.
    static let isScreen =
        isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Lines that it shows; 24 where it does not say.
    static var rows: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else {
            return 24
        }
        return Int(size.ws_row)
    }

    private static func isColoured(_ descriptor: Int32) -> Bool {
        let environment = ProcessInfo.processInfo.environment
        return environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
            && isatty(descriptor) == 1
    }

    static func styled(_ text: String, _ style: Style?) -> String {
        styled(text, style, isColoured: isColoured)
    }

    private static func styled(_ text: String, _ style: Style?, isColoured: Bool) -> String {
        guard let style, isColoured else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }

    /// Writes a line to standard error.
    ///
    /// - Parameter isLabelled: Whether the message says by itself that it is an error.
    static func error(_ message: String, isLabelled: Bool = false) {
        let label = styled("error:", .red, isColoured: isColoured(STDERR_FILENO))
        let line = isLabelled ? message : "\(label) \(message)"
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }
}

/// Cells in aligned columns, the first row as a heading.
struct TextTable {
    struct Cell {
        let text: String
        let style: Terminal.Style?

        /// - Parameter text: Whatever a file may hold: what a terminal would obey is escaped.
        init(_ text: String, _ style: Terminal.Style? = nil) {
            self.text = Wording.printable(text)
            self.style = style
        }
    }

    enum Alignment { case left, right }

    private let alignments: [Alignment]
    private var rows: [[Cell]]

    /// A table with a heading of that many columns.
    init(_ columns: [(String, Alignment)]) {
        alignments = columns.map(\.1)
        rows = [columns.map { Cell($0.0, .dim) }]
    }

    /// Adds a row, a cell for each column.
    mutating func add(_ cells: [Cell]) {
        rows.append(cells)
    }

    /// The lines, indented by two; no line ends with a space.
    var text: String {
        let widths = alignments.indices.map { column in
            rows.map { $0[column].text.count }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            var pending = "  "
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.text.count)
                if alignments[column] == .right { pending += padding }
                if !cell.text.isEmpty {
                    line += pending + Terminal.styled(cell.text, cell.style)
                    pending = ""
                }
                if alignments[column] == .left { pending += padding }
                pending += "  "
            }
            return line
        }.joined(separator: "\n")
    }
}
