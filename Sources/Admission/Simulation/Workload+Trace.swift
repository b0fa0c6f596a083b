extension Workload {
    /// The workload of a trace in the Azure Public Dataset's form.
    ///
    /// The text is a header and one line a call: `TIMESTAMP,ContextTokens,GeneratedTokens`. A
    /// timestamp is `2023-11-16 18:17:03.9799600`: `T` may stand for the space, up to nine digits
    /// for the fraction, and `Z` or `+00:00` at the end; without them it is UTC all the same. Each
    /// further column is an attribute of the call, named by the header. Lines end with LF or CRLF,
    /// the last one may lack its end, empty lines are skipped; fields are never quoted.
    ///
    /// - Parameters:
    ///   - trace: The text's bytes.
    ///   - title: What reports call it.
    ///   - attributes: What every call carries besides its own columns.
    /// - Throws: `WorkloadError` with the line.
    /// - Complexity: O(bytes), one pass.
    public init(trace: [UInt8], title: String, attributes: [Attribute] = []) throws(WorkloadError) {
        var reader = TraceReader(bytes: trace, attributes: attributes)
        try reader.readAll()
        self.init(
            checkedTitle: title, startUnixNanoseconds: reader.startUnixNanoseconds ?? 0,
            callers: reader.callers, arrivals: reader.arrivals)
    }
}

/// Reads one trace from its first byte to its last.
private struct TraceReader {
    let bytes: [UInt8]
    let attributes: [Attribute]
    private(set) var startUnixNanoseconds: Int64?
    private(set) var callers: [[Attribute]] = []
    private(set) var arrivals: [Workload.Arrival] = []

    private var columns: [String] = []
    /// The further columns' bytes, as they stand in the line, to the index of their caller.
    private var callerOfBytes: [ArraySlice<UInt8>: Int] = [:]
    /// The next byte to look at.
    private var position = 0
    /// One behind the current line's last byte, its CR and LF left out.
    private var lineEnd = 0
    /// The current line, counted from 1.
    private var line = 0

    private static let header = "TIMESTAMP,ContextTokens,GeneratedTokens"
    private static let comma = UInt8(ascii: ",")

    init(bytes: [UInt8], attributes: [Attribute]) {
        self.bytes = bytes
        self.attributes = attributes
    }

    mutating func readAll() throws(WorkloadError) {
        // A line of the Azure traces has 35 bytes or more.
        arrivals.reserveCapacity(bytes.count / 32)
        var next = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        var hasHeader = false
        while next < bytes.count {
            position = next
            line += 1
            next = findLineEnd()
            if position == lineEnd { continue }
            if hasHeader {
                try readArrival()
            } else {
                try readHeader()
                hasHeader = true
            }
        }
        guard hasHeader else { throw error("no header; it must begin with \(Self.header)") }
        if callers.isEmpty { callers = [attributes] }
    }

    /// Sets `lineEnd` for the line at `position`; returns where the next one begins.
    private mutating func findLineEnd() -> Int {
        var end = position
        while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
        lineEnd = end > position && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
        return end + 1
    }

    private mutating func readHeader() throws(WorkloadError) {
        let names = try text(from: position).split(separator: ",", omittingEmptySubsequences: false)
        guard names.prefix(3).joined(separator: ",") == Self.header else {
            throw error("the header must begin with \(Self.header), found \(shown(from: position))")
        }
        columns = names.dropFirst(3).map(String.init)
        for (index, name) in columns.enumerated() {
            guard !name.isEmpty else { throw error("column \(index + 4) has no name") }
            if attributes.contains(where: { $0.name == name })
                || columns[..<index].contains(name)
            {
                throw error("the attribute \(name) is given twice")
            }
        }
    }

    private mutating func readArrival() throws(WorkloadError) {
        let unixNanoseconds = try readTimestamp()
        try expectComma(after: "the timestamp")
        let inputTokens = try readTokens("ContextTokens")
        try expectComma(after: "ContextTokens")
        let outputTokens = try readTokens("GeneratedTokens")
        let caller = try readCaller()
        let start = startUnixNanoseconds ?? unixNanoseconds
        startUnixNanoseconds = start
        let offset = unixNanoseconds - start
        guard offset >= arrivals.last?.offsetNanoseconds ?? 0 else {
            throw error("the timestamp is before the one of the line ahead; sort the trace by time")
        }
        arrivals.append(
            Workload.Arrival(
                offsetNanoseconds: offset, inputTokens: inputTokens, outputTokens: outputTokens,
                caller: caller))
    }

    private mutating func readTokens(_ name: String) throws(WorkloadError) -> Int64 {
        let begin = position
        var value: Int64 = 0
        while position < lineEnd, let digit = digit(at: position) {
            value = value * 10 + digit
            position += 1
            guard value <= Workload.maximumTokens else {
                throw error(
                    "\(name) is \(shown(from: begin)); at most \(Workload.maximumTokens) fits")
            }
        }
        guard position > begin, position == lineEnd || bytes[position] == Self.comma else {
            throw error("\(name) is \(shown(from: begin)), not a whole number of 0 or more")
        }
        return value
    }

    private mutating func readCaller() throws(WorkloadError) -> Int {
        // Compared as bytes: two spellings of one character are two values, as in a gate.
        let rest = bytes[position..<lineEnd]
        if let known = callerOfBytes[rest] { return known }
        let values = try text(from: position)
            .split(separator: ",", omittingEmptySubsequences: false).dropFirst()
        guard values.count == columns.count else {
            throw error("\(values.count + 3) fields where the header names \(columns.count + 3)")
        }
        guard !rest.contains(UInt8(ascii: "\"")) else {
            throw error("quoted fields are not read: \(values.joined(separator: ","))")
        }
        callers.append(attributes + zip(columns, values).map { Attribute($0, String($1)) })
        callerOfBytes[rest] = callers.count - 1
        return callers.count - 1
    }

    private mutating func expectComma(after what: String) throws(WorkloadError) {
        guard position < lineEnd, bytes[position] == Self.comma else {
            throw error("a comma must follow \(what), found \(shown(from: position))")
        }
        position += 1
    }

    private func digit(at index: Int) -> Int64? {
        let digit = bytes[index] &- UInt8(ascii: "0")
        return digit <= 9 ? Int64(digit) : nil
    }

    private func text(from begin: Int) throws(WorkloadError) -> String {
        guard let text = String(validating: bytes[begin..<lineEnd], as: UTF8.self) else {
            throw error("the line is not UTF-8")
        }
        return text
    }

    /// The field that begins there, in quotes, cut to what an error can show.
    private func shown(from begin: Int) -> String {
        let field = bytes[begin..<lineEnd].prefix { $0 != Self.comma }.prefix(40)
        return field.isEmpty ? "nothing" : "\"\(String(decoding: field, as: UTF8.self))\""
    }

    private func error(_ message: String) -> WorkloadError {
        WorkloadError(line: max(line, 1), message)
    }
}

extension TraceReader {
    private mutating func readTimestamp() throws(WorkloadError) -> Int64 {
        let begin = position
        guard let unixNanoseconds = parseTimestamp() else {
            throw error(
                "the timestamp is \(shown(from: begin)); it must look like 2023-11-16 "
                    + "18:17:03.9799600, from 1970 to 2199")
        }
        return unixNanoseconds
    }

    private mutating func parseTimestamp() -> Int64? {
        guard let year = number(digits: 4, from: 1970, to: 2199), skip("-"),
            let month = number(digits: 2, from: 1, to: 12), skip("-"),
            let day = number(digits: 2, from: 1, to: lastDay(ofMonth: month, year: year)),
            skip(" ") || skip("T"),
            let hour = number(digits: 2, from: 0, to: 23), skip(":"),
            let minute = number(digits: 2, from: 0, to: 59), skip(":"),
            let second = number(digits: 2, from: 0, to: 59)
        else { return nil }
        var nanoseconds: Int64 = 0
        if skip(".") {
            var unit: Int64 = 100_000_000
            let begin = position
            while position < lineEnd, unit > 0, let digit = digit(at: position) {
                nanoseconds += digit * unit
                unit /= 10
                position += 1
            }
            guard position > begin else { return nil }
        }
        if !skip("Z"), skip("+") {
            guard number(digits: 2, from: 0, to: 0) != nil, skip(":"),
                number(digits: 2, from: 0, to: 0) != nil
            else { return nil }
        }
        let days = CalendarDate(year: year, month: month, day: day).dayNumber
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
        return seconds * 1_000_000_000 + nanoseconds
    }

    private mutating func number(digits: Int, from least: Int64, to most: Int64) -> Int64? {
        guard position + digits <= lineEnd else { return nil }
        var value: Int64 = 0
        for index in position..<position + digits {
            guard let digit = digit(at: index) else { return nil }
            value = value * 10 + digit
        }
        position += digits
        return (least...most).contains(value) ? value : nil
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < lineEnd, UInt32(bytes[position]) == character.value else { return false }
        position += 1
        return true
    }

    private func lastDay(ofMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: CalendarDate.isLeap(year: year) ? 29 : 28
        default: 31
        }
    }
}
