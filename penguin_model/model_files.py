"""Which files can be networks that Keras saved, by their names, and what to do with others."""

from __future__ import annotations

import os
import stat

from penguin_model.bundle import MODEL_SUFFIXES
from penguin_model.errors import ModelError

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
    if not name.endswith(MODEL_SUFFIXES):
        raise ModelError(
            f"model {path}: the name must end in {' or '.join(MODEL_SUFFIXES)}; {_KERAS_ONLY}"
        )
