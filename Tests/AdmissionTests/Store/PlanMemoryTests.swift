import Testing

@testable import Admission

/// Where plans lie, and what a plan keeps behind its steps.
@Suite struct PlanMemoryTests {
    @Test("memory is zeroed and begins on a line, also where a plan was before")
    func zeroed() throws {
        let memory = PlanMemory()
        for bytes in [1, 64, 65, 448, 4_096, 4_097, 60_000] {
            let first = try #require(memory.allocate(bytes: bytes))
            #expect(UInt(bitPattern: first) % 64 == 0, "\(bytes) bytes")
            (first + bytes - 1).storeBytes(of: 0xff, as: UInt8.self)
            first.storeBytes(of: 0xff, as: UInt8.self)
            memory.free(first, bytes: bytes)
            let second = try #require(memory.allocate(bytes: bytes))
            if bytes <= 4_096 { #expect(first == second, "\(bytes) bytes") }
            let isZero = UnsafeRawBufferPointer(start: second, count: bytes).allSatisfy { $0 == 0 }
            #expect(isZero, "\(bytes) bytes")
            memory.free(second, bytes: bytes)
        }
    }

    @Test("plans of one size and of several chunks do not overlap")
    func apart() throws {
        let memory = PlanMemory()
        let places = try (0..<6_000).map { _ in
            let place: UnsafeMutableRawPointer = try #require(memory.allocate(bytes: 400))
            return UInt(bitPattern: place)
        }.sorted()
        for (left, right) in zip(places, places.dropFirst()) { #expect(right - left >= 448) }
    }

    @Test("chunks go back to the system when their plans do, in whatever order")
    func goesBack() throws {
        let memory = PlanMemory()
        var places: [UnsafeMutableRawPointer] = []
        for _ in 0..<20_000 { places.append(try #require(memory.allocate(bytes: 400))) }
        let most = memory.mappedBytes
        #expect(most >= 20_000 * 448 && most < 20_000 * 500)
        var numbers = SeededNumbers(seed: 7)
        // Half of them in any order, as many anew, then all.
        for _ in 0..<10_000 {
            let index = Int(numbers.number(0...Int64(places.count - 1)))
            places.swapAt(index, places.count - 1)
            memory.free(places.removeLast(), bytes: 400)
        }
        for _ in 0..<10_000 { places.append(try #require(memory.allocate(bytes: 400))) }
        #expect(Set(places.map { UInt(bitPattern: $0) }).count == 20_000)
        #expect(memory.mappedBytes <= most + 1 << 20)
        for place in places { memory.free(place, bytes: 400) }
        #expect(memory.mappedBytes == 1 << 20)
    }

    @Test(
        "a gate keeps its attributes, and its next plan is made of them"
    )
    func attributes() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "per": ["who"], "limits": [
                {"name": "a", "count": "requests", "rate": "10/s", "burst": 10}]}]}
                """, options: Limiter.Options(store: "memory:"))
        let long = String(repeating: "ü", count: 100)
        for attributes in [
            [Attribute("who", "")], [Attribute("who", "acme"), Attribute("other", "")],
            [Attribute("ключ", "значение"), Attribute("who", long)],
        ] {
            let gate = try limiter.gate(attributes)
            #expect(gate.storage.attributes == attributes)
            _ = try gate.tryCharge()
            try limiter.reload(
                policyJSON: """
                    {"admission": 1, "policies": [{"name": "p", "per": ["who"], "limits": [
                    {"name": "a", "count": "requests", "rate": "10/s", "burst": 10}]}]}
                    """)
            _ = try gate.tryCharge()
            #expect(gate.storage.attributes == attributes)
            let key = try #require(try gate.explain().limits.first?.key)
            let who = attributes.first { $0.name == "who" }?.value ?? "?"
            #expect(key.contains(Attribute("who", who)))
        }
    }

    @Test("a gate without attributes and without limits has an empty plan")
    func empty() throws {
        let limiter = try Limiter(
            policyJSON: """
                {"admission": 1, "policies": [{"name": "p", "match": {"model": "m"}, "limits": [
                {"name": "a", "count": "requests", "rate": "10/s", "burst": 10}]}]}
                """,
            options: Limiter.Options(store: "memory:"))
        #expect(try limiter.gate([]).storage.attributes.isEmpty)
    }
}
