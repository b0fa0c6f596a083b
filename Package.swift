// swift-tools-version: 6.1
// The root package depends on nothing outside the toolchain: the command, the benchmarks and the
// Swift example are packages of their own (CLI/, Benchmarks/, Examples/swift/), so that who links
// the library never resolves their dependencies.
import PackageDescription

let package = Package(
    name: "Admission",
    products: [
        .library(name: "Admission", targets: ["Admission"]),
        // Built with `make library`, which links it as libadmission.so.N: a product called
        // `admission` would collide with the command of that name.
        .library(name: "AdmissionC", type: .dynamic, targets: ["AdmissionC"]),
    ],
    targets: [
        .systemLibrary(name: "CCounter"),
        .systemLibrary(name: "CAdmission"),
        .target(name: "Admission", dependencies: ["CCounter"]),
        .target(name: "AdmissionC", dependencies: ["Admission", "CAdmission"]),
        .testTarget(
            name: "AdmissionTests",
            dependencies: ["Admission", "AdmissionC", "CAdmission", "CCounter"]),
    ],
    swiftLanguageModes: [.v6]
)
