/// The one place where a document's rules ask the time-zone database.
enum ZoneNames {
    /// Why there is no zone of that name, to follow the quoted name, with the path that was tried;
    /// nil where there is one.
    static func fault(_ name: String) -> String? {
        do {
            _ = try Zone(named: name)
            return nil
        } catch {
            let place = error.path.isEmpty ? "" : "\(error.path): "
            return "is not in the time-zone database (\(place)\(error.reason))"
        }
    }
}
