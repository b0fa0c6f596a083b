/// The windows that calendar limits are in at one instant of wall time.
///
/// Unit and zone come from the identity that the segment stores, so that limits are known too which
/// no document of this process names. Each limit and each zone is looked up once.
struct CalendarPresent {
    /// The window that holds the instant.
    struct Window {
        var number: UInt64
        /// Number of the window before.
        var previous: UInt64
        /// Wall nanoseconds at which it ends; nil beyond what they can say.
        var end: Int64?
    }

    private let seconds: Int64
    /// By the offset of the definition; nil inside: its zone is not known here.
    private var windows: [Int: Window?] = [:]
    private var zones: [String: Zone?] = [:]

    init(wall: Int64) { seconds = wall.flooredSeconds }

    /// The window of a calendar limit; nil where it is none, or this host does not know its zone.
    mutating func window(of definition: Definition) -> Window? {
        if let known = windows[definition.offset] { return known }
        let window = look(definition)
        windows[definition.offset] = .some(window)
        return window
    }

    private mutating func look(_ definition: Definition) -> Window? {
        guard let identity = definition.limitIdentity, let unit = identity.unit,
            let zone = zone(identity.zone)
        else { return nil }
        let window = CalendarWindow(limit: 1, unit: unit, guardNanoseconds: 0)
        let span = zone.span(of: unit, containing: seconds)
        let before = zone.span(of: unit, containing: span.startSeconds.addingSaturated(-1))
        let end = span.endSeconds.multipliedReportingOverflow(by: 1_000_000_000)
        return Window(
            number: window.number(startSeconds: span.startSeconds),
            previous: window.number(startSeconds: before.startSeconds),
            end: end.overflow ? nil : end.partialValue)
    }

    private mutating func zone(_ name: String) -> Zone? {
        if let known = zones[name] { return known }
        let zone = try? Zone(named: name)
        zones[name] = .some(zone)
        return zone
    }
}

extension Definition {
    /// What the stored identity says; nil where it is damaged.
    var limitIdentity: LimitIdentity? {
        segment.identity(ofDefinitionAt: offset).flatMap { LimitIdentity([UInt8]($0)) }
    }
}

extension Int64 {
    /// Whole seconds of nanoseconds, rounded down.
    var flooredSeconds: Int64 {
        self / 1_000_000_000 - (self % 1_000_000_000 < 0 ? 1 : 0)
    }
}
