"""Predicts the class of one observation given by flags: ``python -m penguin_model.predict``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penguin_model import cli, command_line, engines, terminal
from penguin_model.card import (
    DEFAULT_MODEL_HELP,
    PREDICTION_COLUMN,
    Category,
    Input,
    ModelCard,
    Trust,
    default_model,
    read_verified,
)
from penguin_model.engines import DEFAULT_ENGINE, ENGINES
from penguin_model.errors import ModelError, PenguinError, UsageError
from penguin_model.features import normalize
from penguin_model.formatting import listed
from penguin_model.model_checks import PROBABILITIES, Predict, find_improper, show_answer
from penguin_model.trust import DEFAULT_COVERAGE, TrustScorer

PROGRAM = "penguin-predict"
_OWN_FLAGS = frozenset({"help", "version", "model", "engine", "json", "verbose"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowTrust:
    """How far to trust one prediction: the columns that the batch job adds, see `trust`.

    Attributes:
      novelty: the distance from the known observations, in standard deviations.
      novelty_limit: the card's.
      out_of_distribution: whether the distance exceeds it.
      classes: those that can't be ruled out, the most probable first.
      coverage: the share of observations whose set should hold the true class.
    """

    novelty: float
    novelty_limit: float
    out_of_distribution: bool
    classes: tuple[str, ...]
    coverage: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one observation.

    Attributes:
      winner: the most probable class.
      probabilities: of each class, in the card's order; they sum to 1.
      trust: how far to trust it; None if the card can't tell.
      column: the card's name for what is predicted.
    """

    winner: str
    probabilities: Mapping[str, float]
    trust: RowTrust | None = None
    column: str = PREDICTION_COLUMN


class Value(NamedTuple):
    """A feature of an observation.

    Attributes:
      raw: in raw units; a category's code.
      shown: what it is to people: the number, or a category's text.
    """

    raw: float
    shown: float | str


def predict_one(predict: Predict, card: ModelCard, values: Sequence[float]) -> Prediction:
    """Predicts one observation.

    Args:
      predict: the loaded network.
      card: its card.
      values: in raw units (mm, g) or codes, in the order of the card's features.

    Raises:
      ModelError: the model doesn't answer probabilities.
    """
    matrix = normalize([np.array([value]) for value in values], card.features)
    row = predict(matrix)[0]
    if find_improper(list(row[:, np.newaxis])) is not None:
        raise ModelError(f"model {card.name} answered {show_answer(card, row)}; {PROBABILITIES}")
    probabilities = dict(zip(card.classes, map(float, row), strict=True))
    return Prediction(
        winner=card.classes[int(row.argmax())],
        probabilities=probabilities,
        trust=None if card.trust is None else _judge(card, card.trust, matrix, row),
        column=card.prediction_column,
    )


def _judge(
    card: ModelCard, known: Trust, matrix: npt.NDArray[np.float32], row: npt.NDArray[np.float32]
) -> RowTrust:
    scorer = TrustScorer(card, DEFAULT_COVERAGE)
    novelty = scorer.measure(matrix)
    winner = np.array([row.argmax()], np.int32)
    found = scorer.find_sets(winner, row[winner], list(row[:, np.newaxis]))
    return RowTrust(
        novelty=float(novelty[0]),
        novelty_limit=known.novelty_limit,
        out_of_distribution=bool(scorer.is_far(novelty)[0]),
        classes=tuple(card.classes[index] for index in found.sets[found.codes[0]]),
        coverage=DEFAULT_COVERAGE,
    )


def flag_names(features: Sequence[Input]) -> tuple[str, ...]:
    """The flag of each feature, without dashes: ``CulmenLength`` is ``culmen_length``.

    A name that clashes with another, or with one of the command's own flags, gets the prefix
    ``feature_``.
    """
    taken = set(_OWN_FLAGS)
    names = []
    for feature in features:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", feature.name)
        name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "value"
        while name in taken:
            name = f"feature_{name}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def parse_value(flag: str, text: str, feature: Input) -> Value:
    """Reads one value the way the batch job reads it from a CSV.

    Raises:
      UsageError: it isn't a plausible number, or isn't in the vocabulary.
    """
    # Imported only when there is a value to check, so that --help stays fast.
    import pyarrow as pa

    from penguin_model.validate import good_rows, read_column

    column = read_column(pa.array([text], pa.string()), feature)
    is_good = good_rows([column], [feature]) is None
    if isinstance(feature, Category):
        if not is_good:
            raise UsageError(
                f"--{flag} {text}: {feature.name} must be one of {listed(feature.categories)}"
                f"{command_line.did_you_mean(text, feature.categories)}"
            )
        code = float(column.values[0])
        # A text outside the vocabulary is shown as it is, not as the one that it counts as.
        alone = dataclasses.replace(feature, out_of_vocabulary=None)
        is_known = read_column(column.text, alone).unparsed is None
        return Value(code, feature.categories[int(code)] if is_known else text)
    if not is_good:
        raise UsageError(
            f"--{flag} {text}: {feature.name} must be a number from {feature.plausible}"
        )
    value = float(column.values[0])
    return Value(value, value)


def render(prediction: Prediction) -> str:
    """Formats the prediction as text: class, probabilities, and how far to trust it."""
    shown = {terminal.printable(name): p for name, p in prediction.probabilities.items()}
    width = max(map(len, shown))
    lines = [f"  {name:{width}} {100 * p:8.3f} %" for name, p in shown.items()]
    return "\n".join([terminal.printable(prediction.winner), *lines, *_trust_lines(prediction)])


def _trust_lines(prediction: Prediction) -> Iterator[str]:
    if (found := prediction.trust) is None:
        return
    far = "OUT OF DISTRIBUTION, " if found.out_of_distribution else ""
    sets = f"{terminal.printable(prediction.column)} set"
    width = max(len(sets), len("novelty"))
    yield f"{'novelty':{width}}  {found.novelty:.2f}  ({far}the limit is {found.novelty_limit:.2f})"
    names = ", ".join(map(terminal.printable, found.classes))
    yield f"{sets:{width}}  {names}  (coverage {found.coverage})"


def to_json(prediction: Prediction, card: ModelCard, values: Sequence[Value]) -> str:
    """Formats the prediction as JSON, with the observation and the model's SHA-256."""
    shown = [value.shown for value in values]
    answer = {
        card.prediction_column: prediction.winner,
        "probability": prediction.probabilities[prediction.winner],
        "probabilities": dict(prediction.probabilities),
        "observation": dict(zip(card.feature_names, shown, strict=True)),
        "model_sha256": card.sha256,
    }
    if (found := prediction.trust) is not None:
        answer |= {
            "novelty": found.novelty,
            "novelty_limit": found.novelty_limit,
            "out_of_distribution": found.out_of_distribution,
            card.set_column: found.classes,
            "coverage": found.coverage,
        }
    return json.dumps(answer, indent=2)


def build_parser(card: ModelCard | None, model: str | None = None) -> command_line.ArgumentParser:
    """Builds the command's flags, including one for each of the card's features.

    Args:
      card: the model's.
      model: its path, for an example; None means the model that is loaded without ``--model``.
    """
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Predicts the class of one observation, given in raw units.",
        examples=[
            *([" ".join([PROGRAM, *_example_flags(card, model)])] if card else []),
            f"{PROGRAM} --model my/other.keras --help   # that model's flags",
        ],
        exit_codes=cli.EXIT_CODES,
        epilog=None if card else "The features' flags are missing here: no model card.",
    )
    if card:
        name = terminal.printable(card.name)
        group = parser.add_argument_group(f"features of {name}, all required")
        for flag, feature in zip(flag_names(card.features), card.features, strict=True):
            if isinstance(feature, Category):
                meaning, unit = f"{feature.name}: {listed(feature.categories)}", "TEXT"
            else:
                meaning = f"{feature.name}, {feature.plausible}"
                unit = re.sub(r"\W+", "", feature.unit).upper() or "VALUE"
            group.add_argument(
                f"--{flag}",
                dest=f"feature {feature.name}",
                metavar=unit,
                type=_as_given,
                required=True,
                help=meaning.replace("%", "%%"),
            )
    _add_common(parser)
    return parser


def _example_flags(card: ModelCard, model: str | None) -> Iterator[str]:
    if model is not None:
        yield f"--model={shlex.quote(terminal.printable(model))}"
    for flag, feature in zip(flag_names(card.features), card.features, strict=True):
        middle = f"{(feature.minimum + feature.maximum) / 2:g}"
        text = feature.categories[0] if isinstance(feature, Category) else middle
        yield f"--{flag}={shlex.quote(text)}"


def _as_given(text: str) -> str:
    """Any text: `parse_value` says what is wrong with it."""
    return text


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=default_model(), help=f"the model file ({DEFAULT_MODEL_HELP})"
    )
    parser.add_argument(
        "--engine", choices=tuple(ENGINES), default=DEFAULT_ENGINE,
        help="what runs the network, as in penguin-score (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the prediction as JSON")
    parser.add_argument(
        "--verbose", action="store_true", help="show the libraries' logs and tracebacks"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts one observation; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments
    # The model's card determines the flags, so find the model first.
    first = command_line.ArgumentParser(prog=PROGRAM, add_help=False)
    _add_common(first)

    def body() -> int:
        early, _ = first.parse_known_args(arguments)
        try:
            card = read_verified(early.model)
        except PenguinError:
            if not {"-h", "--help"} & set(arguments):
                raise
            build_parser(None).parse_args(arguments)
            raise
        named = None if early.model == default_model() else early.model
        options = vars(build_parser(card, named).parse_args(arguments))
        values = [
            parse_value(flag, options[f"feature {feature.name}"], feature)
            for flag, feature in zip(flag_names(card.features), card.features, strict=True)
        ]
        cli.quiet_libraries(verbose)
        raw = [value.raw for value in values]
        prediction = predict_one(engines.load(early.engine, early.model, card), card, raw)
        print(to_json(prediction, card, values) if early.json else render(prediction))
        return 0

    return cli.run(PROGRAM, body, verbose=verbose)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
