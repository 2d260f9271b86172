"""The model file on any filesystem, its card and the loaded network."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading

from penguin_model import engines
from penguin_model.card import RESTORE, ModelCard, card_path, read_verified, read_verified_file
from penguin_model.engines import DEFAULT_ENGINE, ENGINES
from penguin_model.model_checks import Predict
from pipelines import storage
from pipelines.errors import CardError, ModelError

# Metrics can only be updated inside a step, but the model may be loaded before the first one.
_loads = 0
_loads_lock = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The file of a network, and the engine to run it on.

    Attributes:
      engine: a name in `engines.ENGINES`.
      path: the file; workers may get a copy's.
      shown: the file as the user named it, for messages.
    """

    engine: str
    path: str
    shown: str

    @classmethod
    def of_model(cls, model_path: str, engine: str = DEFAULT_ENGINE) -> Network:
        """The file that an engine loads for a model."""
        path = ENGINES[engine].file_of(model_path)
        return cls(engine=engine, path=storage.absolute(path), shown=path)

    def copied(self, folder: str) -> Network:
        """The same network, copied to a folder."""
        path = storage.join(folder, os.path.basename(self.path))
        return dataclasses.replace(self, path=path)


def find_network(model_path: str, card: ModelCard, engine: str = DEFAULT_ENGINE) -> Network:
    """The file that an engine loads for a model, checked.

    Args:
      model_path: the model.
      card: the model's card, from `read_card`.
      engine: a name in `engines.ENGINES`.

    Raises:
      ModelError: the model has no such file, or another one than its card says.
    """
    network = Network.of_model(model_path, engine)
    engines.find_sha256(ENGINES[engine], card, model_path)
    # The card was read with the model itself.
    if network.shown != model_path:
        read_network(network, card)
    return network


def read_network(network: Network, card: ModelCard) -> bytes:
    """Reads the file of a network.

    Raises:
      ModelError: it's missing, or another one than the card says.
    """
    sha256 = ENGINES[network.engine].sha256_of(card)
    try:
        with storage.local_copy(network.path) as path:
            return read_verified_file(path, sha256, network.shown)
    except storage.ERRORS as error:
        reason = storage.reason_of(error)
        raise ModelError(f"model {network.shown}: {reason}; {RESTORE}") from error


def read_card(model_path: str) -> ModelCard:
    """Reads the card beside a model, and checks that the two match.

    Raises:
      CardError: the card is missing or malformed.
      ModelError: the model is missing or doesn't match its card.
    """
    local = storage.local_path(model_path)
    return _read_remote_card(model_path) if local is None else read_verified(local)


def _read_remote_card(model_path: str) -> ModelCard:
    try:
        card = ModelCard.from_json(storage.read_bytes(card_path(model_path)))
        found = hashlib.sha256(storage.read_bytes(model_path)).hexdigest()
    except storage.ERRORS as error:
        raise ModelError(f"model {model_path} or its card: {storage.reason_of(error)}") from error
    except CardError as error:
        raise CardError(f"model card {card_path(model_path)}: {error}") from error
    if found != card.sha256:
        raise ModelError(f"model {model_path} does not fit its card: its SHA-256 is {found[:12]}…")
    return card


def load_shared(network: Network, card: ModelCard) -> Predict:
    """Loads a local or remote network once per process; see `engines.load_shared`.

    Raises:
      ModelError: it doesn't match its card, or the engine refuses it.
    """
    global _loads  # noqa: PLW0603 - a count for the whole process, under its lock
    # Engines only read local files.
    with storage.local_copy(network.path) as path:
        predict, loaded = engines.load_shared(ENGINES[network.engine], path, card, network.shown)
    with _loads_lock:
        _loads += loaded
    return predict


def take_loads() -> int:
    """Returns how often this process has loaded a model since the previous call."""
    global _loads
    with _loads_lock:
        taken, _loads = _loads, 0
    return taken
