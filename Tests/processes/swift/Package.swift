// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "ProcessWorker",
    dependencies: [.package(name: "Admission", path: "../../..")],
    targets: [.executableTarget(name: "ProcessWorker", dependencies: ["Admission"])],
    swiftLanguageModes: [.v6]
)
