import Admission
import Testing

/// The rule after a file's last transition; instants by hand from POSIX's definitions.
@Suite struct ZoneRuleTests {
    /// The instants in a year at which the offset changes, with the offset from there on.
    private func changes(_ zone: Zone, inYear year: Int) -> [String] {
        var found: [String] = []
        var hour = utc(year, 1, 1)
        let end = utc(year + 1, 1, 1)
        while hour < end {
            // Windows of an hour end at every transition.
            let span = zone.span(of: .hour, containing: hour)
            let offset = zone.offsetSeconds(at: span.startSeconds)
            if offset != zone.offsetSeconds(at: span.startSeconds - 1), span.startSeconds >= hour {
                let day = (span.startSeconds - utc(year, 1, 1)) / 86_400
                found.append("day \(day) second \(span.startSeconds % 86_400): \(offset)")
            }
            hour = span.endSeconds
        }
        return found
    }

    @Test("M names a weekday of a month, and week 5 is the last")
    func monthRule() throws {
        let zone = try Zone.rule("CET-1CEST,M3.5.0,M10.5.0/3")
        // 2026: March 29th and October 25th, 01:00 UTC.
        #expect(
            changes(zone, inYear: 2026) == [
                "day 87 second 3600: 7200", "day 297 second 3600: 3600",
            ])
        // The fifth Sunday where there is one: March 31st 2030; the fourth else: October 27th.
        #expect(
            changes(zone, inYear: 2030) == [
                "day 89 second 3600: 7200", "day 299 second 3600: 3600",
            ])
        // Week 1 on the month's first day: Sunday, 2026-11-01.
        let eastern = try Zone.rule("EST5EDT,M3.2.0,M11.1.0")
        #expect(
            changes(eastern, inYear: 2026)
                == ["day 66 second 25200: -14400", "day 304 second 21600: -18000"])
        // December's last Saturday.
        let december = try Zone.rule("AAA0BBB,M6.1.6/0,M12.5.6/0")
        #expect(
            changes(december, inYear: 2026)
                == ["day 156 second 0: 3600", "day 358 second 82800: 0"])
    }

    @Test("J never counts February 29th, a bare number does")
    func dayRules() throws {
        let julian = try Zone.rule("AAA0BBB,J60/0,J300/1")
        #expect(changes(julian, inYear: 2027) == ["day 59 second 0: 3600", "day 299 second 0: 0"])
        #expect(changes(julian, inYear: 2028) == ["day 60 second 0: 3600", "day 300 second 0: 0"])
        let zeroBased = try Zone.rule("AAA0BBB,59/0,299/1")
        for year in [2027, 2028] {
            #expect(
                changes(zeroBased, inYear: year) == [
                    "day 59 second 0: 3600", "day 299 second 0: 0",
                ])
        }
    }

    @Test("Names in angle brackets, minutes and seconds of an offset are read")
    func namesAndOffsets() throws {
        #expect(try Zone.rule("<+03>-3").offsetSeconds(at: 0) == 3 * 3600)
        #expect(try Zone.rule("<-0330>3:30").offsetSeconds(at: 0) == -12_600)
        #expect(try Zone.rule("LMT+0:00:30").offsetSeconds(at: 0) == -30)
        #expect(try Zone.rule("ABC-24:59:59").offsetSeconds(at: 0) == 89_999)
        let zone = try Zone.rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0")
        #expect(
            changes(zone, inYear: 2026)
                == ["day 93 second 54000: 37800", "day 275 second 55800: 39600"])
    }

    @Test("The hour of a change goes from -167 to 167")
    func extendedHours() throws {
        // Godthab's rule: Saturday 22:00 at -2 before the last Sunday, -1 hour on Sunday.
        let nuuk = try Zone.rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0")
        #expect(
            changes(nuuk, inYear: 2026) == [
                "day 87 second 3600: -3600", "day 297 second 3600: -7200",
            ])
        let far = try Zone.rule("AAA0BBB,J100/167,J200/-167:30")
        // Day 99 + 6 days 23 hours; day 199 - 6 days 23:30, one hour earlier in UTC.
        #expect(
            changes(far, inYear: 2026) == ["day 105 second 82800: 3600", "day 191 second 84600: 0"])
        let newYear = try Zone.rule("AAA0BBB,J365/167,J10/0")
        // Begins on January 6th: the rule of one year, six days into the next.
        #expect(
            changes(newYear, inYear: 2026) == ["day 5 second 82800: 3600", "day 8 second 82800: 0"])
    }

    @Test("Daylight saving that ends where the next year's begins lasts all year")
    func allYear() throws {
        for text in [
            "XXX3EDT4,0/0,J365/23", "EST5EDT,0/0,J365/25", "EST5EDT4,0/0,J365/26",
            "AAA3BBB,J1/-24,J365/167",
        ] {
            let zone = try Zone.rule(text)
            let offset = zone.offsetSeconds(at: utc(2026, 7, 1))
            #expect(changes(zone, inYear: 2026) == [])
            #expect(changes(zone, inYear: 2028) == [])
            #expect(offset == (text.hasPrefix("XXX") ? -4 : text.hasPrefix("AAA") ? -2 : -4) * 3600)
        }
    }

    @Test("Negative daylight saving and the southern summer are read")
    func otherSummers() throws {
        let dublin = try Zone.rule("IST-1GMT0,M10.5.0,M3.5.0/1")
        #expect(
            changes(dublin, inYear: 2026) == ["day 87 second 3600: 3600", "day 297 second 3600: 0"])
        let sydney = try Zone.rule("AEST-10AEDT,M10.1.0,M4.1.0/3")
        #expect(
            changes(sydney, inYear: 2026)
                == ["day 93 second 57600: 36000", "day 275 second 57600: 39600"])
        #expect(sydney.offsetSeconds(at: utc(2025, 12, 31, 23, 59, 59)) == 39_600)
    }

    @Test("A rule holds before 1970 where no transition is, and repeats for ever")
    func repetition() throws {
        let zone = try Zone.rule("CET-1CEST,M3.5.0,M10.5.0/3")
        let cycle: Int64 = 146_097 * 86_400
        var random = ZoneTestRandom(state: 7)
        for _ in 0..<2000 {
            let instant = Int64.random(in: utc(1970, 1, 1)..<utc(2370, 1, 1), using: &random)
            let unit = CalendarUnit.allCases.randomElement(using: &random) ?? .day
            let span = zone.span(of: unit, containing: instant)
            for shift in [-5, -1, 1, 2, 1000] as [Int64] {
                let other = zone.span(of: unit, containing: instant + shift * cycle)
                #expect(other.startSeconds == span.startSeconds + shift * cycle)
                #expect(other.endSeconds == span.endSeconds + shift * cycle)
            }
        }
    }

    @Test("The rule takes over at the last transition")
    func takesOver() throws {
        let last = utc(2007, 11, 4, 6)
        let zone = try Zone(
            name: "made",
            tzif: TZifBytes(
                transitions: [(utc(2007, 3, 11, 7), 1), (last, 0)], offsets: [-18_000, -14_400],
                footer: "EST5EDT,M3.2.0,M11.1.0"
            ).bytes)
        #expect(changes(zone, inYear: 2006) == [])
        #expect(
            changes(zone, inYear: 2007)
                == ["day 69 second 25200: -14400", "day 307 second 21600: -18000"])
        #expect(
            changes(zone, inYear: 2026)
                == ["day 66 second 25200: -14400", "day 304 second 21600: -18000"])
    }

    @Test(
        "A footer that is no TZ string is refused, and the error says where",
        arguments: [
            "A", "AB3", "ABC", "ABC25", "ABC3:60", "ABC3:00:60", "ABC1000", "<ABC3", "<A>3",
            "ABC3DE",
            "ABC3DEF", "ABC3DEF,", "ABC3DEF,J0,J1", "ABC3DEF,J366,J1", "ABC3DEF,366,1",
            "ABC3DEF,M13.1.0,1", "ABC3DEF,M1.6.0,1", "ABC3DEF,M1.1.7,1", "ABC3DEF,M1,1",
            "ABC3DEF,M1.1,1", "ABC3DEF,1/168,2", "ABC3DEF,1/-168,2", "ABC3DEF,1", "ABC3DEF,1,2,3",
            "ABC3DEF,1,2 ", "ABC3DEF,1/,2", ":Europe/Paris", "ABC--3", "Ä3",
        ])
    func refused(_ text: String) {
        let error = #expect(throws: ZoneError.self) { try Zone.rule(text) }
        #expect(error?.reason.contains("the footer") == true)
        #expect(error?.reason.contains(" of \(text.utf8.count)") == true)
    }
}
