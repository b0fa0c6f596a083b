/// Something that an operator should know.
public struct Event: Sendable, Hashable {
    /// What happened. More kinds come with later versions.
    public enum Kind: String, Sendable, Hashable {
        /// A document was put in force.
        case loaded
        /// A document was refused; the one in force stays.
        case reloadRefused = "reload_refused"
        /// A stored calendar window lay ahead of time; it counts as the current one, full.
        case damagedWindow = "damaged_window"
        /// A process died while leases may have been its own; they came back.
        case ownerDied = "owner_died"
        /// The store's file was deleted or replaced; every decision fails until the limiter is opened anew.
        case storeReplaced = "store_replaced"
        /// The store's file lies on a file system on which nobody has tried one.
        case fileSystemUnproven = "file_system_unproven"
        /// The limiter was closed.
        case closed
    }

    /// Number of the event in its limiter, from 1.
    public let sequence: UInt64
    /// What happened.
    public let kind: Kind
    /// When it was noted.
    public let instant: WallInstant
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
            writer.member("text", text)
        }
    }
}

/// The newest 256 events.
struct EventRing: Sendable {
    private static let bound = 256
    private var events: [Event] = []
    private var last: UInt64 = 0

    mutating func append(_ kind: Event.Kind, _ text: String, at instant: WallInstant) {
        last += 1
        if events.count == Self.bound { events.removeFirst() }
        events.append(Event(sequence: last, kind: kind, instant: instant, text: text))
    }

    func after(_ sequence: UInt64) -> [Event] { events.filter { $0.sequence > sequence } }
}

extension LimiterCore {
    func report(_ kind: Event.Kind, _ text: String) {
        let wall = WallInstant(
            unixNanoseconds: store.clock.now() &+ store.clock.wallOffset())
        state.withLock { $0.events.append(kind, text, at: wall) }
    }

    func events(after sequence: UInt64) -> [Event] {
        reportDamages()
        reportDeaths()
        return state.withLock { $0.events.after(sequence) }
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
