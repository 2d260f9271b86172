"""The settings of a training run, and the fit itself."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model import bundle
from penguin_model.card import Input
from penguin_model.errors import UsageError
from penguin_model.features import normalize
from penguin_model.keras_settings import import_keras
from penguin_model.model_checks import Predict
from penguin_model.training import dataset, network
from penguin_model.training.recipe import Recipe
from penguin_model.training.table import Rows, Scale, standardize

if TYPE_CHECKING:
    import keras

Say = Callable[[str], None]

# Steps that TensorFlow takes by itself before Keras looks at them. The weights are the same to the
# bit; an epoch of a network of this size takes half as long, and without validation a third.
_STEPS_TOGETHER = 96
MOST_REPEATS = 100
MOST_UNITS = 10_000
# Of the rows to train on, the share that early stopping watches instead.
STOPPING_SHARE = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of a training run.

    Attributes:
      data: the labelled table, a CSV or Parquet file.
      label: the column of the classes; empty means the penguins'.
      features: the columns that the network gets; if there are none, the recipe's.
      prediction_column: the column of the predicted classes; empty means the recipe's.
      model: the model file to write, ``.keras`` or ``.h5``; empty means the recipe's.
      plots: the folder for the plots; empty means beside the model.
      hidden: the units of each hidden layer.
      scale: how numbers are scaled; None means the recipe's way.
      epochs, batch_size, learning_rate: what Adam trains with.
      early_stopping: after how many epochs without a smaller loss training ends; 0 means never.
      seed: of the initial weights and the order of the rows.
      cross_validation: how often to cross-validate the recipe; 0 leaves it out.
      force: whether to install a network that the gate refuses.
    """

    data: str = "data/penguins.csv"
    label: str = ""
    features: tuple[str, ...] = ()
    prediction_column: str = ""
    model: str = ""
    plots: str = ""
    hidden: tuple[int, ...] = network.HIDDEN
    scale: Scale | None = None
    epochs: int = 50
    batch_size: int = 10
    learning_rate: float = 0.001
    early_stopping: int = 0
    seed: int = 0
    cross_validation: int = 2
    force: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise UsageError("--epochs and --batch_size must be at least 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"--learning_rate {self.learning_rate} must be above 0")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed} must be from 0 to {2**32 - 1}")
        if not 0 <= self.cross_validation <= MOST_REPEATS:
            raise UsageError(
                f"--cross_validation {self.cross_validation} must be from 0 to {MOST_REPEATS}"
            )
        if self.early_stopping < 0:
            raise UsageError(f"--early_stopping {self.early_stopping} must be 0 or more epochs")
        if not self.hidden or not all(1 <= units <= MOST_UNITS for units in self.hidden):
            raise UsageError(
                f"--hidden {','.join(map(str, self.hidden))} must have layers of 1 to {MOST_UNITS} "
                "units, such as 16,16"
            )
        if self.features and not self.label:
            raise UsageError("--features needs --label, the column of the classes")
        if self.model and os.path.splitext(self.model)[1] not in bundle.MODEL_SUFFIXES:
            raise UsageError(f"--model {self.model} must end in .keras or .h5")

    @property
    def plot_paths(self) -> tuple[str, str]:
        """Paths of the learning curves and of the confusion matrices."""
        stem = os.path.splitext(os.path.basename(self.model))[0]
        folder = self.plots or os.path.dirname(self.model)
        return (
            os.path.join(folder, f"{stem}.loss.png"),
            os.path.join(folder, f"{stem}.confusion.png"),
        )

    def for_card(self, recipe: Recipe) -> dict[str, Any]:
        """The settings as the card records them, without paths."""
        stratified = {"split": "stratified by class"} if recipe.stratified else {}
        standard = {"scale": "standard"} if self.scale_by(recipe) == "standard" else {}
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": "Adam",
            "learning_rate": self.learning_rate,
            "loss": "categorical cross-entropy",
            "seed": self.seed,
            "split_seed": dataset.SPLIT_SEED,
            "oversampling": 2**recipe.doublings,
            "hidden_layers": list(self.hidden),
            **stratified,
            **standard,
        }

    def scale_by(self, recipe: Recipe) -> Scale:
        """How numbers are scaled, beside the scales of the recipe."""
        return self.scale or recipe.scale

    def set_scales(
        self, recipe: Recipe, features: tuple[Input, ...], training: Rows
    ) -> tuple[Input, ...]:
        """The features with the scales that are learned from the training part, if any are."""
        if self.scale_by(recipe) == "standard":
            return standardize(features, training)
        return features


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained network.

    Attributes:
      model: the network.
      history: for each of Keras' metrics, a list with one value per epoch.
      predict: as of `bundle.Classifier`.
      stopping: what early stopping did, for the card; empty without it.
    """

    model: keras.Model
    history: dict[str, list[float]]
    predict: Predict
    stopping: Mapping[str, int]


def train_on(
    config: TrainConfig,
    recipe: Recipe,
    training: Rows,
    test: Rows | None,
    features: Sequence[Input],
    *,
    say: Say | None = None,
    progress: Say | None = None,
) -> Fitted:
    """Trains by a recipe: holds out the rows to stop by, copies the others, and fits a network.

    Args:
      config: the settings.
      recipe: what is known about the data.
      training: the rows to train on, each once.
      test: rows to report the loss on after each epoch, unless others are held out to stop by; None
        leaves that out.
      features: the network's inputs.
      say: see `fit`.
      progress: see `fit`.
    """
    watched = test
    if config.early_stopping:
        training, watched = dataset.hold_out(training, STOPPING_SHARE)
    model, history = fit(
        config, dataset.oversample(training, recipe.doublings), watched, features,
        classes=len(recipe.classes), say=say, progress=progress,
    )  # fmt: skip
    stopping = {}
    if config.early_stopping and watched is not None:
        losses = history["val_loss"]
        stopping = {
            "patience": config.early_stopping,
            "rows": len(watched),
            "epochs_run": len(losses),
            "best_epoch": losses.index(min(losses)) + 1,
        }
    predict = bundle.compile_predict(model, sum(each.width for each in features))
    return Fitted(model=model, history=history, predict=predict, stopping=stopping)


def fit(
    config: TrainConfig,
    training: Rows,
    watched: Rows | None,
    features: Sequence[Input],
    *,
    classes: int,
    say: Say | None = None,
    progress: Say | None = None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Builds the network and fits it; the same seed and data give the same weights.

    With early stopping, training ends and the weights are chosen by the watched rows' loss;
    otherwise nothing is chosen by them.

    The rows are shuffled only once: after ``keras.utils.set_random_seed``, Keras 3.15 on TensorFlow
    repeats the first epoch's order in all others, because the ``tf.random.shuffle`` of its data set
    restarts with each epoch's iterator. An unseeded run reshuffles.

    Args:
      config: the settings.
      training: what to train on, oversampled if it is to be.
      watched: rows to report the loss on after each epoch; None leaves that out.
      features: the network's inputs.
      classes: how many there are.
      say: called with a summary of the network, and with every fifth epoch.
      progress: called with every epoch, instead of `say`.

    Returns:
      The fitted model, and Keras' history: for each metric, a list with one value per epoch.
    """
    import_keras()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    inputs = matrix(training, features)
    model = network.build(
        inputs.shape[1], classes, learning_rate=config.learning_rate, hidden=config.hidden
    )
    model.steps_per_execution = _STEPS_TOGETHER
    if say is not None:
        lines: list[str] = []
        model.summary(print_fn=lambda text, **_: lines.append(text.rstrip()), line_length=72)
        for line in ("", *lines, ""):
            say(line)

    part = part_watched(config)

    def tell(epoch: int, logs: dict[str, float]) -> None:
        line = (
            f"epoch {epoch + 1:3}/{config.epochs}  loss {logs['loss']:.4f}  "
            f"accuracy {logs['accuracy']:.3f}  {part}: loss {logs['val_loss']:.4f}  "
            f"accuracy {logs['val_accuracy']:.3f}"
        )
        if progress:
            progress(line)
        elif say and ((epoch + 1) % 5 == 0 or epoch + 1 == config.epochs):
            say(line)

    options: dict[str, Any] = {}
    if watched is not None:
        options["validation_data"] = (
            matrix(watched, features), dataset.one_hot(watched.labels, classes)
        )  # fmt: skip
        options["callbacks"] = [keras.callbacks.LambdaCallback(on_epoch_end=tell)]
        if config.early_stopping:
            stop = keras.callbacks.EarlyStopping(
                patience=config.early_stopping, restore_best_weights=True
            )
            options["callbacks"].append(stop)
    history = model.fit(
        inputs,
        dataset.one_hot(training.labels, classes),
        epochs=config.epochs,
        batch_size=config.batch_size,
        verbose=0,
        **options,
    )
    return model, {name: [float(v) for v in values] for name, values in history.history.items()}


def part_watched(config: TrainConfig) -> str:
    """What the rows are called whose loss is reported after each epoch."""
    return "validation" if config.early_stopping else "held out"


def matrix(rows: Rows, features: Sequence[Input]) -> npt.NDArray[np.float32]:
    """The network's input, float32 ``[n, width]``."""
    return normalize(list(rows.raw.T), features)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that may affect the result."""
    import_keras()
    import keras
    import pandas as pd
    import sklearn
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "pandas": pd.__version__,
    }
