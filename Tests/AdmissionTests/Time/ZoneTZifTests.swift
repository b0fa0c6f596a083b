import Admission
import Foundation
import Testing

@Suite struct ZoneTZifTests {
    private let change = utc(2020, 6, 1)

    private func made(_ version: UInt8) -> TZifBytes {
        TZifBytes(
            version: version, transitions: [(change, 1)], offsets: [3600, 7200], footer: "ABC-2")
    }

    private func reason(_ bytes: [UInt8]) -> String? {
        #expect(throws: ZoneError.self) { try Zone(name: "made", tzif: bytes) }?.reason
    }

    @Test(
        "Versions 1 to 4, and later ones, are read alike",
        arguments: [0, UInt8(ascii: "2"), UInt8(ascii: "3"), UInt8(ascii: "4"), UInt8(ascii: "7")])
    func versions(_ version: UInt8) throws {
        for isFat in [false, true] {
            var file = made(version)
            file.isFat = isFat
            let zone = try Zone(name: "made", tzif: file.bytes)
            #expect(zone.offsetSeconds(at: change - 1) == 3600)
            #expect(zone.offsetSeconds(at: change) == 7200)
            #expect(zone.offsetSeconds(at: utc(2090, 1, 1)) == 7200)
        }
    }

    @Test("Without a footer's rule the last offset stays, without transitions the first type is it")
    func withoutRule() throws {
        var file = made(UInt8(ascii: "2"))
        file.footer = ""
        #expect(try Zone(name: "made", tzif: file.bytes).offsetSeconds(at: utc(2090, 1, 1)) == 7200)
        file.transitions = []
        #expect(try Zone(name: "made", tzif: file.bytes).offsetSeconds(at: 0) == 3600)
    }

    @Test("Every proper beginning of a file is refused as cut short")
    func truncated() {
        for version: UInt8 in [0, UInt8(ascii: "3")] {
            let bytes = made(version).bytes
            for count in 0..<bytes.count {
                let reason = reason(Array(bytes[..<count]))
                #expect(
                    reason?.contains("cut short") == true || reason?.contains("no footer") == true)
            }
        }
    }

    @Test("A file that contradicts itself is refused with the numbers")
    func contradictions() {
        var file = made(UInt8(ascii: "3"))
        file.leapCount = 27
        #expect(reason(file.bytes) == "counts 27 leap seconds, which Unix time does not have")
        file = made(UInt8(ascii: "3"))
        file.transitions = [(5, 1), (5, 0)]
        #expect(reason(file.bytes) == "transition 1 at 5 is not after 5")
        file.transitions = [(5, 9)]
        #expect(reason(file.bytes) == "transition 0 has type 9 of 2")
        file = made(UInt8(ascii: "3"))
        file.offsets = [0, 93_600]
        #expect(reason(file.bytes)?.contains("93600 s") == true)
        file.offsets = [0, .min]
        #expect(reason(file.bytes)?.contains("-2147483648 s") == true)
        file.offsets = []
        #expect(reason(file.bytes)?.contains("0 local time types") == true)
        #expect(reason(made(UInt8(ascii: "1")).bytes)?.contains("version byte 49") == true)
        #expect(
            reason(Array("TZiv".utf8) + [UInt8](repeating: 0, count: 60))?.contains("TZif") == true)
    }

    @Test("Transitions at the ends of 64 bits, with a rule behind them, are kept in bounds")
    func extremeTransitions() throws {
        let instants: [Int64] = [
            .min, .min + 1, -(1 << 59), -(1 << 55), 0, (1 << 55) - 1, 1 << 55, .max - 1, .max,
        ]
        for count in 1...instants.count {
            let transitions = instants[..<count].enumerated()
                .map { (unixSeconds: $0.element, type: UInt8($0.offset % 2)) }
            for footer in ["", "ABC-2", "CET-1CEST,M3.5.0,M10.5.0/3"] {
                let file = TZifBytes(
                    transitions: transitions, offsets: [-89_999, 93_599], footer: footer)
                let zone = try Zone(name: "made", tzif: file.bytes)
                expectSound(zone, at: instants + instants.map { $0 &+ 100_000 })
            }
        }
    }

    /// Every window holds its instant and is the same from its first and from its last second.
    private func expectSound(_ zone: Zone, at instants: [Int64]) {
        for instant in instants {
            for unit in CalendarUnit.allCases {
                let span = zone.span(of: unit, containing: instant)
                let isSound =
                    span.startSeconds <= instant
                    && (instant < span.endSeconds || instant == .max)
                    && zone.span(of: unit, containing: span.startSeconds) == span
                    && zone.span(of: unit, containing: span.endSeconds - 1) == span
                if !isSound {
                    Issue.record("\(zone.name) \(unit.name) at \(instant): \(span)")
                }
            }
        }
    }

    @Test("Damaged files are an error or a zone whose windows tile time, never a trap")
    func mutations() throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["ADMISSION_SEED"].flatMap { UInt64($0) } ?? 20_261_122
        let count = environment["ADMISSION_SOAK"] == "1" ? 200_000 : 5000
        var random = ZoneTestRandom(state: seed)
        var originals = [made(0).bytes, made(UInt8(ascii: "3")).bytes]
        for name in ["America/New_York", "Pacific/Apia", "Asia/Gaza", "Africa/Casablanca"] {
            let file = FileManager.default.contents(atPath: "/usr/share/zoneinfo/\(name)")
            originals.append([UInt8](try #require(file, "tzdata lacks \(name)")))
        }
        var loaded = 0
        var reasons: [String: Int] = [:]
        for _ in 0..<count {
            let bytes = Self.mutate(originals.randomElement(using: &random) ?? [], using: &random)
            do {
                let zone = try Zone(name: "mutation", tzif: bytes)
                loaded += 1
                let instants = (0..<4).map { _ in
                    Int64.random(in: .min ... .max, using: &random)
                        >> Int64.random(
                            in: 0..<40, using: &random)
                }
                expectSound(zone, at: instants + [.min, .max])
            } catch {
                // The reason without its numbers is its kind.
                let kind = error.reason.filter { !$0.isNumber }
                reasons[kind, default: 0] += 1
            }
        }
        print(
            "zones mutations (seed \(seed)): \(count) files, \(loaded) loaded, "
                + "\(count - loaded) refused in \(reasons.count) ways")
        #expect(loaded > 0 && reasons.count > 10, "seed \(seed): the mutations reach too little")
    }

    private static func mutate(
        _ original: [UInt8], using random: inout ZoneTestRandom
    ) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            // Headers and the footer are small: half of the changes go there.
            let last = bytes.count - 1
            let places = [
                Int.random(in: 0...min(63, last), using: &random),
                Int.random(in: max(0, last - 40)...last, using: &random),
                Int.random(in: 0...last, using: &random), Int.random(in: 0...last, using: &random),
            ]
            let place = places.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
            case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
            case 3:
                bytes[place] =
                    Array("0123456789,./-+<>JM\n".utf8).randomElement(using: &random) ?? 0
            case 4: bytes.insert(bytes[place], at: place)
            default: bytes.remove(at: place)
            }
        }
        if Int.random(in: 0..<10, using: &random) == 0 {
            bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
        }
        return bytes
    }
}
