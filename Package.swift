// swift-tools-version: 6.1
// The root package depends on nothing outside the toolchain but hiredis, and on that only with the
// trait `Redis`: the command, the benchmarks and the Swift example are packages of their own (CLI/,
// Benchmarks/, Examples/swift/), so that who links the library never resolves their dependencies.
import PackageDescription

// The thread sanitizer's build has the races and what they stand on alone (scripts/test-tsan).
let withoutRaces =
    Context.environment["ADMISSION_ONLY_RACES"] == nil
    ? []
    : [
        "Algorithms", "Architecture", "Limiter", "Policy", "Review", "Scenarios", "Simulation",
        "Store",
        "Time", "Vocabulary",
    ]

let package = Package(
    name: "Admission",
    products: [
        .library(name: "Admission", targets: ["Admission"]),
        // Stores at `redis` URLs.
        .library(name: "AdmissionRedis", targets: ["AdmissionRedis"]),
        // Built with `make library`, which links it as libadmission.so.N: a product called
        // `admission` would collide with the command of that name.
        .library(name: "AdmissionC", type: .dynamic, targets: ["AdmissionC"]),
    ],
    traits: [
        .trait(name: "Redis", description: "Stores on Redis and Valkey, through hiredis."),
        .default(enabledTraits: ["Redis"]),
    ],
    targets: [
        .systemLibrary(name: "CCounter"),
        .systemLibrary(name: "CAdmission"),
        .systemLibrary(name: "CHiredis"),
        .target(name: "Admission", dependencies: ["CCounter"]),
        .target(
            name: "AdmissionRedis",
            dependencies: [
                "Admission", "CCounter",
                .target(name: "CHiredis", condition: .when(traits: ["Redis"])),
            ],
            resources: [.embedInCode("Scripts")]),
        .target(
            name: "AdmissionC",
            dependencies: [
                "Admission", "CAdmission",
                .target(name: "AdmissionRedis", condition: .when(traits: ["Redis"])),
            ]),
        .testTarget(
            name: "AdmissionTests",
            dependencies: ["Admission", "AdmissionC", "AdmissionRedis", "CAdmission", "CCounter"],
            exclude: withoutRaces),
    ],
    swiftLanguageModes: [.v6]
)
