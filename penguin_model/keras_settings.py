"""Keras as the models were trained and tested: on TensorFlow, in float32."""

from __future__ import annotations

import os
import threading

from penguin_model.errors import PenguinError

_BACKEND = "tensorflow"
_OURS = {
    "KERAS_BACKEND": _BACKEND,
    "KERAS_HOME": os.devnull,  # nothing is below it, and nothing can be created there
    # oneDNN adds in another order. Networks of this size gain nothing from it.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
_OTHERS = {"TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS"}
_lock = threading.Lock()


def import_keras() -> None:
    """Imports Keras without the settings of this machine or user.

    A model predicts the same everywhere, so neither variables such as `KERAS_BACKEND` nor
    ``~/.keras/keras.json``, which may name another backend or number format or be damaged, count.
    TensorFlow imports Keras too: call this before either is imported.

    Raises:
      ModuleNotFoundError: it or TensorFlow isn't installed, as in a slim image.
      PenguinError: the process has imported Keras with another backend before.
    """
    with _lock:
        theirs = {name: os.environ.pop(name) for name in list(os.environ) if _is_setting(name)}
        os.environ |= _OURS
        try:
            import keras
        finally:
            for name in _OURS:
                del os.environ[name]
            os.environ |= theirs
    if (found := keras.config.backend()) != _BACKEND:
        raise PenguinError(f"Keras was started with the backend {found}, not {_BACKEND}")


def _is_setting(name: str) -> bool:
    return name.startswith("KERAS_") or name in _OTHERS
