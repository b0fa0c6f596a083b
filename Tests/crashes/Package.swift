// swift-tools-version: 6.1
// Built with `-Xswiftc -DADMISSION_CRASH_POINTS` by scripts/test-crashes, in a folder of its own.
import PackageDescription

let package = Package(
    name: "Crashes",
    dependencies: [.package(name: "Admission", path: "../..")],
    targets: [.executableTarget(name: "Crashes", dependencies: ["Admission"])],
    swiftLanguageModes: [.v5]
)
