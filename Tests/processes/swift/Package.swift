// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "ProcessWorker",
    dependencies: [.package(name: "Admission", path: "../../..")],
    targets: [
        .executableTarget(
            name: "ProcessWorker",
            dependencies: [
                "Admission", .product(name: "AdmissionRedis", package: "Admission"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
