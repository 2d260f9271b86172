"""A model file and its card, kept together: save both, verify both, load both."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penguin_model import canonical, model_checks, model_files
from penguin_model.card import (
    ModelCard,
    Onnx,
    card_path,
    onnx_path,
    read_verified,
    read_verified_file,
)
from penguin_model.errors import CardError, ModelError, OutputError
from penguin_model.keras_settings import import_keras

if TYPE_CHECKING:
    import keras

MODEL_SUFFIXES = model_files.SUFFIXES
NOTHING: Mapping[str, bytes] = {}
_UNFINISHED = ".unfinished"


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A loaded network and its card.

    Attributes:
      card: the model card.
      model: the Keras model.
      predict: float32 ``[n, width]`` (normalized) to float32 ``[n, classes]`` probabilities; see
        `engines.Engine.load`. Traced once for any number of rows, so a changing batch size never
        retraces.
    """

    card: ModelCard
    model: keras.Model
    predict: model_checks.Predict


def save(
    model: keras.Model,
    path: str,
    card: ModelCard,
    *,
    onnx: tuple[bytes, Onnx] | None = None,
    beside: Mapping[str, bytes] = NOTHING,
) -> ModelCard:
    """Writes a model, its ONNX file and its card, the card last.

    The same network gives the same bytes.

    Args:
      model: the trained network.
      path: the file to write; its suffix, ``.keras`` or ``.h5``, sets the format.
      card: the card; its ``model_file``, ``sha256`` and ``onnx`` are filled in here.
      onnx: the ONNX file and the card's record of it, see `training.onnx_export`. None removes
        that of an earlier model.
      beside: other files to write with them, such as plots, by path.

    Returns:
      The card as written.

    Raises:
      ModelError: an unknown suffix.
      CardError: see `write_card`; then nothing has changed, either.
      OutputError: a file can't be written; then nothing has changed.
    """
    content = serialize(model, path)
    sha256 = hashlib.sha256(content).hexdigest()
    exported, record = onnx or (None, None)
    card = dataclasses.replace(card, model_file=os.path.basename(path), sha256=sha256, onnx=record)
    written = {path: content, onnx_path(path): exported, card_path(path): write_card(card, path)}
    replace({**beside, **written})
    return card


def write_card(card: ModelCard, path: str) -> bytes:
    """The content of a card's file, once it has been read by its own rules.

    Args:
      card: of the model, complete.
      path: the model's, for the message.

    Raises:
      CardError: it couldn't be read, as it's too large: there are too many classes or features.
    """
    content = card.to_json().encode()
    try:
        ModelCard.from_json(content)
    except CardError as error:
        raise CardError(f"the card of model {path} {error}") from error
    return content


def serialize(model: keras.Model, path: str) -> bytes:
    """The content of a model file; the same network gives the same bytes.

    Args:
      model: the network.
      path: its suffix, ``.keras`` or ``.h5``, sets the format; nothing is written there.

    Raises:
      ModelError: an unknown suffix.
      OutputError: no temporary file can be written.
    """
    suffix = os.path.splitext(path)[1]
    if suffix not in MODEL_SUFFIXES:
        raise ModelError(f"model {path}: the name must end in {' or '.join(MODEL_SUFFIXES)}")
    with _temporary_file(suffix) as saved:
        model.save(saved)
        with open(saved, "rb") as file:
            content = file.read()
    return canonical.archive(content) if suffix == ".keras" else content


def replace(files: Mapping[str, bytes | None]) -> None:
    """Replaces files, in this order, once all of them are written in full.

    Args:
      files: their contents by path; None removes a file.

    Raises:
      OutputError: one of them can't be written; then nothing has changed, as after any other
        error or Ctrl-C.
    """
    refuse_folders(files)
    unfinished = {path: f"{path}{_UNFINISHED}" for path in files}
    before: dict[str, bytes | None] = {}
    begun: list[str] = []
    try:
        for path in files:
            before[path] = _read(path)
        for path, content in files.items():
            if content is not None:
                _write(unfinished[path], content)
        for path, content in files.items():
            begun.append(path)
            _install(path, None if content is None else unfinished[path])
    except BaseException as error:
        for each in begun:
            _restore(each, files[each], before[each])
        if isinstance(error, OSError):
            # A full disk's error has no file name.
            raise OutputError(f"{path}: {error.strerror}") from error
        raise
    finally:
        for path in unfinished.values():
            with contextlib.suppress(OSError):
                os.remove(path)


def refuse_folders(paths: Iterable[str]) -> None:
    """Refuses to write files where there are folders.

    Raises:
      OutputError: names the first.
    """
    for path in paths:
        if os.path.isdir(path):
            raise OutputError(f"{path}: is a folder")


def _read(path: str) -> bytes | None:
    """The content of a file; None if there is none."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _install(path: str, source: str | None) -> None:
    """Moves a file to its place; None removes what is there."""
    if source is not None:
        os.replace(source, path)
    elif os.path.lexists(path):
        os.remove(path)


def _restore(path: str, replaced: bytes | None, content: bytes | None) -> None:
    """Puts back what was in a file, unless it still is, or someone else has written it since."""
    with contextlib.suppress(OSError):
        if _read(path) != replaced:
            return
        if content is not None:
            _write(f"{path}{_UNFINISHED}", content)
        _install(path, None if content is None else f"{path}{_UNFINISHED}")


def load(model_path: str) -> Classifier:
    """Loads a local model in Keras' safe mode, with the card beside it.

    Raises:
      CardError, ModelError: either is missing, or they don't belong together.
    """
    return load_with_card(model_path, read_verified(model_path))


def load_with_card(model_path: str, card: ModelCard) -> Classifier:
    """Loads a local model in Keras' safe mode with a card that was read before.

    Raises:
      ModelError: the file is missing, doesn't fit the card or doesn't answer probabilities, or
        Keras refuses it.
    """
    content = read_verified_file(model_path, card.sha256, model_path)
    try:
        return load_content(content, card, model_path)
    except ModelError as error:
        raise ModelError(f"model {model_path} {error}") from error


def load_content(content: bytes, card: ModelCard, shown: str) -> Classifier:
    """Loads the bytes of a model file in Keras' safe mode.

    Args:
      content: the very bytes that were checked, even if the file has changed since.
      card: the model's card.
      shown: the file's name; Keras goes by its suffix.

    Raises:
      ModelError: Keras refuses it, it doesn't fit the card, or it doesn't answer probabilities;
        says so without naming the file.
    """
    model = load_network(content, shown)
    return Classifier(card=card, model=model, predict=compile_checked(model, card))


def load_network(content: bytes, shown: str) -> keras.Model:
    """Loads the bytes of a model file in Keras' safe mode, without a card.

    Raises:
      ModelError: Keras refuses it; says so without naming the file.
      OutputError: no temporary file can be written.
    """
    import_keras()
    import keras

    _use_one_thread()
    suffix = os.path.splitext(shown)[1]
    with _temporary_file(suffix) as path:
        _write(path, content)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        # Layers' deserializers may raise anything; to a user it all means the same.
        except Exception as error:
            reason = model_checks.shorten(error).replace(path, shown)
            reason = model_files.explain(content, suffix, reason)
            raise ModelError(f"is refused: Keras cannot load it: {reason}") from error


@contextlib.contextmanager
def _temporary_file(suffix: str) -> Iterator[str]:
    """A path in a folder of its own: Keras reads and writes only files, and goes by their suffix.

    Raises:
      OutputError: it can't be written to.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="penguin-") as folder:
            yield os.path.join(folder, f"model{suffix}")
    except OSError as error:
        raise OutputError(
            f"no temporary file can be written: {error.strerror or error}; TMPDIR names another "
            "folder"
        ) from error


def compile_checked(model: keras.Model, card: ModelCard) -> model_checks.Predict:
    """Compiles a network once it fits its card, and checks that it answers probabilities.

    Raises:
      ModelError: says what doesn't fit, without naming the file.
    """
    model_checks.check_shapes(model, card)
    model_checks.check_last_layer(model)
    try:
        predict = compile_predict(model, card.width)
    # Layers may raise anything when they are traced.
    except Exception as error:
        raise model_checks.fails(error) from error
    model_checks.check_answers(predict, card)
    return predict


def _use_one_thread() -> None:
    """Makes TensorFlow score on the calling thread: the workers already use all cores."""
    import tensorflow as tf

    # TensorFlow refuses once it has computed anything, as after training: its threads then stay.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def run(model: keras.Model, rows: Any) -> Any:
    """The network's answers to a tensor ``[n, width]``, ``[n, outputs]`` in the network's type.

    Its only input and its only output may be in a list or a dict; a Sequential has no such
    structure.
    """
    import tensorflow as tf

    structure = getattr(model, "input", model.inputs[0])
    inputs = tf.nest.pack_sequence_as(structure, [rows])
    (answers,) = tf.nest.flatten(model(inputs, training=False))
    return answers


def answer(model: keras.Model, rows: Any) -> Any:
    """The network's probabilities of all classes, for whatever compiles or exports it.

    A single answer, as of a sigmoid, is the probability of the second of two classes.

    Args:
      model: a network of one input and one output.
      rows: a tensor, float32 ``[n, width]``.

    Returns:
      A tensor, float32 ``[n, classes]``.
    """
    import tensorflow as tf

    answers = run(model, rows)
    if answers.shape[1] == 1:
        answers = tf.concat([1 - answers, answers], axis=1)
    return tf.cast(answers, tf.float32)


def compile_predict(model: keras.Model, width: int) -> model_checks.Predict:
    """Compiles one call of the network for any number of rows.

    ``model.predict`` spends its time on batches of 32 and their callbacks, and retraces when the
    shape changes; a concrete function with an open first dimension does neither.
    """
    import tensorflow as tf

    def forward(by_column: Any) -> Any:
        return tf.transpose(answer(model, tf.transpose(by_column)))

    signature = [tf.TensorSpec([width, None], tf.float32)]
    # Autograph would bury a layer's error in a traceback.
    function = tf.function(forward, input_signature=signature, autograph=False)
    concrete = function.get_concrete_function()

    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        by_column = np.ascontiguousarray(matrix.T)
        probabilities: npt.NDArray[np.float32] = concrete(tf.constant(by_column)).numpy().T
        return probabilities

    return predict
