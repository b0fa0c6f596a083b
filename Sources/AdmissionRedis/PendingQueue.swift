/// Commands in the order in which their replies come.
struct PendingQueue {
    private var entries: [PendingReply] = []
    private var start = 0

    var isEmpty: Bool { start == entries.count }
    var count: Int { entries.count - start }
    var first: PendingReply? { isEmpty ? nil : entries[start] }

    mutating func append(_ pending: PendingReply) { entries.append(pending) }

    mutating func popFirst() -> PendingReply? {
        guard start < entries.count else { return nil }
        defer {
            start += 1
            // Half of it is of the past: moving the rest costs no more than that half did.
            if start == entries.count || start >= 1_024 && start * 2 >= entries.count {
                entries.removeFirst(start)
                start = 0
            }
        }
        return entries[start]
    }

    func last(where isWanted: (PendingReply) -> Bool) -> PendingReply? {
        entries[start...].last(where: isWanted)
    }
}
