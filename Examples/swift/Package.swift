// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "LiveExample",
    dependencies: [.package(name: "Admission", path: "../..")],
    targets: [.executableTarget(name: "LiveExample", dependencies: ["Admission"])],
    swiftLanguageModes: [.v6]
)
