import Glibc

/// `AdmissionBench ROW SECONDS` measures one row once and prints one line of JSON. A row of several
/// processes starts itself as `AdmissionBench --worker ROW DIRECTORY`.
@main
enum Main {
    static func main() {
        let arguments = CommandLine.arguments
        if arguments.count == 4, arguments[1] == "--worker" {
            do {
                try fileWorker(arguments[2], in: arguments[3])
                exit(0)
            } catch {
                complain("AdmissionBench: worker of \(arguments[2]): \(error)")
                exit(1)
            }
        }
        guard arguments.count == 3, let seconds = Double(arguments[2]), seconds > 0 else {
            complain("usage: AdmissionBench ROW SECONDS")
            exit(2)
        }
        do {
            guard let values = try measure(arguments[1], seconds) else {
                complain("AdmissionBench: no row \"\(arguments[1])\"")
                exit(2)
            }
            print("{\(values.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", "))}")
        } catch {
            complain("AdmissionBench: \(arguments[1]): \(error)")
            exit(1)
        }
    }

    private static func measure(_ row: String, _ seconds: Double) throws -> [(String, Double)]? {
        if let nanoseconds = try decisionRow(row, seconds) { return [("ns", nanoseconds)] }
        if let nanoseconds = try otherRow(row, seconds) { return [("ns", nanoseconds)] }
        if let values = try fileRow(row, seconds) { return values }
        return try latencyRow(row, seconds) ?? allocationRow(row) ?? memoryRow(row)
    }

    private static func complain(_ text: String) {
        let bytes = Array("\(text)\n".utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
