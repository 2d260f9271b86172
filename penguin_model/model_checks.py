"""Whether a loaded network fits its card, and whether its answers are probabilities.

A network can have the right widths and still answer scores of any size, or answer a row differently
in other company. So its last layer is looked at, and it answers made-up observations before it sees
any real ones.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penguin_model.card import Category, ModelCard
from penguin_model.errors import ModelError
from penguin_model.features import normalize
from penguin_model.formatting import listed

if TYPE_CHECKING:
    import keras

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

# Rounding in float32 moves the sum of a softmax, and the answer to a row among other rows, by less
# than a hundredth of this, even with a thousand classes.
TOLERANCE = 1e-4
PROBABILITIES = "probabilities are finite, in [0, 1] and sum to 1"
_OVERFLOW = "check its weights, and the card's scales and ranges"
_TRACED = "Graph execution error:"
_NATIVE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (/\S+ .+\) )?")
_BOLD = re.compile(r"\x1b\[1m(.+?)\x1b\[0m", re.DOTALL)
# Made-up observations, and how many of them are also answered one by one.
_PROBES = 64
_ALONE = 16


def find_improper(by_class: Sequence[npt.NDArray[np.float32]]) -> int | None:
    """Finds the first row whose answers aren't finite, in [0, 1] and a sum of 1.

    Looks at whole columns: NumPy's reductions along rows of three take many times as long.

    Args:
      by_class: one contiguous array ``[n]`` per class.

    Returns:
      The row, or None if there is none.
    """
    if not len(by_class[0]):
        return None
    # NaN fails every comparison.
    inside = all(column.min() >= 0 and column.max() <= 1 for column in by_class)
    if inside:
        total = sum(by_class[1:], by_class[0])
        if total.min() >= 1 - TOLERANCE and total.max() <= 1 + TOLERANCE:
            return None
    answers = np.stack(by_class)
    # The sum of infinities of both signs is NaN, of which NumPy warns.
    with np.errstate(invalid="ignore"):
        is_one = np.abs(answers.sum(axis=0) - 1) <= TOLERANCE
    proper = is_one & (answers >= 0).all(axis=0) & (answers <= 1).all(axis=0)
    return None if proper.all() else int(proper.argmin())


def show_answer(card: ModelCard, answer: npt.NDArray[np.float32]) -> str:
    """A row's answers as text, for a message."""
    return listed([f"{name} {value:g}" for name, value in zip(card.classes, answer, strict=True)])


class Widths(NamedTuple):
    """How many numbers a network takes and answers for each row."""

    inputs: int
    outputs: int


def measure(model: keras.Model) -> Widths:
    """Measures a network that takes one matrix of decimal numbers and answers another.

    Raises:
      ModelError: it takes or answers something else; says what, without naming the file.
    """
    try:
        ends = {"input": list(model.inputs), "output": list(model.outputs)}
    # A network that hasn't been built has none, or None.
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            "has no input shape; begin the network with keras.Input, or call it once before saving"
        ) from error
    return Widths(*(_measure_end(what, found) for what, found in ends.items()))


def _measure_end(what: str, found: Sequence[Any]) -> int:
    if len(found) != 1:
        wanted = "one matrix of all features" if what == "input" else "one of the probabilities"
        raise ModelError(f"has {len(found)} {what}s instead of {wanted}")
    shape, kind = tuple(found[0].shape), str(found[0].dtype)
    # A Sequential without an Input records the rows that it was called with first, though it takes
    # any number of them: whether a network does is seen when it's run.
    if len(shape) != 2 or shape[1] is None:
        wanted, row = {
            "input": ("features", "take rows of numbers, the features of an observation"),
            "output": ("classes", "answer each row with the probabilities of its classes"),
        }[what]
        raise ModelError(
            f"can't be used: its {what} has shape {shape} instead of (None, {wanted}); it must "
            f"{row}"
        )
    if "float" not in kind:
        raise ModelError(f"can't be used: its {what} has type {kind}; it must be float32")
    return int(shape[1])


def check_shapes(model: keras.Model, card: ModelCard) -> None:
    """Refuses a network that can't take the card's features or answer its classes.

    A single answer, the probability of the second class, does for two classes.

    Raises:
      ModelError: says what doesn't fit, without naming the file.
    """
    widths = measure(model)
    check_precision(model)
    if widths.inputs != card.width:
        names = card.feature_names
        numbers = "" if card.width == len(names) else f", in {card.width} numbers"
        raise ModelError(
            f"does not fit its card: its input has shape (None, {widths.inputs}), the card names "
            f"{len(names)}{numbers}: {listed(names)}"
        )
    classes = len(card.classes)
    if widths.outputs != classes and (widths.outputs, classes) != (1, 2):
        remedy = f"; end the network with a softmax of {classes} units" * (widths.outputs == 1)
        raise ModelError(
            f"does not fit its card: its output has shape (None, {widths.outputs}), the card names "
            f"{classes}: {listed(card.classes)}{remedy}"
        )


def check_precision(model: keras.Model) -> None:
    """Refuses a network whose probabilities have so few digits that their sum isn't 1.

    Raises:
      ModelError: says what type they have, without naming the file.
    """
    kind = str(model.outputs[0].dtype)
    if kind not in {"float32", "float64"}:
        raise ModelError(
            f"can't be used: its output has type {kind}; give the last layer dtype='float32'"
        )


class LastActivation(NamedTuple):
    """The last layer of a network, and its activation: a name that Keras knows."""

    layer: str
    name: str

    @property
    def may_make_logits(self) -> bool:
        """Logarithms of probabilities are logits, too: softmax makes the probabilities of them."""
        return self.name in ("linear", "log_softmax")


def find_last_activation(model: keras.Model) -> LastActivation | None:
    """Finds what a network ends with; None for a layer without an activation that Keras knows."""
    import keras

    layer: Any = model
    while isinstance(layer, keras.Model):
        # A graph has operations that aren't layers; its only output comes from the last one.
        layer = getattr(layer, "operations", layer.layers)[-1]
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", "")
    is_known = activation is not None and getattr(keras.activations, name, None) is activation
    return LastActivation(layer.name, name) if is_known else None


def check_last_layer(model: keras.Model) -> None:
    """Refuses a network whose last layer has another of Keras' activations than softmax.

    A single answer must come from a sigmoid. Layers without an activation, and with one that Keras
    doesn't know, are left to `probe`.

    Raises:
      ModelError: says which, without naming the file.
    """
    last, is_single = find_last_activation(model), measure(model).outputs == 1
    if last is not None and last.name != proper_activation(is_single):
        raise ModelError(
            f"doesn't answer with probabilities: its last layer, {last.layer}, has the activation "
            f"{last.name}; {_advise(is_single, last.may_make_logits)}"
        )


def proper_activation(is_single: bool) -> str:
    """The activation that makes probabilities of logits."""
    return "sigmoid" if is_single else "softmax"


def _advise(is_single: bool, may_be_logits: bool) -> str:
    """What to do about answers that aren't probabilities."""
    logits = ", or register it with --logits" * may_be_logits
    if is_single:
        logits += " if its answer is a logit" * may_be_logits
        return (
            f"for two classes, end the network with sigmoid{logits}; the number that a regression "
            "answers isn't a class"
        )
    return (
        f"end the network with softmax, and train it with a loss that has from_logits=False{logits}"
    )


def check_answers(predict: Predict, card: ModelCard) -> None:
    """Refuses a network that fails on made-up plausible observations, or as `probe` says.

    Raises:
      ModelError: says how, without naming the file.
    """
    try:
        probe(predict, card)
    except ModelError:
        raise
    # Layers may raise anything when they are run.
    except Exception as error:
        raise fails(error) from error


def fails(error: Exception) -> ModelError:
    """The error of a network that can't be run."""
    return ModelError(
        f"fails on plausible observations: {shorten(error)}; it must take any number of rows, each "
        "with the card's features, and all values in their plausible ranges"
    )


def shorten(error: Exception) -> str:
    """What a library's error says, in one short line.

    Keras puts the innermost error last, after the configuration of the layers around it, or in
    bold; TensorFlow, after a traceback whose lines are indented; ONNX Runtime, after a number and
    the place in its code.
    """
    text = _NATIVE.sub("", str(error).rpartition("Exception encountered: ")[2], count=1)
    bold = _BOLD.search(text)
    lines = (bold[1] if bold else text).strip().splitlines()
    if lines and lines[0] == _TRACED:
        lines = [line for line in lines if line and not line[0].isspace()][-1:]
    return textwrap.shorten(lines[0], 200, placeholder=" …") if lines else repr(error)


def probe(predict: Predict, card: ModelCard) -> None:
    """Refuses a network that doesn't answer made-up plausible observations with probabilities.

    Raises:
      ModelError: shows an answer, without naming the file.
    """
    raw = plausible_rows(card, _PROBES)
    matrix = normalize(list(raw.T), card.features)
    together = predict(matrix)
    if together.shape != (_PROBES, len(card.classes)):
        raise ModelError(
            f"does not fit its card: it answers with {together.shape[1]} numbers, the card names "
            f"{len(card.classes)} classes"
        )
    bad = find_improper(list(np.ascontiguousarray(together.T)))
    if bad is not None:
        raise ModelError(
            f"doesn't answer with probabilities: {show_answer(card, together[bad])} for "
            f"{_show_row(card, raw[bad])}; "
            f"{_advise(False, True) if np.isfinite(together[bad]).all() else _OVERFLOW}"
        )
    for row in range(0, _PROBES, _PROBES // _ALONE):
        alone = predict(matrix[[row]])[0]
        # NaN fails the comparison.
        if not np.abs(alone - together[row]).max() <= TOLERANCE:
            raise ModelError(
                f"answers a row by itself with {show_answer(card, alone)}, but among others with "
                f"{show_answer(card, together[row])}: {_show_row(card, raw[row])}; its layers "
                "must not be random or depend on other rows when it predicts"
            )


def plausible_rows(card: ModelCard, rows: int) -> npt.NDArray[np.float64]:
    """Corners, the middle and random points of the card's ranges, always the same ones.

    Returns:
      float64 ``[rows, features]``, raw units or codes.
    """
    low = np.array([feature.minimum for feature in card.features])
    high = np.array([feature.maximum for feature in card.features])
    random = np.random.default_rng(0)
    points = random.random((rows, len(low)))
    points[: rows // 3] = np.rint(points[: rows // 3])
    points[:3] = [[0.0], [0.5], [1.0]]
    found = low + points * (high - low)
    codes = [isinstance(feature, Category) for feature in card.features]
    found[:, codes] = np.rint(found[:, codes])
    return np.asarray(found)


def _show_row(card: ModelCard, row: npt.NDArray[np.float64]) -> str:
    shown = [
        f"{each.name} "
        + (each.categories[int(value)] if isinstance(each, Category) else f"{value:g}")
        for each, value in zip(card.features, row, strict=True)
    ]
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
