"""Trains the classifier and saves it with its card and plots: ``python -m penguin_model.train``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penguin_model import bundle, cli, command_line, describe, terminal
from penguin_model.card import ModelCard, card_path
from penguin_model.errors import OutputError
from penguin_model.predict import predict_one, render
from penguin_model.training import dataset, evaluation, plots
from penguin_model.training.fitting import Say, TrainConfig, fit, library_versions, matrix
from penguin_model.training.trusting import add_trust

PROGRAM = "penguin-train"

# Culmen length, culmen depth, flipper length (mm), body mass (g): the seed lab's new bird.
NEW_BIRD = (50.4, 15.3, 200.0, 5000.0)


def train(
    config: TrainConfig, *, say: Say = print, progress: Say | None = None, weights: bool = False
) -> ModelCard:
    """Trains, evaluates and saves a model, then tries the saved one on a new bird.

    Args:
      config: the settings.
      say: called with each line of the report.
      progress: called with a line per epoch; if None, `say` gets every fifth.
      weights: whether to report the learned weights and biases.

    Returns:
      The card as saved.

    Raises:
      UsageError: the data can't be used.
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
    answers = {
        name: bundle.compile_predict(model, len(features))(matrix(part, features))
        for name, part in (("training", training), ("test", test))
    }
    found = evaluation.metrics(answers["test"], test.labels, dataset.CLASSES)
    seen = evaluation.metrics(answers["training"], training.labels, dataset.CLASSES)
    card = ModelCard(
        name=os.path.splitext(os.path.basename(config.model))[0],
        model_file="",
        sha256="",
        features=features,
        classes=dataset.CLASSES,
        label=dataset.LABEL,
        label_aliases=dataset.LABEL_ALIASES,
        class_aliases=dataset.CLASS_ALIASES,
        training=config.for_card(),
        data={
            "file": os.path.basename(config.data),
            "sha256": dataset.fingerprint(config.data),
            "rows": len(frame),
            "complete_rows": len(birds),
            "train_rows": len(training),
            "test_rows": len(test),
            "citation": dataset.CITATION,
        },
        metrics={
            "train_rows": len(training),
            "test_rows": len(test),
            **found,
            "train_accuracy": seen["accuracy"],
            "final_loss": history["loss"][-1],
            "final_validation_loss": history["val_loss"][-1],
        },
        versions=versions,
        reference=evaluation.reference(
            training.raw, answers["training"], [f.name for f in features], dataset.CLASSES
        ),
    )
    card = add_trust(card, birds, test, answers["test"])
    say("")
    for line in metric_lines(found, rows=len(test)):
        say(line)
    card = bundle.save(model, config.model, card)
    _draw(config, history, {"Training": seen, "Held out": found})
    if weights:
        say("")
        for line in describe.layer_lines(describe.layers(model, values=True)):
            say(line)

    say("\nThe saved model, loaded again, on one new bird (50.4 mm, 15.3 mm, 200 mm, 5000 g):")
    say(render(predict_one(bundle.load(config.model), NEW_BIRD)))
    say("\nWritten:")
    for path in (config.model, card_path(config.model), *config.plot_paths):
        say(f"  {path}")
    return card


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
) -> None:
    name = os.path.splitext(os.path.basename(config.model))[0]
    curves = plots.learning_curves(history, title=f"{name}: {config.epochs} epochs of training")
    matrices = plots.confusion_matrices(
        {part: each["confusion"] for part, each in metrics.items()},
        dataset.CLASSES,
        title=f"{name}: true and predicted species",
    )
    for figure, path in zip((curves, matrices), config.plot_paths, strict=True):
        plots.save(figure, path)


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
        description="Trains the classifier and saves it with its model card and plots.",
        examples=[PROGRAM, f"{PROGRAM} --model my/other.keras --epochs 80 --seed 1"],
        exit_codes=cli.EXIT_CODES | {1: "it failed", 2: "bad arguments or data"},
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
    """Replaces the line of progress; the one of the last epoch stays."""
    done, _, epochs = line.removeprefix("epoch").split()[0].partition("/")
    terminal.overwrite_line(line, last=done == epochs)


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
