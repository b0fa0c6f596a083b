import Glibc

/// Misuse, a broken store or a broken document: what is thrown at the front door.
///
/// A rejection is not an error: it is a value of `Decision`. The codes are an open set: keep a
/// default where you switch. Their numbers are those of `admission_status` in C.
public struct LimiterError: Error, Sendable, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The number in C.
        package let status: Int32
        /// The name, as C and Python spell it.
        public let name: String

        private init(_ status: Int32, _ name: String) {
            self.status = status
            self.name = name
        }

        public var description: String { name }

        /// An argument is outside what is accepted.
        public static let invalidArgument = Code(100, "invalid_argument")
        /// The limiter was closed.
        public static let closed = Code(104, "closed")
        /// What was asked for comes with a later version.
        public static let notSupported = Code(106, "not_supported")
        /// A policy document breaks a rule; the message tells where.
        public static let invalidPolicy = Code(200, "invalid_policy")
        /// A policy file cannot be read.
        public static let policyUnreadable = Code(201, "policy_unreadable")
        /// A time zone is not in the time-zone database, or the database is missing.
        public static let zoneUnavailable = Code(202, "zone_unavailable")
        /// A policy applies whose `per` names an attribute that was not given.
        public static let missingAttribute = Code(300, "missing_attribute")
        /// An attribute was given twice.
        public static let duplicateAttribute = Code(301, "duplicate_attribute")
        /// An attribute's name is empty.
        public static let invalidAttribute = Code(302, "invalid_attribute")
        /// A cost below 0.
        public static let negativeCost = Code(303, "negative_cost")
        /// A usage below 0 (in C: below -1).
        public static let negativeUsage = Code(304, "negative_usage")
        /// `tryCharge` on a gate with a concurrency limit: only a permit gives its slot back.
        public static let concurrencyNeedsPermit = Code(305, "concurrency_needs_permit")
        /// More limits apply to one gate than a decision takes (256).
        public static let tooManyLimits = Code(306, "too_many_limits")
        /// The permit was ended before.
        public static let alreadyCompleted = Code(400, "already_completed")
        /// The permit belongs to another process.
        public static let notOwner = Code(401, "not_owner")
        /// The permit's lease ran out; usage was settled, the slot was not touched.
        public static let leaseExpired = Code(402, "lease_expired")
        /// As many permits are open as the limiter was opened for.
        public static let permitTableFull = Code(500, "permit_table_full")
        /// As many keys live as the limiter was opened for, none of them idle.
        public static let keyTableFull = Code(501, "key_table_full")
        /// The system gave no memory.
        public static let outOfMemory = Code(502, "out_of_memory")
        /// A store URL that this version does not know.
        public static let unsupportedStore = Code(600, "unsupported_store")
        /// The store's file could not be opened, made or extended, or its server gave no answer; the message
        /// tells why.
        public static let storeUnavailable = Code(601, "store_unavailable")
        /// The store's file is not one of this library's.
        public static let storeForeign = Code(602, "store_foreign")
        /// The store's file has a layout that this version does not know.
        public static let storeVersion = Code(603, "store_version")
        /// The store's file holds what no version of this library writes.
        public static let storeCorrupted = Code(604, "store_corrupted")
        /// The file system has no room for more of the store.
        public static let storeFull = Code(605, "store_full")
        /// The store's file may not be read and written by this user.
        public static let storeNotPermitted = Code(606, "store_not_permitted")
        /// The store's file lies on a network file system.
        public static let networkFileSystem = Code(607, "network_file_system")
        /// The store was made in another time namespace of the kernel.
        public static let otherTimeNamespace = Code(608, "other_time_namespace")
        /// The store runs on a manual clock and the limiter on the system's, or the reverse.
        public static let clockMismatch = Code(609, "clock_mismatch")
        /// The store's file was deleted or replaced while it was in use.
        public static let storeReplaced = Code(610, "store_replaced")
        /// As many processes hold leases as the store has room for.
        public static let ownerTableFull = Code(611, "owner_table_full")
        /// A reset that was not forced, of a store that live processes use.
        public static let storeInUse = Code(612, "store_in_use")
        /// `advance` or `setTime` on a limiter that runs on the system's clock.
        public static let notManualClock = Code(700, "not_manual_clock")
        /// `advance` by less than 0.
        public static let clockBackwards = Code(701, "clock_backwards")
        /// A handle or permit number that was never given out.
        static let invalidHandle = Code(103, "invalid_handle")
        /// A defect of this library.
        public static let internalError = Code(900, "internal")

        /// The code of a status number.
        package static func code(status: Int32) -> Code {
            all.first { $0.status == status } ?? internalError
        }

        private static let all: [Code] = [
            invalidArgument, closed, notSupported, invalidPolicy, policyUnreadable,
            zoneUnavailable, missingAttribute, duplicateAttribute, invalidAttribute, negativeCost,
            negativeUsage, concurrencyNeedsPermit, tooManyLimits, alreadyCompleted, notOwner,
            leaseExpired, permitTableFull, keyTableFull, outOfMemory, unsupportedStore,
            storeUnavailable,
            storeForeign, storeVersion, storeCorrupted, storeFull, storeNotPermitted,
            networkFileSystem, otherTimeNamespace, clockMismatch, storeReplaced, ownerTableFull,
            storeInUse, notManualClock, clockBackwards, invalidHandle, internalError,
        ]
    }

    /// What went wrong.
    public let code: Code
    /// The same for a person, with the numbers in it.
    public let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { "\(code.name): \(message)" }
}

extension LimiterError {
    init(_ error: PolicyError) {
        switch error.kind {
        case .unreadable: self.init(.policyUnreadable, error.description)
        case .zone: self.init(.zoneUnavailable, error.description)
        default: self.init(.invalidPolicy, error.description)
        }
    }

    package init(_ error: StoreError) {
        switch error {
        case .outOfMemory(let bytes, let number):
            self.init(.outOfMemory, "no memory for \(bytes) bytes: errno \(number)")
        case .keyTableFull(let keys, let capacity):
            self.init(.keyTableFull, "\(keys) keys live, none idle; capacity \(capacity)")
        case .arenaFull(let needed, let size):
            self.init(
                .keyTableFull, "no room for a record of \(needed) bytes in a segment of \(size)")
        default: self.init(fileFault: error)
        }
    }

    /// What only a segment in a file meets.
    private init(fileFault error: StoreError) {
        switch error {
        case .unavailable(let path, let operation, let number):
            self.init(.storeUnavailable, "\(path): cannot \(operation): \(Self.text(number))")
        case .foreign(let path, let found):
            self.init(.storeForeign, "\(path) is not a store of this library: \(found)")
        case .wrongVersion(let path, let found, let known):
            self.init(
                .storeVersion, "\(path) has layout \(found); this version knows layout \(known)")
        case .corrupted(let path, let what):
            self.init(.storeCorrupted, "\(path) is corrupted: \(what)")
        case .diskFull(let path, let needed):
            self.init(.storeFull, "\(path): no room on its file system for \(needed) bytes more")
        case .notPermitted(let path, let operation, let number):
            self.init(.storeNotPermitted, "\(path): may not \(operation): \(Self.text(number))")
        case .networkFileSystem(let path, let name):
            self.init(
                .networkFileSystem,
                "\(path) lies on \(name); a store needs a file system of this host")
        case .otherTimeNamespace(let path, let found, let own):
            self.init(
                .otherTimeNamespace,
                "\(path) is used in time namespace \(found), this process is in \(own)")
        case .clockMismatch(let path, let isManual):
            let (kept, asked) =
                isManual ? ("a manual", "the system's") : ("the system's", "a manual")
            self.init(
                .clockMismatch, "\(path) runs on \(kept) clock, the limiter asks for \(asked) one")
        case .replaced(let path):
            self.init(
                .storeReplaced, "\(path) was deleted or replaced; open the limiter anew")
        case .ownerTableFull(let owners):
            self.init(.ownerTableFull, "\(owners) processes use the store, as many as fit")
        case .refused(let url, let isFull, let reason):
            self.init(isFull ? .storeFull : .storeUnavailable, "\(url): \(reason)")
        case .denied(let url, let reason):
            self.init(.storeNotPermitted, "\(url): \(reason)")
        case .invalidURL(let url, let reason):
            self.init(.unsupportedStore, "store \"\(url)\": \(reason)")
        case .outOfMemory, .keyTableFull, .arenaFull:
            self.init(.internalError, "\(error)")
        }
    }

    /// The system's words for an error number.
    private static func text(_ number: Int32) -> String {
        "\(String(cString: strerror(number))) (errno \(number))"
    }

    init(_ fault: SegmentStore.PlanFault) {
        switch fault {
        case .store(let error): self.init(error)
        case .zone(let error): self.init(.zoneUnavailable, error.description)
        case .tooManyLimits(let count):
            self.init(
                .tooManyLimits,
                "\(count) limits apply to one gate; at most \(ChargePlan.maximumSteps)")
        }
    }

    init(_ fault: PolicyTable.Fault) {
        switch fault {
        case .missing(let attribute, let policy):
            self.init(
                .missingAttribute,
                "policy \(policy) applies and counts per \(attribute), which was not given")
        case .duplicate(let attribute):
            self.init(.duplicateAttribute, "attribute \(attribute) was given twice")
        case .emptyName: self.init(.invalidAttribute, "an attribute's name is empty")
        }
    }
}
