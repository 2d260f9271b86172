"""Trains the classifier and saves it with its card and plots: ``python -m penguin_model.train``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penguin_model import bundle, cli, command_line, describe, terminal
from penguin_model.card import Input, ModelCard, card_path, onnx_path
from penguin_model.errors import GateError, OutputError
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
    purpose,
)
from penguin_model.training.fitting import Say, TrainConfig, fit, library_versions, matrix
from penguin_model.training.trusting import add_trust

PROGRAM = "penguin-train"

# The card's names of the cross-validated network and baseline.
_CROSS_VALIDATED = ("cross_validation", "baseline_cross_validation")
# Culmen length, culmen depth, flipper length (mm), body mass (g): the seed lab's new bird.
NEW_BIRD = (50.4, 15.3, 200.0, 5000.0)


def train(
    config: TrainConfig, *, say: Say = print, progress: Say | None = None, weights: bool = False
) -> ModelCard:
    """Trains and evaluates a model, saves it if it's sound, and tries the saved one on a new bird.

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
    frame = dataset.read(config.data)
    birds = dataset.complete(frame)
    training, test = dataset.split(birds)
    features = dataset.features(birds)
    _make_folders([os.path.dirname(config.model), os.path.dirname(config.plot_paths[0])])

    versions = library_versions()
    say(", ".join(f"{name} {version}" for name, version in versions.items()))
    say(f"\n{config.data}: {len(frame)} rows, {len(birds)} complete; a sample:")
    sample = frame.dropna().sample(5, random_state=config.seed).sort_index()
    say(dataset.with_names(sample).to_string())
    repeated = dataset.oversample(training)
    say(
        f"\n{len(training)} birds to train on, oversampled to {len(repeated)} rows; "
        f"{len(test)} held out before that, so that no copy of theirs is trained on"
    )

    model, history = fit(config, repeated, test, features, say=say, progress=progress)
    predict = bundle.compile_predict(model, len(features))
    seen, unseen = (
        gate.Answers(predict(matrix(part, features)), part.labels) for part in (training, test)
    )
    if gate.diverged([seen.probabilities, unseen.probabilities, *model.get_weights()]):
        raise GateError(
            f"model {config.model}: training diverged, so nothing is installed; try a smaller "
            f"--learning_rate than {config.learning_rate:g}"
        )
    plain = gate.Answers(baseline.predict(training, test, features), test.labels)
    found, found_seen, found_plain = (
        evaluation.metrics(each.probabilities, each.labels, dataset.CLASSES)
        for each in (unseen, seen, plain)
    )
    say("")
    for line in metric_lines(found, rows=len(test)):
        say(line)
    say(
        f"For comparison, a {baseline.NAME}: {100 * found_plain['accuracy']:.2f} % right, log-loss "
        f"{found_plain['log_loss']:.4f} nats"
    )
    problems = gate.problems(unseen, plain, seen, dataset.CLASSES, name=baseline.NAME)
    if problems and not config.force:
        raise GateError(
            f"model {config.model}: the new one isn't sound, so nothing is installed: "
            f"{'; '.join(problems)}; try another --seed, or --force to install it anyway"
        )
    for problem in problems:
        say(f"Not sound, and installed by --force: {problem}")
    crossed = _cross_validate(config, birds, features, progress=progress)
    if crossed:
        say(_spread_line("Cross-validated", crossed[0].summarize()))
        say(_spread_line(f"For comparison, a {baseline.NAME}", crossed[1].summarize()))

    card = ModelCard(
        name=os.path.splitext(os.path.basename(config.model))[0],
        model_file="",
        sha256="",
        features=features,
        classes=dataset.CLASSES,
        label=dataset.LABEL,
        label_aliases=dataset.LABEL_ALIASES,
        class_aliases=dataset.CLASS_ALIASES,
        training=config.for_card() | ({"forced": problems} if problems else {}),
        data={
            "file": os.path.basename(config.data),
            "sha256": dataset.fingerprint(config.data),
            "rows": len(frame),
            "complete_rows": len(birds),
            "train_rows": len(training),
            "test_rows": len(test),
            "citation": dataset.CITATION,
            "license": dataset.LICENSE,
        },
        metrics={
            "train_rows": len(training),
            "test_rows": len(test),
            **found,
            "calibration": evaluation.reliability(unseen.probabilities, unseen.labels),
            "train_accuracy": found_seen["accuracy"],
            "final_loss": history["loss"][-1],
            "final_validation_loss": history["val_loss"][-1],
            "baseline": {"name": baseline.NAME, **found_plain},
            **{
                name: each.summarize()
                for name, each in zip(_CROSS_VALIDATED, crossed, strict=False)
            },
        },
        versions=versions,
        reference=evaluation.reference(
            training.raw, unseen.probabilities, [f.name for f in features], dataset.CLASSES
        ),
        calibration=calibration.fit(crossed[0]) if crossed else None,
        intended_use=purpose.INTENDED_USE,
        license=purpose.LICENSE,
        limits=purpose.LIMITS,
    )
    card = add_trust(card, birds, test, unseen.probabilities)
    drawn = _draw(config, history, {"Training": found_seen, "Held out": found})
    card = onnx_export.save(
        model, config.model, card, known=matrix(birds, features), say=say, beside=drawn
    )
    if weights:
        say("")
        for line in describe.layer_lines(describe.layers(model, values=True)):
            say(line)

    say("\nThe saved model, loaded again, on one new bird (50.4 mm, 15.3 mm, 200 mm, 5000 g):")
    loaded = bundle.load(config.model)
    say(render(predict_one(loaded.predict, loaded.card, NEW_BIRD)))
    say("\nWritten:")
    exported = [onnx_path(config.model)] if card.onnx else []
    for path in (config.model, *exported, card_path(config.model), *drawn):
        say(f"  {path}")
    return card


def _cross_validate(
    config: TrainConfig,
    birds: dataset.Birds,
    features: Sequence[Input],
    *,
    progress: Say | None,
) -> tuple[cross_validation.OutOfFold, ...]:
    """Cross-validates the recipe, and the baseline on the same folds; empty if it isn't wanted."""
    repeats = config.cross_validation
    if not repeats:
        return ()

    def network(inside: dataset.Birds, outside: dataset.Birds) -> evaluation.Probabilities:
        model, _ = fit(config, dataset.oversample(inside), None, features)
        return bundle.compile_predict(model, len(features))(matrix(outside, features))

    def plain(inside: dataset.Birds, outside: dataset.Birds) -> evaluation.Probabilities:
        return baseline.predict(inside, outside, features)

    return (
        cross_validation.run(birds, repeats, network, progress=progress),
        cross_validation.run(birds, repeats, plain),
    )


def _spread_line(name: str, found: Mapping[str, Any]) -> str:
    accuracy, loss = found["accuracy"], found["log_loss"]
    return (
        f"{name}, {found['repeats']} times {found['folds']} folds: "
        f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['deviation']:.2f} % right, log-loss "
        f"{loss['mean']:.4f} ± {loss['deviation']:.4f} nats"
    )


def metric_lines(metrics: Mapping[str, Any], *, rows: int) -> Iterator[str]:
    """Formats the held-out metrics as text, including the confusion matrix."""
    yield (
        f"Held out: {100 * metrics['accuracy']:.2f} % of {rows} birds right, "
        f"log-loss {metrics['log_loss']:.4f} nats"
    )
    yield from describe.table(
        ("true species", *(f"as {name}" for name in metrics["recall"]), "recall"),
        [
            (name, *counts, "-" if recall is None else f"{100 * recall:.1f} %")
            for (name, recall), counts in zip(
                metrics["recall"].items(), metrics["confusion"], strict=True
            )
        ],
    )


def _draw(
    config: TrainConfig, history: plots.History, metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, bytes]:
    """The plots as PNG, by path."""
    name = os.path.splitext(os.path.basename(config.model))[0]
    curves = plots.learning_curves(history, title=f"{name}: {config.epochs} epochs of training")
    matrices = plots.confusion_matrices(
        {part: each["confusion"] for part, each in metrics.items()},
        dataset.CLASSES,
        title=f"{name}: true and predicted species",
    )
    return dict(zip(config.plot_paths, map(plots.png, (curves, matrices)), strict=True))


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
        description="Trains the classifier and saves it with its model card and plots, unless it "
        "loses a species or is worse than a logistic regression beyond chance.",
        examples=[PROGRAM, f"{PROGRAM} --model my/other.keras --epochs 80 --seed 1"],
        exit_codes=cli.EXIT_CODES
        | {
            1: "it failed, or the model isn't sound: nothing is installed",
            2: "bad arguments or data",
        },
    )

    def add(flag: str, kind: type, default: object, meaning: str) -> None:
        parser.add_argument(
            flag, type=kind, default=default, help=f"{meaning} (default: %(default)s)"
        )

    add("--data", str, usual.data, "the CSV file of labelled penguins")
    add("--model", str, usual.model, "the model file to write, .keras or .h5")
    parser.add_argument(
        "--plots", default="", help="the folder for the plots (default: beside the model)"
    )
    add("--epochs", int, usual.epochs, "passes over the training data")
    add("--batch_size", int, usual.batch_size, "rows per step")
    add("--learning_rate", float, usual.learning_rate, "Adam's step size")
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
