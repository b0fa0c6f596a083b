/// What an owner tells the others, and who inspects, of the policy file that it watches.
///
/// `incarnation:24 | 0 | 1 while broken:1`. Only what bears the entry's incarnation counts, so that
/// whoever takes an entry over need not clear it. The owner says it again with each beat, so that a
/// word that one who was held up wrote over it comes back.
extension Segment {
    private static let policyState = 40

    /// Notes whether the document in an owner's policy file is refused. Wait-free.
    func notePolicy(of owner: LeaseOwner, isBroken: Bool) {
        guard owner.owns(word(owner.entry).load()) else { return }
        let state = ownerWord(owner.number, Self.policyState)
        let seen = state.load()
        let incarnation = owner.word >> 20
        if !isBroken, seen >> 40 != incarnation { return }
        let new = incarnation << 40 | (isBroken ? 1 : 0)
        if seen != new { _ = state.swap(seen, new) }
    }

    /// Whether an owner said so last.
    func isPolicyBroken(_ owner: OwnerEntry) -> Bool {
        ownerWord(owner.number, Self.policyState).load() == owner.incarnation << 40 | 1
    }
}
