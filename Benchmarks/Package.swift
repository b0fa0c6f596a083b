// swift-tools-version: 6.1
// A package of its own: who links the library never builds the benchmarks. `Benchmarks/run` builds
// and runs it beside the C, Go and Python rows.
import PackageDescription

let package = Package(
    name: "AdmissionBenchmarks",
    dependencies: [.package(name: "Admission", path: "..")],
    targets: [
        .executableTarget(
            name: "AdmissionBench",
            dependencies: [.product(name: "Admission", package: "Admission")])
    ],
    swiftLanguageModes: [.v6]
)
