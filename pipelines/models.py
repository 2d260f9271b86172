"""The model file on any filesystem: its card, its copy in staging, and the loaded network."""

from __future__ import annotations

import hashlib
import os
import tempfile

from penguin_model import bundle
from penguin_model.card import ModelCard, card_path, read_verified
from penguin_model.errors import CardError, ModelError
from pipelines import storage


def read_card(model_path: str) -> ModelCard:
    """Reads the card beside a model, and checks that the two belong together.

    Raises:
      CardError, ModelError: either is missing, or they do not fit.
    """
    if storage.is_local(model_path):
        return read_verified(storage.absolute(model_path))
    try:
        card = ModelCard.from_json(storage.read_bytes(card_path(model_path)).decode())
        found = hashlib.sha256(storage.read_bytes(model_path)).hexdigest()
    except storage.ERRORS as error:
        raise ModelError(f"model {model_path} or its card: {storage.reason_of(error)}") from error
    except (CardError, UnicodeDecodeError) as error:
        raise CardError(f"model card {card_path(model_path)}: {error}") from error
    if found != card.sha256:
        raise ModelError(f"model {model_path} does not fit its card: its SHA-256 is {found[:12]}…")
    return card


def load_shared(model_path: str, card: ModelCard) -> tuple[bundle.Classifier, bool]:
    """Loads a model once per process, wherever it lies; see `bundle.load_shared`.

    Raises:
      ModelError: it does not fit its card, or Keras refuses it.
    """
    if storage.is_local(model_path):
        return bundle.load_shared(storage.absolute(model_path), card)
    with tempfile.TemporaryDirectory() as folder:
        # Keras reads local files, and goes by the suffix.
        path = os.path.join(folder, os.path.basename(model_path))
        storage.write_bytes(path, storage.read_bytes(model_path))
        return bundle.load_shared(path, card)
