"""What an engine has to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penguin_model.card import ModelCard
from penguin_model.model_checks import Predict


class Engine(Protocol):
    """One way to run a network."""

    @property
    def name(self) -> str:
        """The value of ``--engine``."""

    @property
    def packages(self) -> Sequence[str]:
        """The distributions whose versions the predictions may depend on."""

    def file_of(self, model_path: str) -> str:
        """The path of the file to load: the model itself, or a file beside it."""

    def sha256_of(self, card: ModelCard) -> str:
        """The hexadecimal SHA-256 of that file.

        Raises:
          ModelError: the card has no such file; says so without naming the model.
        """

    def load(self, content: bytes, card: ModelCard, shown: str) -> Predict:
        """Loads a network and checks that it fits its card and answers with probabilities.

        Args:
          content: the file's bytes, verified.
          card: the model's card.
          shown: the file's name; its suffix may say how to read it.

        Returns:
          A function from float32 ``[n, width]`` (normalized, in any memory order) to float32
          ``[n, classes]`` (column by column in memory) that may be called from any number of
          threads, and computes on the calling one.

        Raises:
          ModelError: it can't be used; says why without naming the file.
        """
