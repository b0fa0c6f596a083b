import Admission
import Testing

@Suite struct ZoneTests {
    @Test("S50: UTC's windows are gubernator's Gregorian intervals")
    func gubernatorGregorian() {
        let now = utc(2019, 11, 11, 0, 0, 30)
        let ends: [CalendarUnit: Int64] = [
            .minute: 1_573_430_460, .hour: 1_573_434_000, .day: 1_573_516_800,
            .month: 1_575_158_400, .year: 1_577_836_800,
        ]
        for (unit, end) in ends {
            #expect(Zone.utc.span(of: unit, containing: now).endSeconds == end)
        }
    }

    @Test("S51: UTC's windows are envoy's unit resets")
    func envoyResets() {
        #expect(Zone.utc.span(of: .minute, containing: 1234).endSeconds == 1260)
        #expect(Zone.utc.span(of: .hour, containing: 1_000_000).endSeconds == 1_000_800)
        #expect(Zone.utc.span(of: .day, containing: 1_000_000).endSeconds == 1_036_800)
    }

    @Test("S57: a day in Los Angeles lasts 23 hours in March and 25 in November")
    func daylightSaving() throws {
        let zone = try Zone(named: "America/Los_Angeles")
        #expect(
            zone.span(of: .day, containing: utc(2026, 3, 8, 20))
                == CalendarSpan(startSeconds: utc(2026, 3, 8, 8), endSeconds: utc(2026, 3, 9, 7)))
        #expect(
            zone.span(of: .day, containing: utc(2026, 11, 1, 20))
                == CalendarSpan(startSeconds: utc(2026, 11, 1, 7), endSeconds: utc(2026, 11, 2, 8)))
        #expect(
            zone.span(of: .day, containing: utc(2026, 7, 4, 12)).endSeconds % 86_400 == 7 * 3600)
        // Beyond 2037 only the footer's rule knows: the second Sunday in March 2100 is the 14th.
        #expect(zone.length(of: .day, containing: utc(2100, 3, 14, 20)) == 23 * 3600)
        #expect(zone.length(of: .day, containing: utc(9999, 3, 14, 20)) == 23 * 3600)
        #expect(zone.offsetSeconds(at: utc(2026, 7, 4)) == -7 * 3600)
    }

    @Test("A repeated hour is two windows, and a skipped one is none")
    func hoursAtTransitions() throws {
        let zone = try Zone(named: "America/Los_Angeles")
        let back = utc(2026, 11, 1, 8)
        #expect(
            zone.boundaries(of: .hour, from: back, through: back + 7200)
                == [back, back + 3600, back + 7200, back + 10_800])
        #expect(zone.offsetSeconds(at: back + 3599) == -7 * 3600)
        #expect(zone.offsetSeconds(at: back + 3600) == -8 * 3600)
        let forward = utc(2026, 3, 8, 9)
        #expect(
            zone.boundaries(of: .hour, from: forward, through: forward + 3600)
                == [forward, forward + 3600, forward + 7200])
    }

    @Test("Half an hour of daylight saving cuts an hour in two on Lord Howe")
    func halfHourTransition() throws {
        let zone = try Zone(named: "Australia/Lord_Howe")
        // 2026-04-05 02:00 at +11 is 01:30 at +10:30.
        let back = utc(2026, 4, 4, 15)
        #expect(
            zone.boundaries(of: .hour, from: back - 1, through: back + 1800)
                == [back - 3600, back, back + 1800, back + 5400])
        #expect(zone.length(of: .day, containing: back) == 86_400 + 1800)
        // 2026-10-04 02:00 at +10:30 is 02:30 at +11.
        let forward = utc(2026, 10, 3, 15, 30)
        #expect(
            zone.boundaries(of: .hour, from: forward - 1, through: forward)
                == [forward - 3600, forward, forward + 1800])
        #expect(zone.length(of: .day, containing: forward) == 86_400 - 1800)
    }

    @Test("Quarter-hour offsets shift hours, not minutes")
    func quarterHour() throws {
        let zone = try Zone(named: "Asia/Kathmandu")
        let now = utc(2026, 1, 1, 12, 30, 30)
        #expect(
            zone.span(of: .hour, containing: now)
                == CalendarSpan(
                    startSeconds: utc(2026, 1, 1, 12, 15), endSeconds: utc(2026, 1, 1, 13, 15)))
        #expect(zone.span(of: .minute, containing: now).endSeconds == utc(2026, 1, 1, 12, 31))
        #expect(zone.span(of: .day, containing: now).startSeconds == utc(2025, 12, 31, 18, 15))
    }

    @Test("A skipped date has no window")
    func skippedDates() throws {
        let apia = try Zone(named: "Pacific/Apia")
        let lastBefore = utc(2011, 12, 29, 10)
        let skip = utc(2011, 12, 30, 10)
        #expect(
            apia.boundaries(of: .day, from: lastBefore, through: skip)
                == [lastBefore, skip, skip + 86_400])
        // The week from Monday 26th to Sunday, January 1st, is a day short.
        #expect(apia.length(of: .week, containing: skip) == 6 * 86_400)
        let kwajalein = try Zone(named: "Pacific/Kwajalein")
        let before = utc(1993, 8, 20, 12)
        #expect(kwajalein.length(of: .day, containing: before - 1) == 86_400)
        #expect(kwajalein.span(of: .day, containing: before).startSeconds == before)
        #expect(kwajalein.length(of: .month, containing: before) == 30 * 86_400)
    }

    @Test("A day without midnight begins with its first instant")
    func missingMidnights() throws {
        for (name, start, length) in [
            ("America/Sao_Paulo", utc(2018, 11, 4, 3), 23),
            ("Asia/Beirut", utc(2026, 3, 28, 22), 23),
            ("Africa/Cairo", utc(2026, 4, 23, 22), 23), ("America/Havana", utc(2026, 3, 8, 5), 23),
        ] as [(String, Int64, Int64)] {
            let zone = try Zone(named: name)
            #expect(
                zone.span(of: .day, containing: start)
                    == CalendarSpan(startSeconds: start, endSeconds: start + length * 3600),
                "\(name)")
            #expect(zone.span(of: .day, containing: start - 1).endSeconds == start, "\(name)")
        }
    }

    @Test("A clock put back over midnight does not reopen the day before")
    func backOverMidnight() throws {
        // 2006-10-29 00:01 at -2:30 became 2006-10-28 23:01 at -3:30.
        let zone = try Zone(named: "America/St_Johns")
        let midnight = utc(2006, 10, 29, 2, 30)
        let day = zone.span(of: .day, containing: midnight)
        #expect(day == CalendarSpan(startSeconds: midnight, endSeconds: midnight + 25 * 3600))
        #expect(zone.span(of: .day, containing: midnight + 1800) == day)
        #expect(zone.span(of: .day, containing: midnight - 1).endSeconds == midnight)
        // The same with a month's and a year's first date, which the clock leaves again.
        let made = try Zone(
            name: "made",
            tzif: TZifBytes(
                transitions: [(utc(2030, 1, 1, 0, 10), 1)], offsets: [0, -3600]
            ).bytes)
        let again = utc(2030, 1, 1, 0, 30)
        for unit in [CalendarUnit.day, .month, .year] {
            #expect(made.span(of: unit, containing: again).startSeconds == utc(2030, 1, 1))
            #expect(
                made.span(of: unit, containing: utc(2029, 12, 31)).endSeconds == utc(2030, 1, 1))
        }
        #expect(made.length(of: .day, containing: again) == 25 * 3600)
    }

    @Test("A year whose first date was skipped begins with the next, an empty month has no window")
    func skippedFirstDates() throws {
        let day = utc(2029, 12, 31)
        let zone = try Zone(
            name: "made",
            tzif: TZifBytes(transitions: [(day + 43_200, 1)], offsets: [-43_200, 43_200]).bytes)
        // The local clock goes from December 31st, 00:00, to January 1st, 00:00.
        let start = day + 43_200
        for unit in [CalendarUnit.day, .month, .year] {
            #expect(zone.span(of: unit, containing: start).startSeconds == start)
            #expect(zone.span(of: unit, containing: start - 1).endSeconds == start)
        }
        #expect(zone.length(of: .month, containing: start - 1) == 30 * 86_400)
        #expect(zone.length(of: .week, containing: start) == 6 * 86_400)
    }

    @Test("Two hours of daylight saving make days of 22 and 26 hours at Troll")
    func troll() throws {
        let zone = try Zone(named: "Antarctica/Troll")
        #expect(zone.length(of: .day, containing: utc(2026, 3, 29, 12)) == 22 * 3600)
        #expect(zone.length(of: .day, containing: utc(2026, 10, 25, 12)) == 26 * 3600)
    }

    @Test("A transition that keeps the offset is no boundary")
    func sameOffset() throws {
        let change = utc(2026, 5, 5, 10, 20, 30)
        let zone = try Zone(
            name: "made",
            tzif: TZifBytes(transitions: [(change, 1)], offsets: [3600, 3600]).bytes)
        #expect(zone.length(of: .hour, containing: change) == 3600)
        #expect(zone.length(of: .minute, containing: change) == 60)
        let cut = try Zone(
            name: "made",
            tzif: TZifBytes(transitions: [(change, 1)], offsets: [3600, 3601]).bytes)
        #expect(cut.span(of: .minute, containing: change - 1).endSeconds == change)
    }

    @Test("Seconds before 1970 lie in the windows that hold them")
    func beforeEpoch() throws {
        #expect(Zone.utc.span(of: .minute, containing: -1).startSeconds == -60)
        #expect(Zone.utc.span(of: .day, containing: -86_401).startSeconds == -2 * 86_400)
        #expect(Zone.utc.span(of: .week, containing: -1).startSeconds == utc(1969, 12, 29))
        #expect(Zone.utc.span(of: .month, containing: -1).startSeconds == utc(1969, 12, 1))
        #expect(Zone.utc.span(of: .year, containing: -1).startSeconds == utc(1969, 1, 1))
        // Paris kept local mean time, 9 min 21 s ahead, until 1911.
        let paris = try Zone(named: "Europe/Paris")
        let span = paris.span(of: .minute, containing: utc(1900, 1, 1))
        #expect(span.startSeconds == utc(1899, 12, 31, 23, 59, 39))
    }

    @Test("The extremes of Int64 lie in a window")
    func extremes() throws {
        let zones = [
            Zone.utc, try Zone(named: "America/New_York"),
            try Zone.rule("CET-1CEST,M3.5.0,M10.5.0/3"),
        ]
        let horizon: Int64 = 1 << 55
        let instants = [
            .min, .min + 1, -horizon - 1, -horizon, -horizon + 1, 0, horizon - 1, horizon, .max - 1,
        ]
        for zone in zones {
            for unit in CalendarUnit.allCases {
                for instant: Int64 in instants {
                    let span = zone.span(of: unit, containing: instant)
                    #expect(span.startSeconds <= instant && instant < span.endSeconds)
                    #expect(zone.span(of: unit, containing: span.startSeconds) == span)
                    #expect(zone.span(of: unit, containing: span.endSeconds - 1) == span)
                }
                #expect(zone.span(of: unit, containing: .max).endSeconds == .max)
            }
            #expect(zone.offsetSeconds(at: .max) == zone.offsetSeconds(at: horizon))
            #expect(zone.offsetSeconds(at: .min) == zone.offsetSeconds(at: -horizon))
        }
    }
}
