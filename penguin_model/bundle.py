"""A model file and its card, kept together: save both, verify both, load both."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model.card import ModelCard, card_path, read_verified, read_verified_model
from penguin_model.errors import ModelError
from penguin_model.keras_settings import import_keras

if TYPE_CHECKING:
    import keras

MODEL_SUFFIXES = (".keras", ".h5")

_shared: dict[str, Classifier] = {}
_shared_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A loaded network and its card.

    Attributes:
      card: the model card.
      model: the Keras model.
      predict: float32 ``[n, features]`` (normalized) to float32 ``[n, classes]`` probabilities.
        Traced once for any number of rows, so a changing batch size never retraces; may be
        called from any number of threads.
    """

    card: ModelCard
    model: keras.Model
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def save(model: keras.Model, path: str, card: ModelCard) -> ModelCard:
    """Writes a model and its card, the card last.

    Args:
      model: the trained network.
      path: the file to write; its suffix, ``.keras`` or ``.h5``, sets the format.
      card: the card; its ``model_file`` and ``sha256`` are filled in here.

    Returns:
      The card as written.

    Raises:
      ModelError: an unknown suffix.
    """
    stem, suffix = os.path.splitext(path)
    if suffix not in MODEL_SUFFIXES:
        raise ModelError(f"model {path}: the name must end in {' or '.join(MODEL_SUFFIXES)}")
    # Keras picks the format by suffix, so the unfinished file has the same.
    unfinished = f"{stem}.unfinished{suffix}"
    model.save(unfinished)
    with open(unfinished, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    card = dataclasses.replace(card, model_file=os.path.basename(path), sha256=sha256)
    with open(f"{unfinished}.card", "w", encoding="utf-8") as file:
        file.write(card.to_json())
    os.replace(unfinished, path)
    os.replace(f"{unfinished}.card", card_path(path))
    return card


def load(model_path: str) -> Classifier:
    """Loads a local model in Keras' safe mode, with the card beside it.

    Raises:
      CardError, ModelError: either is missing, or they don't belong together.
    """
    return load_with_card(model_path, read_verified(model_path))


def load_with_card(model_path: str, card: ModelCard) -> Classifier:
    """Loads a local model in Keras' safe mode with a card that was read before.

    Raises:
      ModelError: the file is missing, doesn't fit the card, or Keras refuses it.
    """
    content = read_verified_model(card, model_path)
    import_keras()
    import keras

    _use_one_thread()

    # Load the very bytes that were checked, even if the file has changed since. Keras reads only
    # files, and goes by their suffix.
    with tempfile.TemporaryDirectory(prefix="penguin-") as folder:
        path = os.path.join(folder, f"model{os.path.splitext(model_path)[1]}")
        with open(path, "wb") as file:
            file.write(content)
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        # Layers' deserializers may raise anything; to a user it all means the same.
        except Exception as error:
            lines = str(error).replace(path, model_path).strip().splitlines() or [repr(error)]
            raise ModelError(f"model {model_path}: Keras cannot load it: {lines[0]}") from error
    _check_widths(model, card, model_path)
    return Classifier(card=card, model=model, predict=compile_predict(model, len(card.features)))


def _use_one_thread() -> None:
    """Makes TensorFlow score on the calling thread: the workers already use all cores."""
    import tensorflow as tf

    # TensorFlow refuses once it has computed anything, as after training: its threads then stay.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def load_shared(model_path: str, card: ModelCard) -> tuple[Classifier, bool]:
    """Loads a model once per process; later callers, from any thread, share it.

    The key is the card's SHA-256: the same bytes are the same model, whatever their path.

    Returns:
      The classifier, and whether this call loaded it.
    """
    with _shared_lock:
        loaded = card.sha256 not in _shared
        if loaded:
            _shared[card.sha256] = load_with_card(model_path, card)
        return _shared[card.sha256], loaded


def compile_predict(
    model: keras.Model, width: int
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Compiles one call of the network for any number of rows.

    ``model.predict`` spends its time on batches of 32 and their callbacks, and retraces when the
    shape changes; a concrete function with an open first dimension does neither.
    """
    import tensorflow as tf

    def forward(matrix: Any) -> Any:
        return model(matrix, training=False)

    signature = [tf.TensorSpec([None, width], tf.float32)]
    concrete = tf.function(forward, input_signature=signature).get_concrete_function()

    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        probabilities: npt.NDArray[np.float32] = concrete(tf.constant(matrix)).numpy()
        return probabilities

    return predict


def _check_widths(model: keras.Model, card: ModelCard, path: str) -> None:
    """Refuses a network whose input or output width doesn't fit its card."""
    for what, shape, names in (
        ("input", model.input_shape, card.feature_names),
        ("output", model.output_shape, card.classes),
    ):
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[-1] != len(names):
            raise ModelError(
                f"model {path} does not fit its card: its {what} has shape {shape}, "
                f"the card names {len(names)}: {', '.join(names)}"
            )
