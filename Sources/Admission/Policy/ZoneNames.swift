import Glibc

/// The one place where a document's rules ask the time-zone database.
enum ZoneNames {
    /// Why there is no zone of that name, to follow the quoted name; nil where there is.
    static func fault(_ name: String) -> String? {
        if name == "UTC" { return nil }
        guard !name.contains(".."), name.utf8.first != UInt8(ascii: "/"),
            access("/usr/share/zoneinfo/\(name)", R_OK) == 0
        else { return "is not in the time-zone database" }
        return nil
    }
}
