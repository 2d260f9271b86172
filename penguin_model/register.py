"""Makes the card of a network that Keras saved: ``python -m penguin_model.register``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penguin_model import assignments, cli, command_line, describe, terminal
from penguin_model.card import Category, ModelCard
from penguin_model.formatting import listed
from penguin_model.terminal import printable

if TYPE_CHECKING:
    from penguin_model.training.registration import Registered, Registration

PROGRAM = "penguin-register"


def report(given: Registration, found: Registered) -> Iterator[str]:
    """What was registered, as lines for people."""
    from penguin_model.training import table

    card = found.card
    rows, complete = found.rows
    yield f"{printable(given.data)}: {rows} rows, {complete} complete"
    yield ""
    how = "in the order given" if given.features else "the columns of numbers, in the table's order"
    yield f"Features: {how}"
    yield from feature_lines(card)
    yield (
        f"  Plausible is what --ranges says, otherwise the range of the data, widened by "
        f"{100 * table.MARGIN:g} % of its width on each side, but not below 0 if no value is. "
        "Other rows are rejected."
    )
    how = "in the order given" if given.classes else "sorted, which must be the network's order"
    yield f"Classes: {how}"
    yield f"  {printable(listed(card.classes))}"
    yield ""
    yield from _measured(given, found)
    yield from found.notes
    yield ""
    yield "Written"
    for path in found.files:
        yield f"  {printable(path)}"
    yield ""
    column = printable(card.prediction_column)
    yield f"Predictions have the class in the column {column}. Score files with"
    model = shlex.quote(printable(given.target))
    yield f"  penguin-score --model {model} --input 'data/*' --output out"


def feature_lines(card: ModelCard) -> Iterator[str]:
    """The features as a table: what files have, and what the network gets."""
    yield from describe.table(
        ("name", "plausible", "network gets"),
        [
            (each.name, listed(each.categories), each.meaning)
            if isinstance(each, Category)
            else (each.name, each.plausible, each.meaning)
            for each in card.features
        ],
        left=3,
    )


def _measured(given: Registration, found: Registered) -> Iterator[str]:
    card = found.card
    accuracy, rows = card.metrics["accuracy"], card.metrics["test_rows"]
    yield (
        f"Measured on {printable(given.held_out or given.data)}: {100 * accuracy:.2f} % of {rows} "
        f"rows right, log-loss {card.metrics['log_loss']:.4f} nats"
    )
    yield from describe.confusion_lines(card.metrics, "class")
    if given.held_out is None:
        yield (
            "Note: if the network was trained on these rows, it looks better than it is; give rows "
            "that it wasn't trained on with --held_out"
        )
    if card.trust is None:
        yield (
            "Note: the card has no novelty and no prediction sets, because the covariances of so "
            "many features would make it too large to read"
        )
    if accuracy < found.share:
        yield (
            f"Note: always answering the commonest class would be right for "
            f"{100 * found.share:.2f} %. Likely causes are another order of features or classes, "
            "or values that the network got scaled: see --features, --classes, --scales"
        )
    if found.order:
        order, share = found.order
        quoted = shlex.quote(printable(assignments.join(order)))
        yield f"Note: with --classes {quoted}, {100 * share:.2f} % would be right"


def build_parser() -> command_line.ArgumentParser:
    """Builds the command's flags."""
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Makes the card of a network that Keras saved, by a table of labelled rows, "
        "and writes it beside the model, which stays as it is. The network must take one matrix, a "
        "row of numbers for each observation, and answer the classes' probabilities.",
        examples=[
            f"{PROGRAM} iris.keras --data iris.csv --label species",
            f"{PROGRAM} iris.keras --data train.csv --held_out test.csv --label species "
            "--features sepal_length,petal_length --units sepal_length=cm,petal_length=cm",
            f"{PROGRAM} net.h5 --data birds.csv --label species --features island,mass "
            "--vocabulary island=Biscoe,Dream,Torgersen --scales mass=100 --logits",
        ],
        exit_codes=cli.EXIT_CODES | {2: "bad arguments, model or data: nothing is written"},
    )
    parser.add_argument("model", metavar="MODEL", help="the model file, .keras or .h5")
    parser.add_argument(
        "--data", required=True, help="labelled rows, CSV or Parquet: plausible ranges, references "
        "for drift and novelty come from them",
    )  # fmt: skip
    parser.add_argument("--label", required=True, help="the column of the classes")
    parser.add_argument(
        "--held_out", help="labelled rows that the network wasn't trained on: accuracy, "
        "calibration and prediction sets come from them (default: from --data)",
    )  # fmt: skip
    order = parser.add_argument_group("what the network takes and answers, in its order")
    order.add_argument(
        "--features", metavar="A,B,C", help="the columns (default: those of numbers, in the "
        "table's order)",
    )  # fmt: skip
    order.add_argument(
        "--classes", metavar="A,B,C", help="the classes (default: the labels, sorted)"
    )
    order.add_argument(
        "--logits", action="store_true", help="the network ends in logits: write it again with "
        "softmax or sigmoid at its end, as MODEL.probabilities.keras (without MODEL's suffix), "
        "and register that",
    )  # fmt: skip
    group = parser.add_argument_group("what the features are")
    for flag, values, meaning in (
        ("units", "A=UNIT,B=UNIT", "units, for people"),
        ("scales", "A=10", "the network gets a value divided by its scale (default: 1)"),
        ("offsets", "A=5.8", "the network gets a value less its offset, before it's scaled"),
        ("ranges", "A=LOW:HIGH", "plausible ranges (default: that of the data, widened by half of "
         "its width on each side)"),
        ("vocabulary", "A=X,Y,Z", "the texts of a category (default: those in the data, sorted); "
         "once for each"),
        ("encoding", "A=HOW", "how the network gets a category: one_hot, or integer, its text's "
         "place; one word for all is enough (default: what fits the network)"),
        ("out_of_vocabulary", "A=CODE", "the place, from 0, that other texts of a category get "
         "(default: their rows are rejected)"),
    ):  # fmt: skip
        group.add_argument(f"--{flag}", action="append", default=[], metavar=values, help=meaning)
    card = parser.add_argument_group("what else the card says")
    card.add_argument(
        "--prediction_column", metavar="NAME", help="the column of the predicted class in the "
        "predictions (default: the label's name; species for penguins)",
    )  # fmt: skip
    card.add_argument("--name", help="the model's name (default: the file's)")
    card.add_argument("--intended_use", metavar="TEXT", help="what it's for")
    card.add_argument("--license", metavar="TEXT", help="its licence")
    card.add_argument(
        "--limit", action="append", default=[], metavar="TEXT", dest="limits",
        help="what it isn't for; may be repeated",
    )  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="replace a card that exists")
    parser.add_argument(
        "--verbose", action="store_true", help="show the libraries' logs and tracebacks"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Registers a model; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body() -> int:
        options = vars(build_parser().parse_args(arguments))
        cli.quiet_libraries(options.pop("verbose"))
        # Imported only when there is something to do, so that --help stays fast.
        from penguin_model.training import registration

        given = registration.Registration(**options)
        found = registration.register(given)
        with terminal.telling(PROGRAM, "report"):
            print("\n".join(report(given, found)))
        return 0

    return cli.run(PROGRAM, body, verbose="--verbose" in arguments)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
