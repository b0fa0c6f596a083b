// swift-tools-version: 6.1
// The command and the YAML reader, apart from the library so that who links the library never
// resolves argument-parser and Yams.
import PackageDescription

let package = Package(
    name: "AdmissionCLI",
    products: [
        .executable(name: "admission", targets: ["AdmissionCommand"]),
        .library(name: "AdmissionYAML", targets: ["AdmissionYAML"]),
    ],
    dependencies: [
        .package(name: "Admission", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "AdmissionYAML", dependencies: ["Admission", "Yams"]),
        .executableTarget(
            name: "AdmissionCommand",
            dependencies: [
                "Admission", "AdmissionYAML",
                .product(name: "AdmissionRedis", package: "Admission"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
