"""What networks run on, behind one small interface; another engine is one module and one line.

In: the bytes of a file that a card describes. Out: a function from normalized rows to
probabilities. Each engine imports its library only when it loads a network.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from penguin_model import model_checks
from penguin_model.card import ModelCard, read_verified_file
from penguin_model.engines.interface import Engine
from penguin_model.engines.keras_engine import KerasEngine
from penguin_model.engines.onnx_engine import OnnxEngine
from penguin_model.errors import ModelError
from penguin_model.model_checks import Predict

__all__ = ["DEFAULT_ENGINE", "ENGINES", "Engine", "load_shared"]

ENGINES: Mapping[str, Engine] = {each.name: each for each in (KerasEngine(), OnnxEngine())}
DEFAULT_ENGINE = KerasEngine.name

_shared: dict[tuple[str, str], Predict] = {}
_shared_lock = threading.Lock()


def load_shared(engine: Engine, path: str, card: ModelCard, shown: str) -> tuple[Predict, bool]:
    """Loads a network once per process; later callers, from any thread, share it.

    The key is the card, which has the file's SHA-256: the path may be another copy's.

    Args:
      engine: what to run it on.
      path: the local file that the engine loads, see `Engine.file_of`.
      card: the model's card.
      shown: the file's name in messages: the user's, where the path is that of a copy.

    Returns:
      The network, and whether this call loaded it.

    Raises:
      ModelError: the file is missing, doesn't fit the card or can't be loaded, or its network
        doesn't answer probabilities.
    """
    key = engine.name, card.to_json()
    with _shared_lock:
        loaded = key not in _shared
        if loaded:
            content = read_verified_file(path, engine.sha256_of(card), shown)
            try:
                _shared[key] = _naming(shown, engine.load(content, card, shown))
            except ModelError as error:
                raise ModelError(f"model {shown} {error}") from error
        return _shared[key], loaded


def _naming(shown: str, predict: Predict) -> Predict:
    """The same function, whose errors name the model and are one line."""

    def named(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            return predict(matrix)
        # Layers may raise anything when they are run.
        except Exception as error:
            reason = model_checks.shorten(error)
            raise ModelError(f"model {shown} fails on rows of the input: {reason}") from error

    return named
