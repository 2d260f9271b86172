"""The settings of a training run, and the fit itself."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model import bundle
from penguin_model.card import DEFAULT_MODEL, Input
from penguin_model.errors import UsageError
from penguin_model.features import normalize
from penguin_model.keras_settings import import_keras
from penguin_model.training import dataset, network

if TYPE_CHECKING:
    import keras

Say = Callable[[str], None]

# Steps that TensorFlow takes by itself before Keras looks at them. The weights are the same to the
# bit; an epoch of a network of this size takes half as long, and without validation a third.
_STEPS_TOGETHER = 96
MOST_REPEATS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of a training run.

    Attributes:
      data: the CSV file of labelled penguins.
      model: the model file to write, ``.keras`` or ``.h5``.
      plots: the folder for the plots; empty means beside the model.
      epochs, batch_size, learning_rate: what Adam trains with.
      seed: of the initial weights and the order of the rows.
      cross_validation: how often to cross-validate the recipe; 0 leaves it out.
      force: whether to install a network that the gate refuses.
    """

    data: str = "data/penguins.csv"
    model: str = DEFAULT_MODEL
    plots: str = ""
    epochs: int = 50
    batch_size: int = 10
    learning_rate: float = 0.001
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
        if not self.model.endswith(bundle.MODEL_SUFFIXES):
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

    def for_card(self) -> dict[str, Any]:
        """The settings as the card records them, without paths."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": "Adam",
            "learning_rate": self.learning_rate,
            "loss": "categorical cross-entropy",
            "seed": self.seed,
            "split_seed": dataset.SPLIT_SEED,
            "oversampling": 2**dataset.DOUBLINGS,
            "hidden_layers": list(network.HIDDEN),
        }


def fit(
    config: TrainConfig,
    training: dataset.Birds,
    test: dataset.Birds | None,
    features: Sequence[Input],
    *,
    say: Say | None = None,
    progress: Say | None = None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """Builds the network and fits it; the same seed and data give the same weights.

    Nothing is chosen by the test part: it is only watched.

    The rows are shuffled only once: after ``keras.utils.set_random_seed``, Keras 3.15 on TensorFlow
    repeats the first epoch's order in all others, because the ``tf.random.shuffle`` of its data set
    restarts with each epoch's iterator. An unseeded run reshuffles.

    Args:
      config: the settings.
      training: what to train on, oversampled if it is to be.
      test: rows to report the loss on after each epoch; None leaves that out.
      features: the network's inputs.
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
    classes = len(dataset.CLASSES)
    model = network.build(len(features), classes, learning_rate=config.learning_rate)
    model.steps_per_execution = _STEPS_TOGETHER
    if say is not None:
        lines: list[str] = []
        model.summary(print_fn=lambda text, **_: lines.append(text.rstrip()), line_length=72)
        for line in ("", *lines, ""):
            say(line)

    def tell(epoch: int, logs: dict[str, float]) -> None:
        line = (
            f"epoch {epoch + 1:3}/{config.epochs}  loss {logs['loss']:.4f}  "
            f"accuracy {logs['accuracy']:.3f}  held out: loss {logs['val_loss']:.4f}  "
            f"accuracy {logs['val_accuracy']:.3f}"
        )
        if progress:
            progress(line)
        elif say and ((epoch + 1) % 5 == 0 or epoch + 1 == config.epochs):
            say(line)

    watched: dict[str, Any] = {}
    if test is not None:
        watched["validation_data"] = (
            matrix(test, features), dataset.one_hot(test.labels, classes)
        )  # fmt: skip
        watched["callbacks"] = [keras.callbacks.LambdaCallback(on_epoch_end=tell)]
    history = model.fit(
        matrix(training, features),
        dataset.one_hot(training.labels, classes),
        epochs=config.epochs,
        batch_size=config.batch_size,
        verbose=0,
        **watched,
    )
    return model, {name: [float(v) for v in values] for name, values in history.history.items()}


def matrix(birds: dataset.Birds, features: Sequence[Input]) -> npt.NDArray[np.float32]:
    """The network's input, float32 ``[n, features]``."""
    return normalize(list(birds.raw.T), features)


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
