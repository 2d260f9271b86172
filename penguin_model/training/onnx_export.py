"""The same network for ONNX Runtime: exported, compared with Keras' answers, and saved."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model import bundle, model_checks
from penguin_model.card import ModelCard, Onnx
from penguin_model.engines.onnx_engine import OnnxEngine
from penguin_model.errors import ModelError
from penguin_model.features import normalize
from penguin_model.model_checks import Predict

if TYPE_CHECKING:
    import keras

# The largest difference of a probability from Keras' answer. Rounding in float32 makes a hundredth
# of it.
MOST_DIFFERENCE = 1e-5
PLAUSIBLE_ROWS = 100_000
_NEEDED = ("onnx", "tf2onnx")
_EXTRA = "pip install 'penguin-scoring[onnx]'"


def save(
    model: keras.Model,
    path: str,
    card: ModelCard,
    *,
    known: npt.NDArray[np.float32],
    say: Callable[[str], None],
    beside: Mapping[str, bytes] = bundle.NOTHING,
) -> ModelCard:
    """Saves a model with its card, and with its ONNX file if it can have one.

    Args:
      model: the network.
      path: the model file to write.
      card: the card; what it says about the files is filled in here.
      known: the training data, float32 ``[n, width]``, normalized.
      say: called with a line that says why there is no ONNX file, if there is none.
      beside: see `bundle.save`.

    Returns:
      The card as written.

    Raises:
      ModelError, OutputError: see `bundle.save`.
    """
    exported = try_export(model, card, known, say=say)
    return bundle.save(model, path, card, onnx=exported, beside=beside)


def try_export(
    model: keras.Model,
    card: ModelCard,
    known: npt.NDArray[np.float32],
    *,
    say: Callable[[str], None],
) -> tuple[bytes, Onnx] | None:
    """See `export`; says in a line why there is no ONNX file, if there is none."""
    try:
        return export(model, card, known)
    except ModelError as error:
        say(f"No ONNX file, so --engine=onnx can't run this model: {error}")
        return None


def export(
    model: keras.Model, card: ModelCard, known: npt.NDArray[np.float32]
) -> tuple[bytes, Onnx]:
    """Exports a network, and compares the answers with Keras' own.

    The same network gives the same bytes. The file takes rows, as everyone expects of an ONNX
    classifier; for columns see `onnx_columns`.

    Args:
      model: the network, which answers probabilities.
      card: its card.
      known: the training data, float32 ``[n, width]``, normalized. The answers are also compared
        for `PLAUSIBLE_ROWS` rows of the card's ranges.

    Returns:
      The file's content, and the card's record of it.

    Raises:
      ModelError: the extra ``onnx`` isn't installed, the network can't be exported, or a
        probability differs by more than `MOST_DIFFERENCE`; says so without naming the file.
    """
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ModelError(f"{name} isn't installed: {_EXTRA}")
    from penguin_model.training import onnx_columns

    try:
        with _silenced():
            content = onnx_columns.rewrite(_convert(model, card.width)).SerializeToString()
    except ModelError:
        raise
    # The libraries raise anything, and assertions too.
    except Exception as error:
        raise ModelError(f"tf2onnx can't export it: {model_checks.shorten(error)}") from error
    made_up = model_checks.plausible_rows(card, PLAUSIBLE_ROWS)
    rows = np.concatenate([known, normalize(list(made_up.T), card.features)])
    largest = _compare(bundle.compile_predict(model, card.width), content, card, rows)
    record = Onnx(
        sha256=hashlib.sha256(content).hexdigest(),
        opset=onnx_columns.OPSET,
        largest_difference=largest,
        rows=len(rows),
    )
    return content, record


def _convert(model: keras.Model, width: int) -> Any:
    """The network as tf2onnx writes it.

    Keras' own ``model.export(format="onnx")`` calls the same library, but leaves the constants of
    a Normalization layer as further inputs of the graph. Frozen before, they are part of it.
    """
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework import convert_to_constants

    from penguin_model.training import onnx_columns

    function = tf.function(lambda rows: bundle.answer(model, rows), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec([None, width], tf.float32))
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        concrete, aggressive_inlining=True
    )
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(add_shapes=True),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=onnx_columns.OPSET,
    )
    return converted


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Hides the libraries' logs and warnings about each other."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _compare(
    predict: Predict, content: bytes, card: ModelCard, rows: npt.NDArray[np.float32]
) -> float:
    """The largest difference of a probability between the two engines.

    Raises:
      ModelError: it's too large, or ONNX Runtime refuses the file.
    """
    try:
        other = OnnxEngine().load(content, card, "")
    except ModelError as error:
        raise ModelError(f"what tf2onnx exports {error}") from error
    largest = float(np.abs(predict(rows) - other(rows)).max())
    # NaN fails the comparison.
    if not largest <= MOST_DIFFERENCE:
        raise ModelError(
            f"ONNX Runtime's probabilities differ from Keras' by up to {largest:.1e}, more than "
            f"{MOST_DIFFERENCE:g}"
        )
    return largest
