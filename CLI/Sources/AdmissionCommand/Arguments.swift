import Admission
import ArgumentParser

/// `--attribute name=value`.
struct AttributeArgument: ExpressibleByArgument {
    let attribute: Attribute

    init?(argument: String) {
        guard let separator = argument.firstIndex(of: "="), separator > argument.startIndex else {
            return nil
        }
        attribute = Attribute(
            String(argument[..<separator]), String(argument[argument.index(after: separator)...]))
    }
}

/// `--count name=amount`.
struct CountArgument: ExpressibleByArgument {
    let amount: CountAmount

    init?(argument: String) {
        guard let separator = argument.firstIndex(of: "="), separator > argument.startIndex,
            let number = Int64(argument[argument.index(after: separator)...])
        else { return nil }
        amount = CountAmount(Count(String(argument[..<separator])), number)
    }
}

/// The attributes that commands take.
struct AttributeOptions: ParsableArguments {
    @Option(
        name: [.customLong("attribute"), .customShort("a")],
        help: ArgumentHelp(
            "What a call says about itself; may be repeated.", valueName: "name=value"))
    var arguments: [AttributeArgument] = []

    var attributes: [Attribute] { arguments.map(\.attribute) }

    func validate() throws {
        for (index, argument) in arguments.enumerated()
        where arguments[..<index].contains(where: { $0.attribute.name == argument.attribute.name })
        {
            throw ValidationError("the attribute \(argument.attribute.name) is given twice")
        }
    }
}
