import Testing

@Suite("Layers")
struct LayerTests {
    private static let sources = Checkout.librarySources

    @Test("every file of the library lies in a layer's folder")
    func foldersAreLayers() {
        let strays = Self.sources.filter {
            $0.path.hasPrefix("Sources/Admission/") && $0.layer == nil
        }
        #expect(strays.map(\.path) == [])
        #expect(Self.sources.contains { $0.layer == .time })
    }

    @Test("no layer names a type of a layer above or beside it")
    func layersLookDown() {
        let map = LayerMap(Self.sources.filter { $0.layer != nil })
        #expect(map.types.count > 10)
        let violations = map.violations { file, owner in file.layer?.mayName(owner) ?? true }
        #expect(violations == [])
    }

    @Test("the C boundary names no algorithm and no store")
    func boundaryStaysThin() {
        let map = LayerMap(Self.sources.filter { $0.layer != nil })
        let boundary = Self.sources.filter { $0.path.hasPrefix("Sources/AdmissionC/") }
        let violations = map.violations(in: boundary) { _, owner in
            ![.algorithms, .store, .queue, .feedback, .simulation].contains(owner)
        }
        #expect(violations == [])
    }

    @Test("a name above or beside is found: planted violations")
    func plantedViolationsAreFound() {
        let files = [
            CheckoutFile(path: "Sources/Admission/Time/Tick.swift", text: "struct Tick {}"),
            CheckoutFile(
                path: "Sources/Admission/Policy/Rule.swift",
                text: """
                    // Shelf in a comment, and "Shelf" in a string, name nothing.
                    package struct Rule {
                        let tick: Tick
                        let text = "Shelf"
                        let shelf: Shelf
                        let member = Other.Shelf.self
                    }
                    """),
            CheckoutFile(
                path: "Sources/Admission/Store/Segment/Shelf.swift",
                text: "struct Shelf { let text = \"\\(Door())\" }"),
            CheckoutFile(
                path: "Sources/Admission/Limiter/Door.swift",
                text: "public final class Door { let rule: Rule; let shelf: Admission.Shelf }"),
        ]
        let violations = LayerMap(files).violations { file, owner in
            file.layer?.mayName(owner) ?? true
        }
        #expect(
            violations.map(\.description) == [
                "Sources/Admission/Policy/Rule.swift:5 names Shelf of Store",
                "Sources/Admission/Store/Segment/Shelf.swift:1 names Door of Limiter",
            ])
    }

    @Test("peers of layer 3 never see each other, and time sees nobody")
    func rules() {
        let peers: [Layer] = [.policy, .store, .queue, .feedback]
        for peer in peers {
            for other in peers { #expect(peer.mayName(other) == (peer == other)) }
            #expect(Layer.limiter.mayName(peer))
            #expect(!peer.mayName(.limiter))
        }
        #expect(Layer.allCases.filter { Layer.time.mayName($0) } == [.time])
        #expect(Layer.allCases.allSatisfy { Layer.simulation.mayName($0) })
    }
}
