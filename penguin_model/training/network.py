"""The network: hidden layers with relu, and a softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penguin_model.keras_settings import import_keras

if TYPE_CHECKING:
    import keras

HIDDEN = (10, 10)


def build(
    features: int, classes: int, *, learning_rate: float, hidden: Sequence[int] = HIDDEN
) -> keras.Model:
    """Builds and compiles the classifier, with fresh weights from Keras' random seed.

    Args:
      features: width of the input, float32 ``[n, features]``.
      classes: width of the output, float32 ``[n, classes]``; each row sums to 1.
      learning_rate: Adam's step size.
      hidden: the units of each hidden layer.

    Returns:
      The model, compiled for one-hot labels.
    """
    import_keras()
    import keras

    # Explicit names, so that a second model in the same process is saved identically.
    layers = [keras.Input((features,), name="measurements", dtype="float32")]
    layers += [
        keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")
        for number, units in enumerate(hidden, start=1)
    ]
    layers.append(keras.layers.Dense(classes, activation="softmax", name="probabilities"))
    model = keras.Sequential(layers, name="classifier")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, name="adam"),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        # Compiling with XLA takes longer than training a network of this size.
        jit_compile=False,
    )
    return model
