"""Which files can be networks that Keras saved, and what to do with others."""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile

from penguin_model.errors import ModelError
from penguin_model.names import find_control

SUFFIXES = (".keras", ".h5")
_SAVE_AS = "save it with model.save('NAME.keras') in Keras"
_KERAS_ONLY = "only a network that Keras saved as .keras or .h5 can be used"
# Suffixes of what else people keep models in, and what to do.
_OTHERS = {
    ".weights.h5": f"has weights without their network; load them into it and {_SAVE_AS}",
    ".weights.json": f"has weights without their network; {_SAVE_AS}",
    ".hdf5": "ends in .hdf5; rename it to end in .h5",
    ".json": f"is a network without its weights, or none; {_SAVE_AS}",
    ".pb": f"is a TensorFlow graph, as in a SavedModel; load it where it was made and {_SAVE_AS}",
    ".tflite": f"is a TensorFlow Lite model; {_KERAS_ONLY}",
    ".onnx": f"is an ONNX model; {_KERAS_ONLY}",
    ".pkl": f"is a pickle, which can run any code; {_KERAS_ONLY}",
    ".pickle": f"is a pickle, which can run any code; {_KERAS_ONLY}",
    ".joblib": f"is a pickle, which can run any code; {_KERAS_ONLY}",
    ".pt": f"is a PyTorch model; {_KERAS_ONLY}",
    ".pth": f"is a PyTorch model; {_KERAS_ONLY}",
    ".ckpt": f"is a checkpoint of weights; {_SAVE_AS}",
}
_HDF5 = b"\x89HDF\r\n\x1a\n"
# What Keras, HDF5, ZIP and JSON say of files that end early, or that have other contents than Keras
# saves.
_DAMAGED = re.compile(
    r"config\.json'|synchronously|^Bad (CRC|magic|offset)|compression|Expected a model\.weights"
    r"|^Expecting "
)
# What Keras says of layers and functions that aren't its own.
_CODE = re.compile(
    r"Could not (?:locate|deserialize) \w+ '[^']*'|Unknown [\w ]+: '[^']*'"
    r"|Cannot deserialize object of type `[^`]*`|Could not interpret [\w ]+ identifier"
    r"|Requested the deserialization of a (?:`Lambda` layer|Python lambda)"
)
_NO_CODE = (
    "code in a file isn't run, so build the network of Keras' own layers and keras.ops, without "
    "Lambda and classes of your own"
)
_OPS_IN_HDF5 = "; a .h5 file can't hold keras.ops, so save it as .keras"


def check(path: str) -> None:
    """Refuses a path that can't be a network saved by Keras.

    Raises:
      ModelError: says what it is and what would work.
    """
    try:
        kind = os.stat(path).st_mode
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}") from error
    if stat.S_ISDIR(kind):
        what = (
            f"is a SavedModel; load it where it was made and {_SAVE_AS}"
            if os.path.exists(os.path.join(path, "saved_model.pb"))
            else f"is a folder; {_KERAS_ONLY}"
        )
        raise ModelError(f"model {path}: {what}")
    if not stat.S_ISREG(kind):
        raise ModelError(f"model {path}: is not a file")
    name = os.path.basename(path)
    for suffix, what in _OTHERS.items():
        if name.lower().endswith(suffix):
            raise ModelError(f"model {path}: {what}")
    if os.path.splitext(name)[1] not in SUFFIXES:
        raise ModelError(
            f"model {path}: the name must end in {' or '.join(SUFFIXES)}, as NAME.keras does; "
            f"{_KERAS_ONLY}"
        )
    if find_control(name):
        raise ModelError(f"model {path}: the name has a control character; rename it")


def read(path: str) -> bytes:
    """The content of a model file.

    Raises:
      ModelError: it can't be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}") from error


def explain(content: bytes, suffix: str, reason: str) -> str:
    """Says why Keras can't load a file, and what would work.

    Args:
      content: the file's.
      suffix: of its name.
      reason: what Keras says.
    """
    is_archive, is_hdf5 = zipfile.is_zipfile(io.BytesIO(content)), content.startswith(_HDF5)
    is_right_kind = is_archive if suffix == ".keras" else is_hdf5
    code = _CODE.search(reason)
    explanations = (
        (not content, "the file is empty"),
        (suffix == ".h5" and is_archive, "it is a .keras file; rename it to end in .keras"),
        (suffix == ".keras" and is_hdf5, "it is an HDF5 file; rename it to end in .h5"),
        (
            not is_right_kind or _DAMAGED.search(reason),
            f"it isn't a {suffix} file, or a damaged one; {_SAVE_AS}",
        ),
        (
            "No model config" in reason,
            f"it has weights without their network; load them into it and {_SAVE_AS}",
        ),
        (code, f"{code and code[0]}; {_NO_CODE}{_OPS_IN_HDF5 * (suffix == '.h5')}"),
    )
    return next((text for applies, text in explanations if applies), reason)
