import Glibc

/// Something that an operator should know.
public struct Event: Sendable, Hashable {
    /// What happened. More kinds come with later versions.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A document was put in force.
        case loaded
        /// A document that a caller asked for was refused; the one in force stays.
        case reloadRefused = "reload_refused"
        /// A stored calendar window lay ahead of time; it counts as the current one, full.
        case damagedWindow = "damaged_window"
        /// The limiter was closed.
        case closed
        /// Another process put another document in force: its limits count for this process too.
        case loadedElsewhere = "loaded_elsewhere"
        /// A process that held leases is gone; they were freed.
        case ownerDied = "owner_died"
        /// The store's file was deleted or replaced: nothing is decided until it is opened anew.
        case storeReplaced = "store_replaced"
        /// The store's file lies on a file system of which it is not known that it shares mappings.
        case fileSystemUnproven = "file_system_unproven"
        /// The policy file that is watched cannot be read, or holds a document that is not valid or that
        /// the store has no room for; the one in force stays.
        case policyBroken = "policy_broken"
        /// After `policyBroken`: the document in the file is the one in force again.
        case policyMended = "policy_mended"
        /// The system refuses the thread that renews leases: they run out. It is tried again with each
        /// lease and once a second.
        case heartbeatFailed = "heartbeat_failed"
        /// The store behind a connection does not answer; decisions follow `on_outage`.
        case storeLost = "store_lost"
        /// After `storeLost`: it answers again.
        case storeBack = "store_back"
        /// The store has lost counters; what follows is `on_loss`.
        case stateLost = "state_lost"
        /// The store's configuration puts counters at risk.
        case storeUnsafe = "store_unsafe"

        /// The number under which processes tell each other; never reused. 0: nobody else's matter.
        package var code: UInt8 {
            switch self {
            case .closed, .loadedElsewhere, .storeLost, .storeBack, .stateLost, .storeUnsafe: 0
            case .loaded: 1
            case .reloadRefused: 2
            case .damagedWindow: 3
            case .ownerDied: 4
            case .storeReplaced: 5
            case .fileSystemUnproven: 6
            case .policyBroken: 7
            case .policyMended: 8
            case .heartbeatFailed: 9
            }
        }

        /// Whether every process notes it for itself, so that nobody takes it over from others.
        var isEveryones: Bool { self == .storeReplaced || self == .fileSystemUnproven }

        /// The kind of a number that another process wrote.
        package init?(code: UInt8) {
            guard code != 0, let kind = Kind.allCases.first(where: { $0.code == code }) else {
                return nil
            }
            self = kind
        }
    }

    /// Number of the event in its limiter, from 1.
    public let sequence: UInt64
    /// What happened.
    public let kind: Kind
    /// When it was noted.
    public let instant: WallInstant
    /// The process that noted it: another one's where the store is shared.
    public let processID: Int32
    /// The same for a person.
    public let text: String

    /// The event as a JSON object.
    public var json: String {
        var writer = JSONWriter()
        write(&writer)
        return writer.text
    }

    package func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("sequence", sequence)
            writer.member("kind", kind.rawValue)
            writer.member("unix_ns", instant.unixNanoseconds)
            writer.member("pid", Int64(processID))
            writer.member("text", text)
        }
    }
}

/// The newest 256 events of a limiter: its own, and those that others noted on a shared store.
///
/// Numbers are given when events are asked for, in order of wall time among those that came since:
/// what another process noted is found later than what happened here, and a number that was given
/// out stays. So numbers rise with time but for what was found late.
struct EventRing: Sendable {
    private struct Unnumbered {
        var kind: Event.Kind
        var instant: Int64
        var processID: Int32
        var text: String
    }

    private static let bound = 256
    private var events: [Event] = []
    private var last: UInt64 = 0
    /// Own events since the last question.
    private var waiting: [Unnumbered] = []
    /// Own events that were dropped unseen.
    private var dropped: UInt64 = 0
    /// Numbers in the segment of own events, which are not taken over from there: as many as the
    /// segment keeps.
    private var ownSequences: [UInt64] = []
    /// The segment's event that was looked at last; those before the limiter are not its own.
    private var seen: UInt64 = 0
    /// Numbers in the segment up to there whose events were not whole yet; looked at again as long
    /// as the segment keeps them.
    private var missing: [UInt64] = []

    /// Begins behind what the segment tells of before.
    init(after seen: UInt64 = 0) { self.seen = seen }

    mutating func append(
        _ kind: Event.Kind, _ text: String, at instant: WallInstant, sequence: UInt64?
    ) {
        if waiting.count == Self.bound {
            waiting.removeFirst()
            dropped += 1
        }
        waiting.append(
            Unnumbered(
                kind: kind, instant: instant.unixNanoseconds, processID: getpid(), text: text))
        if let sequence { noteOwn(sequence) }
    }

    /// Leaves an event that this limiter told the others out of what they told it.
    mutating func noteOwn(_ sequence: UInt64) {
        if ownSequences.count == SegmentEvents.count { ownSequences.removeFirst() }
        ownSequences.append(sequence)
    }

    /// Takes over what others noted, and numbers what came since the last question.
    ///
    /// - Parameter segment: nil where it was given up: this limiter's own events alone.
    mutating func merge(_ segment: Segment?) {
        var new = segment.map { others($0) } ?? []
        // Behind what it may have been noted of.
        new += waiting
        waiting = []
        number(new)
    }

    private mutating func others(_ segment: Segment) -> [Unnumbered] {
        let ring = segment.events
        let numbers = missing + (ring.numbers(after: seen).map { Array($0) } ?? [])
        // A damaged count may be anything; never further back.
        seen = max(seen, ring.newest)
        missing = []
        var new: [Unnumbered] = []
        for number in numbers where !ownSequences.contains(number) {
            guard let event = ring.event(number) else {
                if number + UInt64(SegmentEvents.count) > seen { missing.append(number) }
                continue
            }
            guard let kind = Event.Kind(code: event.kind), !kind.isEveryones else { continue }
            new.append(
                Unnumbered(
                    kind: kind, instant: event.wallNanoseconds, processID: event.processID,
                    text: event.text))
        }
        return new
    }

    private mutating func number(_ new: [Unnumbered]) {
        // Stable, so that events of one instant stay in the order in which they were noted.
        let ordered = new.enumerated().sorted {
            ($0.element.instant, $0.offset) < ($1.element.instant, $1.offset)
        }
        last += dropped
        dropped = 0
        for (_, event) in ordered {
            last += 1
            events.append(
                Event(
                    sequence: last, kind: event.kind,
                    instant: WallInstant(unixNanoseconds: event.instant),
                    processID: event.processID, text: event.text))
        }
        events.removeFirst(max(0, events.count - Self.bound))
    }

    func after(_ sequence: UInt64) -> [Event] { events.filter { $0.sequence > sequence } }
}

extension LimiterCore {
    /// Notes an event for this limiter, and for every process on its store that it matters to.
    func report(_ kind: Event.Kind, _ text: String) {
        let (now, wallOffset) = times()
        let wall = WallInstant(unixNanoseconds: now &+ wallOffset)
        state.withLock { state in
            // Under the lock, so that nobody merges it as another's in between.
            let sequence =
                kind.code == 0 || store.segment.isGone.load(ordering: .relaxed)
                ? nil
                : store.segment.noteEvent(
                    kind: kind.code, wallNanoseconds: wall.unixNanoseconds, text: text)
            state.events.append(kind, text, at: wall, sequence: sequence)
        }
    }

    func events(after sequence: UInt64) -> [Event] {
        beatIfDue()
        reportRemoteNotes()
        guard checkFile() else {
            return state.withLock { state in
                state.events.merge(nil)
                return state.events.after(sequence)
            }
        }
        reportDamages()
        reportHeartbeat()
        reportDeaths()
        noticeLoads()
        return state.withLock { state in
            state.events.merge(store.segment)
            return state.events.after(sequence)
        }
    }

    /// Turns damages that decisions counted into events.
    private func reportDamages() {
        let (notes, reported) = state.withLock { ($0.loaded.limits.notes, $0.reportedDamages) }
        let total = notes.joined().reduce(0 as UInt64) {
            $0 &+ $1.damages.value.load(ordering: .relaxed)
        }
        guard total > reported else { return }
        state.withLock { $0.reportedDamages = total }
        report(
            .damagedWindow,
            "\(total - reported) calendar windows lay ahead of time and count as full now")
    }
}
