import ArgumentParser
import Foundation

/// `--watch [seconds]`.
struct WatchInterval: ExpressibleByArgument, CustomStringConvertible {
    let nanoseconds: Int

    static let usual = WatchInterval(nanoseconds: 1_000_000_000)

    private init(nanoseconds: Int) { self.nanoseconds = nanoseconds }

    init?(argument: String) {
        guard let seconds = Double(argument), (0.1...86_400).contains(seconds) else { return nil }
        nanoseconds = Int(seconds * 1_000_000_000)
    }

    var description: String { "\(Double(nanoseconds) / 1_000_000_000)" }

    /// Arguments in which a `--watch` that no number follows has its usual one: what follows it may
    /// be the file.
    static func completing(_ arguments: [String]) -> [String] {
        arguments.indices.map { index in
            guard arguments[index] == "--watch", index + 1 < arguments.count,
                Double(arguments[index + 1]) == nil,
                !arguments[..<index].contains("--")
            else { return arguments[index] }
            return "--watch=\(usual)"
        }
    }
}

/// Shows a text again and again, until the user ends it.
///
/// On a terminal it has a screen of its own, as a pager has; what stood there before comes back,
/// however it ends. The signals that end, stop or resize it are waited for in place of sleeping, so
/// that none comes in the middle of a page.
struct Watch {
    private let interval: WatchInterval
    /// Draws pages on a terminal; else each text is a line.
    private let isPage: Bool
    private var signals = sigset_t()

    /// Holds the signals back from now on. Before anything that may start a thread, which would take
    /// them.
    init(interval: WatchInterval, isPage: Bool) {
        self.interval = interval
        self.isPage = isPage
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        if isPage {
            for signal in [SIGTSTP, SIGWINCH] { sigaddset(&signals, signal) }
        }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Runs until a signal: returns after Ctrl-C, ends the process with any other.
    func run(_ first: String, then next: () -> String) {
        var page = first
        if isPage { Self.write(Screen.enter) }
        while true {
            Self.write(isPage ? Screen.drawn(page) : page + "\n")
            switch wait() {
            case SIGWINCH: continue
            case SIGTSTP:
                Self.write(Screen.leave)
                // Not one that can be held back: goes on from here.
                raise(SIGSTOP)
                Self.write(Screen.enter)
            case SIGINT:
                if isPage { Self.write(Screen.leave) }
                return
            case let signal?:
                if isPage { Self.write(Screen.leave) }
                var signals = signals
                pthread_sigmask(SIG_UNBLOCK, &signals, nil)
                raise(signal)
                return
            case nil: break
            }
            page = next()
        }
    }

    /// Waits for a signal; nil: none came in time.
    private func wait() -> Int32? {
        var signals = signals
        var time = timespec(
            tv_sec: interval.nanoseconds / 1_000_000_000,
            tv_nsec: interval.nanoseconds % 1_000_000_000)
        let signal = sigtimedwait(&signals, nil, &time)
        return signal > 0 ? signal : nil
    }

    /// Writes all of a text to standard output at once; gives up where nobody reads it.
    private static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count)
            }
            guard count > 0 else {
                if errno == EINTR { continue }
                return
            }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// What a terminal is told to show pages: ECMA-48, and xterm's private modes that all others know.
private enum Screen {
    /// Another screen, no cursor, no line that goes on in the next.
    static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

    /// A page over the one before, cut at the terminal's last line.
    static func drawn(_ page: String) -> String {
        var lines = page.split(separator: "\n", omittingEmptySubsequences: false)
        let rows = Terminal.rows
        if lines.count > rows {
            let missing = lines.count - rows + 1
            lines.removeLast(missing)
            lines.append("… \(missing) more lines")
        }
        return "\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J"
    }
}
