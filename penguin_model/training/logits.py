"""Networks that end in logits, with softmax or sigmoid appended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from penguin_model import model_checks
from penguin_model.errors import ModelError

if TYPE_CHECKING:
    import keras

FLAG = "--logits"


def path_of(model_path: str) -> str:
    """The path of the network with probabilities: ``x.keras`` has ``x.probabilities.keras``."""
    return f"{os.path.splitext(model_path)[0]}.probabilities.keras"


def append(model: keras.Model) -> keras.Model:
    """Appends softmax, or sigmoid to a single logit; in float32, whatever the logits are.

    Args:
      model: a network of one input and one output, ``[n, k]``.

    Raises:
      ModelError: its last layer has an activation, so it doesn't end in logits; doesn't name the
        file.
    """
    import keras

    proper = model_checks.proper_activation(model_checks.measure(model).outputs == 1)
    last = model_checks.find_last_activation(model)
    if last is not None and not last.may_make_logits:
        remedy = (
            f"register it without {FLAG}"
            if last.name == proper
            else "end the network with a layer without an activation"
        )
        raise ModelError(
            f"doesn't end in logits: its last layer, {last.layer}, has the activation {last.name}; "
            f"{remedy}"
        )
    taken = {layer.name for layer in model.layers}
    name = "probabilities"
    while name in taken:
        name += "_"
    activation = keras.layers.Activation(proper, name=name, dtype="float32")
    # Explicit names, so that a second one in the same process is saved identically.
    return keras.Model(model.inputs[0], activation(model.outputs[0]), name="classifier")


def refuse_probabilities(answers: npt.NDArray[np.float32]) -> None:
    """Refuses answers that are probabilities already, where the last layer didn't say so.

    A single number for each row is, if none is below 0 or above 1: as a logit, it would be the same
    class for every row.

    Args:
      answers: float32 ``[n, k]`` to the data and to other plausible rows, before anything was
        appended.

    Raises:
      ModelError: they are; doesn't name the file.
    """
    if answers.shape[1] == 1:
        answers = np.concatenate([1 - answers, answers], axis=1)
    if model_checks.find_improper(list(np.ascontiguousarray(answers.T))) is None:
        raise ModelError(
            f"answers with probabilities already, not with logits; register it without {FLAG}"
        )
