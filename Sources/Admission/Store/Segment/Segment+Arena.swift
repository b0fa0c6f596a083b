extension Segment {
    func contains(_ offset: Int, _ bytes: Int) -> Bool {
        offset >= arenaStart && offset & 15 == 0 && bytes <= size && offset <= size - bytes
    }
    func corrupted(_ what: String) -> StoreError { .corrupted(path: path ?? "memory:", what: what) }
}
