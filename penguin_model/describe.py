"""Shows a saved model: card, layers, weights and biases: ``python -m penguin_model.describe``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penguin_model import bundle, cli, command_line, terminal
from penguin_model.bundle import load
from penguin_model.card import (
    DEFAULT_MODEL_HELP,
    Category,
    Feature,
    ModelCard,
    default_model,
    read_verified,
)
from penguin_model.formatting import listed

if TYPE_CHECKING:
    import keras

PROGRAM = "penguin-describe"

# Of a confusion matrix.
_MOST_COLUMNS = 12


def layers(model: keras.Model, *, values: bool) -> list[dict[str, Any]]:
    """The model's layers as JSON values.

    Args:
      model: a built model.
      values: whether to include the weights' values as well as their shapes.
    """
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "activation": getattr(getattr(layer, "activation", None), "__name__", None),
            "output_shape": list(getattr(layer.output, "shape", ())),
            "parameters": int(layer.count_params()),
            "weights": [
                {"name": weight.name, "shape": list(weight.shape)}
                | ({"values": weight.numpy().tolist()} if values else {})
                for weight in layer.weights
            ],
        }
        for layer in model.layers
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> list[str]:
    """Formats rows as aligned columns: the first ``left`` flush left, the others flush right."""
    texts = [[terminal.printable(str(field)) for field in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  "
        + "  ".join(
            field.ljust(width) if place < left else field.rjust(width)
            for place, (field, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def card_lines(card: ModelCard) -> Iterator[str]:
    """Formats the card as text for people."""
    yield terminal.printable(f"{card.name} ({card.model_file})")
    yield f"  SHA-256 {card.sha256}, verified"
    yield ""
    yield "Features"
    rows = [
        (each.name, each.meaning, f"{each.minimum:g} to {each.maximum:g} {each.unit}".rstrip())
        for each in card.features
        if isinstance(each, Feature)
    ]
    if rows:
        yield from table(("name", "the network sees", "plausible"), rows, left=3)
    categories = [
        (each.name, each.meaning, listed(each.categories))
        for each in card.features
        if isinstance(each, Category)
    ]
    if categories:
        yield ""
        yield "Categories"
        yield from table(("name", "the network sees", "vocabulary"), categories, left=3)
    yield ""
    yield terminal.printable(f"Classes ({card.label})")
    recall = card.metrics.get("recall") or {}
    predicted = card.reference.classes if card.reference else {}
    rows_of_classes = [
        (index, name, _percent(recall.get(name)), predicted.get(name, "-"))
        for index, name in enumerate(card.classes)
    ]
    header = ("index", "name", "recall on held-out rows", "held-out rows predicted so")
    yield from table(header, rows_of_classes, left=2)
    metrics = {k: v for k, v in card.metrics.items() if not isinstance(v, Mapping | list)}
    for title, values in (
        ("Metrics", metrics),
        ("Training", card.training),
        ("Data", card.data),
        ("Versions", card.versions),
    ):
        if values:
            yield ""
            yield title
            yield from pairs(values)


def confusion_lines(metrics: Mapping[str, Any], kind: str, *, recall: bool = True) -> Iterator[str]:
    """Formats the confusion matrix as text.

    Of a matrix that is too wide, it shows how many rows of each class are right, and which class
    the others are taken for most often.

    Args:
      metrics: of `training.evaluation.metrics`.
      kind: what a class is called.
      recall: whether the matrix has a column of the recall.
    """
    names, counts = list(metrics["recall"]), metrics["confusion"]
    shares = [_percent(share) for share in metrics["recall"].values()]
    if len(names) > _MOST_COLUMNS:
        yield from table(
            (f"true {kind}", "rows", "right", "recall", "most often taken for"),
            [
                (name, sum(mine), mine[place], shares[place], _most_often(names, mine, place))
                for place, (name, mine) in enumerate(zip(names, counts, strict=True))
            ],
        )
        return
    last = ("recall",) if recall else ()
    yield from table(
        (f"true {kind}", *(f"as {name}" for name in names), *last),
        [
            (name, *mine, *((share,) if recall else ()))
            for name, mine, share in zip(names, counts, shares, strict=True)
        ],
    )


def _most_often(names: Sequence[str], counts: Sequence[int], place: int) -> str:
    """The class that the rows of another are taken for most often, and how many are."""
    wrong = [0 if other == place else count for other, count in enumerate(counts)]
    most = max(wrong)
    return f"{names[wrong.index(most)]} ({most})" if most else "-"


def layer_lines(described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Formats what :func:`layers` returns as text, followed by the weights if it has values."""
    yield "Layers"
    rows = [
        (
            each["name"], each["kind"], each["activation"] or "-",
            _shape(each["output_shape"]),
            ", ".join(f"{w['name']} {_shape(w['shape'])}" for w in each["weights"]) or "-",
            each["parameters"],
        )
        for each in described
    ]  # fmt: skip
    yield from table(
        ("name", "kind", "activation", "output", "weights", "parameters"), rows, left=5
    )
    yield f"  {sum(each['parameters'] for each in described)} parameters in all"
    for each in described:
        for weight in each["weights"]:
            if "values" in weight:
                yield ""
                name = terminal.printable(f"{each['name']} {weight['name']}")
                yield f"{name} {_shape(weight['shape'])}"
                yield from matrix_lines(weight["values"])


def matrix_lines(values: Any) -> Iterator[str]:
    """Formats a weight as aligned numbers, one line per row."""
    import numpy as np

    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    for row in array.reshape(-1, array.shape[-1]):
        yield "  " + " ".join(f"{value:9.4f}" for value in row)


def pairs(values: Mapping[str, Any]) -> Iterator[str]:
    """Formats names and values as two aligned columns."""
    shown = {terminal.printable(name.replace("_", " ")): values[name] for name in values}
    width = max(map(len, shown))
    for name, value in shown.items():
        yield f"  {name:{width}}  {terminal.printable(_value(value))}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return str(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _shape(shape: Sequence[int | None]) -> str:
    return " × ".join("n" if size is None else str(size) for size in shape) or "scalar"


def _write_page(path: str, card: ModelCard) -> None:
    from penguin_model import card_page

    bundle.replace({path: card_page.render(card).encode()})


def build_parser() -> command_line.ArgumentParser:
    """Builds the command's flags."""
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Shows a saved model: its card, its layers and their weights.",
        examples=[
            PROGRAM,
            f"{PROGRAM} --model my/other.keras --weights",
            f"{PROGRAM} --html card.html",
        ],
        exit_codes=cli.EXIT_CODES,
    )
    parser.add_argument(
        "--model", default=default_model(), help=f"the model file ({DEFAULT_MODEL_HELP})"
    )
    parser.add_argument("--weights", action="store_true", help="print the weights' values as well")
    parser.add_argument("--json", action="store_true", help="print card and layers as JSON")
    parser.add_argument(
        "--html", metavar="FILE", help="write the card as a self-contained page instead"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the libraries' logs and tracebacks"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Describes a model; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body() -> int:
        options = build_parser().parse_args(arguments)
        if options.html:
            _write_page(options.html, read_verified(options.model))
            print(terminal.printable(options.html))
            return 0
        cli.quiet_libraries(options.verbose)
        classifier = load(options.model)
        described = layers(classifier.model, values=options.weights)
        if options.json:
            card = json.loads(classifier.card.to_json())
            print(json.dumps({"card": card, "layers": described}, indent=2))
        else:
            print("\n".join([*card_lines(classifier.card), "", *layer_lines(described)]))
        return 0

    return cli.run(PROGRAM, body, verbose="--verbose" in arguments)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
