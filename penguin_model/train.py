"""Trains the classifier and saves it with its card and plots: ``python -m penguin_model.train``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from penguin_model import assignments, bundle, cli, command_line, describe, terminal
from penguin_model.card import DEFAULT_MODEL, Category, Input, ModelCard, card_path, onnx_path
from penguin_model.errors import CardError, GateError, OutputError, UsageError
from penguin_model.formatting import listed
from penguin_model.predict import predict_one, render
from penguin_model.training import (
    baseline,
    calibration,
    cross_validation,
    dataset,
    evaluation,
    gate,
    onnx_export,
    plots,
    table,
)
from penguin_model.training.dataset import Dataset
from penguin_model.training.fitting import (
    Fitted,
    Say,
    TrainConfig,
    library_versions,
    matrix,
    part_watched,
    train_on,
)
from penguin_model.training.recipe import Recipe
from penguin_model.training.table import Rows
from penguin_model.training.trusting import add_trust

PROGRAM = "penguin-train"

# How many of a row's values are shown.
_SHOWN = 6
# The card's names of the cross-validated network and baseline.
_CROSS_VALIDATED = ("cross_validation", "baseline_cross_validation")


def train(
    config: TrainConfig, *, say: Say = print, progress: Say | None = None, weights: bool = False
) -> ModelCard:
    """Trains and evaluates a model, saves it if it's sound, and tries the saved one on a row.

    Args:
      config: the settings.
      say: called with each line of the report.
      progress: called with a line per epoch; if None, `say` gets every fifth.
      weights: whether to report the learned weights and biases.

    Returns:
      The card as saved.

    Raises:
      UsageError: the data can't be used.
      GateError: the network isn't sound; no file has changed.
      OutputError: a folder can't be created or written to.
    """
    data = dataset.load(config.data, label=config.label, features=config.features)
    config = _fill_in(config, data)
    features = config.set_scales(data.recipe, data.features, data.training)
    card = _begin_card(config, data, features)
    _make_folders([os.path.dirname(config.model), os.path.dirname(config.plot_paths[0])])
    model_files = (config.model, onnx_path(config.model), card_path(config.model))
    bundle.refuse_folders([*model_files, *config.plot_paths])
    for line in _introduce(config, data, card):
        say(line)
    fitted = train_on(
        config, data.recipe, data.training, data.test, features, say=say, progress=progress
    )
    if fitted.stopping:
        say(_stopping_line(fitted.stopping))
    judged = _judge(config, data, features, fitted)
    for line in judged.lines(data):
        say(line)
    _refuse_unsound(config, judged.problems)
    for problem in judged.problems:
        say(f"Not sound, and installed by --force: {problem}")
    crossed = _cross_validate(config, data, progress=progress)
    if crossed:
        say(_spread_line("Cross-validated", crossed[0].summarize()))
        say(_spread_line(f"For comparison, a {baseline.NAME}", crossed[1].summarize()))
    card = _complete_card(card, data, fitted, judged, crossed)
    if card.trust is None:
        say("The card can't say how far to trust a prediction: there are too many features")
    drawn = _draw(config, data.recipe, fitted, judged)
    known = matrix(data.rows, features)
    card = onnx_export.save(fitted.model, config.model, card, known=known, say=say, beside=drawn)
    if weights:
        say("")
        for line in describe.layer_lines(describe.layers(fitted.model, values=True)):
            say(line)
    shown, row = _new_row(data)
    say(f"\nThe saved model, loaded again, on {shown}:")
    loaded = bundle.load(config.model)
    say(render(predict_one(loaded.predict, loaded.card, row)))
    say("\nWritten:")
    exported = [onnx_path(config.model)] if card.onnx else []
    for path in (config.model, *exported, card_path(config.model), *drawn):
        say(f"  {path}")
    return card


def _fill_in(config: TrainConfig, data: Dataset) -> TrainConfig:
    """The settings with the recipe's for those that aren't given."""
    name = os.path.basename(config.data).lstrip(".").partition(".")[0]
    return dataclasses.replace(
        config,
        model=config.model
        or data.recipe.model
        or os.path.join(os.path.dirname(DEFAULT_MODEL), f"{name or 'model'}.keras"),
        prediction_column=config.prediction_column or data.recipe.prediction_column,
    )


def _begin_card(config: TrainConfig, data: Dataset, features: tuple[Input, ...]) -> ModelCard:
    """What the card says before the network is trained: it refuses names that can't be used.

    Raises:
      UsageError: a name can't be used.
    """
    recipe = data.recipe
    about = {"citation": recipe.citation, "license": recipe.data_license}
    try:
        return ModelCard(
            name=os.path.splitext(os.path.basename(config.model))[0],
            model_file="",
            sha256="",
            features=features,
            classes=recipe.classes,
            label=recipe.label,
            label_aliases=recipe.label_aliases,
            class_aliases=recipe.class_aliases,
            prediction_column=config.prediction_column,
            training=config.for_card(recipe),
            data={
                "file": os.path.basename(config.data),
                "sha256": dataset.fingerprint(config.data),
                "rows": data.table.num_rows,
                "complete_rows": len(data.rows),
                "train_rows": len(data.training),
                "test_rows": len(data.test),
                **{name: text for name, text in about.items() if text},
            },
            versions=library_versions(),
            intended_use=recipe.intended_use,
            license=recipe.license,
            limits=recipe.limits,
        )
    except CardError as error:
        raise UsageError(f"data {config.data}: can't be described by a card: {error}") from error


def _introduce(config: TrainConfig, data: Dataset, card: ModelCard) -> Iterator[str]:
    """Says what there is to train on."""
    recipe, repeated = data.recipe, len(data.training) * 2**data.recipe.doublings
    yield ", ".join(f"{name} {version}" for name, version in card.versions.items())
    yield (f"\n{config.data}: {data.table.num_rows} rows, {len(data.rows)} complete; a sample:")
    yield data.sample(seed=config.seed)
    if config.label:
        yield f"\nFeatures: {listed(recipe.features)}"
        others = table.left_out(data.table, recipe.label, recipe.features)
        if others:
            yield f"Left out: {listed(others)}"
    yield f"\n{len(data.training)} {recipe.things} to train on" + (
        f", oversampled to {repeated} rows; {len(data.test)} held out before that, so that no copy "
        "of theirs is trained on"
        if recipe.doublings
        else f"; {len(data.test)} held out"
    )


def _stopping_line(stopping: Mapping[str, int]) -> str:
    return (
        f"Stopped after {stopping['epochs_run']} epochs; the weights are those of epoch "
        f"{stopping['best_epoch']}, with the smallest loss on {stopping['rows']} of the rows "
        "to train on, which only served to choose it"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Judged:
    """What the network and the baseline make of the held-out rows.

    Attributes:
      answers: the network's probabilities for them.
      found, seen, plain: metrics of the network there, on the rows trained on, and the baseline's.
      problems: why it isn't sound, if it isn't.
    """

    answers: gate.Answers
    found: Mapping[str, Any]
    seen: Mapping[str, Any]
    plain: Mapping[str, Any]
    problems: Sequence[str]

    def lines(self, data: Dataset) -> Iterator[str]:
        """The metrics as text."""
        yield ""
        yield from metric_lines(
            self.found, rows=len(data.test), things=data.recipe.things, kind=data.recipe.kind
        )
        yield (
            f"For comparison, a {baseline.NAME}: {100 * self.plain['accuracy']:.2f} % right, "
            f"log-loss {self.plain['log_loss']:.4f} nats"
        )


def _judge(
    config: TrainConfig, data: Dataset, features: Sequence[Input], fitted: Fitted
) -> _Judged:
    """Compares the network with the baseline on the held-out rows.

    Raises:
      GateError: it has diverged.
    """
    classes = data.recipe.classes
    seen, unseen = (
        gate.Answers(fitted.predict(matrix(part, features)), part.labels)
        for part in (data.training, data.test)
    )
    if gate.diverged([seen.probabilities, unseen.probabilities, *fitted.model.get_weights()]):
        raise GateError(
            f"model {config.model}: training diverged, so nothing is installed; try a smaller "
            f"--learning_rate than {config.learning_rate:g}"
        )
    plain = gate.Answers(
        baseline.predict(data.training, data.test, features, len(classes)), data.test.labels
    )
    found, found_seen, found_plain = (
        evaluation.metrics(each.probabilities, each.labels, classes)
        for each in (unseen, seen, plain)
    )
    problems = gate.problems(unseen, plain, seen, classes, name=baseline.NAME)
    return _Judged(
        answers=unseen, found=found, seen=found_seen, plain=found_plain, problems=problems
    )


def _refuse_unsound(config: TrainConfig, problems: Sequence[str]) -> None:
    """Refuses a network with problems, unless it is wanted all the same.

    Raises:
      GateError: there are any.
    """
    if problems and not config.force:
        raise GateError(
            f"model {config.model}: the new one isn't sound, so nothing is installed: "
            f"{'; '.join(problems)}; try another --seed, or --force to install it anyway"
        )


def _cross_validate(
    config: TrainConfig, data: Dataset, *, progress: Say | None
) -> tuple[cross_validation.OutOfFold, ...]:
    """Cross-validates the recipe, and the baseline on the same folds; empty if it isn't wanted."""
    recipe, repeats, classes = data.recipe, config.cross_validation, len(data.recipe.classes)
    if not repeats:
        return ()

    def network(inside: Rows, outside: Rows) -> evaluation.Probabilities:
        features = config.set_scales(recipe, data.features, inside)
        fitted = train_on(config, recipe, inside, None, features)
        return fitted.predict(matrix(outside, features))

    def plain(inside: Rows, outside: Rows) -> evaluation.Probabilities:
        features = config.set_scales(recipe, data.features, inside)
        return baseline.predict(inside, outside, features, classes)

    return (
        cross_validation.run(data.rows, repeats, network, classes=classes, progress=progress),
        cross_validation.run(data.rows, repeats, plain, classes=classes),
    )


def _spread_line(name: str, found: Mapping[str, Any]) -> str:
    accuracy, loss = found["accuracy"], found["log_loss"]
    return (
        f"{name}, {found['repeats']} times {found['folds']} folds: "
        f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['deviation']:.2f} % right, log-loss "
        f"{loss['mean']:.4f} ± {loss['deviation']:.4f} nats"
    )


def metric_lines(
    metrics: Mapping[str, Any], *, rows: int, things: str = "birds", kind: str = "species"
) -> Iterator[str]:
    """Formats the held-out metrics as text, including the confusion matrix.

    Args:
      metrics: of `evaluation.metrics`.
      rows: how many are held out.
      things: what they are called.
      kind: what a class is called.
    """
    yield (
        f"Held out: {100 * metrics['accuracy']:.2f} % of {rows} {things} right, "
        f"log-loss {metrics['log_loss']:.4f} nats"
    )
    yield from describe.confusion_lines(metrics, kind)


def _complete_card(
    card: ModelCard,
    data: Dataset,
    fitted: Fitted,
    judged: _Judged,
    crossed: Sequence[cross_validation.OutOfFold],
) -> ModelCard:
    """The card with what training and evaluation found."""
    history, answers = fitted.history, judged.answers
    forced = {"forced": judged.problems} if judged.problems else {}
    stopping = {"early_stopping": fitted.stopping} if fitted.stopping else {}
    card = dataclasses.replace(
        card,
        training={**card.training, **stopping, **forced},
        metrics={
            "train_rows": len(data.training),
            "test_rows": len(data.test),
            **judged.found,
            "calibration": evaluation.reliability(answers.probabilities, answers.labels),
            "train_accuracy": judged.seen["accuracy"],
            "final_loss": history["loss"][-1],
            "final_validation_loss": history["val_loss"][-1],
            "baseline": {"name": baseline.NAME, **judged.plain},
            **{
                name: each.summarize()
                for name, each in zip(_CROSS_VALIDATED, crossed, strict=False)
            },
        },
        reference=evaluation.reference(
            data.training.raw, answers.probabilities, card.features, card.classes
        ),
        calibration=calibration.fit(crossed[0]) if crossed else None,
    )
    return add_trust(card, data.rows, data.test, answers.probabilities)


def _draw(config: TrainConfig, recipe: Recipe, fitted: Fitted, judged: _Judged) -> dict[str, bytes]:
    """The plots as PNG, by path."""
    name = os.path.splitext(os.path.basename(config.model))[0]
    curves = plots.learning_curves(
        fitted.history,
        title=f"{name}: {len(fitted.history['loss'])} epochs of training",
        things=recipe.things,
        watched=part_watched(config),
    )
    matrices = plots.confusion_matrices(
        {"Training": judged.seen["confusion"], "Held out": judged.found["confusion"]},
        recipe.classes,
        title=f"{name}: true and predicted {recipe.kind}",
        kind=recipe.kind,
    )
    return dict(zip(config.plot_paths, map(plots.png, (curves, matrices)), strict=True))


def _new_row(data: Dataset) -> tuple[str, Sequence[float]]:
    """A row to try the model on: the recipe's, otherwise one that was held out; says which."""
    if data.recipe.new_row is not None:
        row = data.recipe.new_row
        return f"one new bird ({_show_row(data.features, row, named=False)})", row
    row = data.test.raw[0].tolist()
    return (
        f"data row {data.test.numbers[0]}, which was held out "
        f"({_show_row(data.features, row)}) and is {data.recipe.classes[data.test.labels[0]]}",
        row,
    )


def _show_row(features: Sequence[Input], row: Sequence[float], *, named: bool = True) -> str:
    shown = [
        f"{feature.name} {value}" if named else value
        for feature, value in zip(features, map(_show_value, features, row), strict=True)
    ]
    return ", ".join(shown[:_SHOWN]) + ", …" * (len(shown) > _SHOWN)


def _show_value(feature: Input, value: float) -> str:
    """A number with its unit, or the text of a category's code."""
    if isinstance(feature, Category):
        return feature.categories[int(value)]
    return f"{value:g} {feature.unit}".strip()


def _make_folders(folders: Sequence[str]) -> None:
    """Creates the folders and checks that they are writable, before minutes of work."""
    for folder in folders:
        try:
            os.makedirs(folder or ".", exist_ok=True)
        except OSError as error:
            raise OutputError(f"folder {folder}: {error.strerror}") from error
        if not os.access(folder or ".", os.W_OK):
            raise OutputError(f"folder {folder}: is not writable")


def build_parser() -> command_line.ArgumentParser:
    """Builds the command's flags."""
    usual = TrainConfig()
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Trains a classifier on the penguins, or on any table with a column of "
        "classes, and saves it with its model card and plots, unless it loses a class or is worse "
        "than a logistic regression beyond chance.",
        examples=[
            PROGRAM,
            f"{PROGRAM} --model my/other.keras --epochs 80 --seed 1",
            f"{PROGRAM} --data iris.csv --label class --hidden 16,16 --epochs 80",
        ],
        exit_codes=cli.EXIT_CODES
        | {
            1: "it failed, or the model isn't sound: nothing is installed",
            2: "bad arguments or data",
        },
    )

    def add(flag: str, kind: Callable[[str], object], default: object, meaning: str) -> None:
        parser.add_argument(
            flag, type=kind, default=default, help=f"{meaning} (default: %(default)s)"
        )

    def add_optional(flag: str, meaning: str, usually: str, **options: Any) -> None:
        parser.add_argument(
            flag, **{"default": "", "help": f"{meaning} (default: {usually})", **options}
        )

    add("--data", str, usual.data, "the labelled table: CSV (also .tsv and .gz) or .parquet")
    add_optional("--label", "the column of the classes", "the penguins' species")
    add_optional(
        "--features",
        "the columns that the network gets, separated by commas",
        "those that have numbers",
        type=_parse_names,
        default=(),
        metavar="NAMES",
    )
    add_optional(
        "--prediction_column",
        "the column of the predicted classes in the predictions",
        "named like the label",
    )
    add_optional(
        "--model",
        "the model file to write, .keras or .h5",
        f"{DEFAULT_MODEL}, or models/DATA.keras for other data than the penguins",
    )
    add_optional("--plots", "the folder for the plots", "beside the model")
    add_optional(
        "--hidden",
        "the units of each hidden layer, separated by commas",
        ",".join(map(str, usual.hidden)),
        type=_parse_layers,
        default=usual.hidden,
        metavar="UNITS",
    )
    add_optional(
        "--scale",
        "standard subtracts the mean and divides by the standard deviation of what is "
        "trained on; none leaves numbers as they are, but for the lab's division",
        "none for the penguins, standard for other data",
        choices=("none", "standard"),
        default=None,
    )
    add("--epochs", int, usual.epochs, "passes over the training data")
    add("--batch_size", int, usual.batch_size, "rows per step")
    add("--learning_rate", float, usual.learning_rate, "Adam's step size")
    add(
        "--early_stopping", int, usual.early_stopping,
        "end training after so many epochs without a smaller loss on a fifth of the training rows, "
        "which is then only used to choose the epoch; 0 never does",
    )  # fmt: skip
    add("--seed", int, usual.seed, "seed of the initial weights and the order of the rows")
    add(
        "--cross_validation", int, usual.cross_validation,
        f"how often to cross-validate in {cross_validation.FOLDS} folds, for the card's accuracy "
        "and calibration; 0 leaves it out",
    )  # fmt: skip
    parser.add_argument(
        "--force",
        action="store_true",
        help="install the model even if it loses a species or is worse than a logistic regression; "
        "the card says so",
    )
    parser.add_argument(
        "--print_weights", action="store_true", help="print the learned weights and biases"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the libraries' logs and tracebacks"
    )
    return parser


def _parse_names(text: str) -> tuple[str, ...]:
    """Names separated by commas; one that has a comma is in double quotes."""
    return assignments.split("--features", text)


def _parse_layers(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be whole numbers separated by commas, such as 16,16"
        ) from None


def say(text: str) -> None:
    """Prints immediately, even into a pipe: training takes a while, and is worth finishing."""
    with terminal.telling(PROGRAM, "report"):
        print(text, flush=True)


def overwrite_line(line: str) -> None:
    """Replaces the line of progress; the last one of its kind stays."""
    found = re.search(r"(\d+)(?:/| of )(\d+)", line)
    terminal.overwrite_line(line, last=found is None or found[1] == found[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Trains a model; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body() -> int:
        options = vars(build_parser().parse_args(arguments))
        verbose, weights = options.pop("verbose"), options.pop("print_weights")
        cli.quiet_libraries(verbose)
        config = TrainConfig(**options)
        progress = overwrite_line if sys.stdout.isatty() else None
        train(config, say=say, progress=progress, weights=weights)
        return 0

    return cli.run(PROGRAM, body, verbose="--verbose" in arguments)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
