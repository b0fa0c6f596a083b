import Admission
import Foundation
import Testing

/// Laws that hold in every zone, checked on zones that no government would decree.
@Suite struct ZoneLawTests {
    private static let rules = [
        "", "ABC-2", "CET-1CEST,M3.5.0,M10.5.0/3", "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "EST5EDT,0/0,J365/25",
        "AAA-24:59:59BBB24:59:59,J1/167,J365/-167", "AAA12BBB-12,10/0,12/0",
        "AAA0BBB,J60/0,J60/1:30",
        "AAA0BBB-0:00:01,60/0,61/0", "AAA0BBB,200,J10/167",
    ]

    /// Up to 30 transitions, seconds to years apart, between offsets that are often extreme.
    private static func zone(using random: inout ZoneTestRandom) throws -> (Zone, [Int64]) {
        let offsets = (0..<Int.random(in: 1...8, using: &random)).map { _ in
            [
                Int32.random(in: -89_999...93_599, using: &random), -89_999, 93_599, 0, 3600,
                Int32.random(in: -26...28, using: &random) * 1800,
            ].randomElement(using: &random).map { min(max($0, -89_999), 93_599) } ?? 0
        }
        var instant = Int64.random(in: -3_000_000_000...3_000_000_000, using: &random)
        let gaps: [ClosedRange<Int64>] = [1...10, 60...7200, 3600...200_000, 86_400...40_000_000]
        var file = TZifBytes(offsets: offsets, footer: rules.randomElement(using: &random) ?? "")
        for _ in 0..<Int.random(in: 0...30, using: &random) {
            file.transitions.append(
                (instant, UInt8.random(in: 0..<UInt8(offsets.count), using: &random)))
            instant += Int64.random(in: gaps.randomElement(using: &random) ?? 1...1, using: &random)
        }
        let instants = file.transitions.map(\.unixSeconds) + [instant, instant + 40_000_000]
        return (try Zone(name: file.footer ?? "", tzif: file.bytes), instants)
    }

    private func localDay(_ zone: Zone, _ instant: Int64) -> Int64 {
        let local = instant + Int64(zone.offsetSeconds(at: instant))
        return (local - (local % 86_400 + 86_400) % 86_400) / 86_400
    }

    @Test("Windows tile time, and a day is the time since its date was first the latest")
    func laws() throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["ADMISSION_SEED"].flatMap { UInt64($0) } ?? 20_261_122
        let count = environment["ADMISSION_SOAK"] == "1" ? 20_000 : 400
        var random = ZoneTestRandom(state: seed)
        var windows = 0
        for index in 0..<count {
            let (zone, instants) = try Self.zone(using: &random)
            for _ in 0..<6 {
                let near = instants.randomElement(using: &random) ?? 0
                let instant = near + Int64.random(in: -200_000...200_000, using: &random)
                for unit in CalendarUnit.allCases {
                    let length: Int64 = unit == .minute ? 300 : unit == .hour ? 20_000 : 400_000
                    let tiles = zone.boundaries(of: unit, from: instant, through: instant + length)
                    windows += tiles?.count ?? 0
                    if tiles == nil {
                        Issue.record(
                            "seed \(seed), zone \(index): \(unit.name) windows at \(instant)")
                    }
                }
                checkDay(zone, at: instant, "seed \(seed), zone \(index)", using: &random)
                checkClock(zone, at: instant, "seed \(seed), zone \(index)", using: &random)
            }
        }
        print("zones laws (seed \(seed)): \(count) zones, \(windows) windows")
    }

    /// Before the window every date shown was earlier; inside none is later than its first.
    private func checkDay(
        _ zone: Zone, at instant: Int64, _ place: String, using random: inout ZoneTestRandom
    ) {
        let span = zone.span(of: .day, containing: instant)
        guard span.startSeconds < span.endSeconds else {
            Issue.record("\(place) \(zone.name): day at \(instant) is \(span)")
            return
        }
        let day = localDay(zone, span.startSeconds)
        for _ in 0..<10 {
            let earlier = span.startSeconds - Int64.random(in: 1...400_000, using: &random)
            let inside = Int64.random(in: span.startSeconds..<span.endSeconds, using: &random)
            if localDay(zone, earlier) >= day || localDay(zone, inside) > day {
                Issue.record("\(place) \(zone.name): day at \(instant) is \(span)")
            }
        }
    }

    /// In an hour the offset is one, and its ends show a full hour or a change of the offset.
    private func checkClock(
        _ zone: Zone, at instant: Int64, _ place: String, using random: inout ZoneTestRandom
    ) {
        for (unit, length) in [(CalendarUnit.hour, Int64(3600)), (.minute, 60)] {
            let span = zone.span(of: unit, containing: instant)
            guard span.startSeconds < span.endSeconds else {
                Issue.record("\(place) \(zone.name): \(unit.name) at \(instant) is \(span)")
                continue
            }
            let offset = zone.offsetSeconds(at: span.startSeconds)
            let inside = Int64.random(in: span.startSeconds..<span.endSeconds, using: &random)
            let isOne = zone.offsetSeconds(at: inside) == offset
            let areEnds = [span.startSeconds, span.endSeconds].allSatisfy {
                ($0 + Int64(offset)) % length == 0
                    || zone.offsetSeconds(at: $0) != zone.offsetSeconds(at: $0 - 1)
            }
            if !isOne || !areEnds || span.endSeconds - span.startSeconds > length {
                Issue.record("\(place) \(zone.name): \(unit.name) at \(instant) is \(span)")
            }
        }
    }
}
