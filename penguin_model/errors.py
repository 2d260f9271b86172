"""The errors of the model's own commands: the root of the one exception tree.

Each class carries the exit code of a command that ends with it, and a code for machines::

    PenguinError          1  failed     the command could not do its work
    ├── GateError         1  gate       a trained network is not sound, so it is not installed
    ├── OutputError       1  output     the output cannot be written
    └── UsageError        2  usage      the arguments cannot be used
        ├── CardError     2  card       the model card is missing or malformed
        └── ModelError    2  model      the model is missing or does not fit its card

`pipelines.errors` goes on with what can happen to a batch-scoring run.
"""

from __future__ import annotations

from typing import ClassVar


class PenguinError(Exception):
    """Base of every error that the project raises on purpose: one clear line, no traceback.

    Attributes:
      exit_code: the exit code of a command that ends with it.
      code: names the kind of error to a program; unique in the tree, and stable.
      is_failure: False for a run that did its work and is held for people to look at.
    """

    exit_code: int = 1
    code: ClassVar[str] = "failed"
    is_failure: ClassVar[bool] = True


class GateError(PenguinError):
    """A trained network loses a class, is worse than the baseline or has diverged."""

    code = "gate"


class OutputError(PenguinError):
    """The output cannot be written or published."""

    code = "output"


class UsageError(PenguinError):
    """The arguments cannot be used."""

    exit_code = 2
    code = "usage"


class CardError(UsageError, ValueError):
    """The model card is missing or malformed.

    Also a ValueError, so that other readers of a card's records can add where the record was.
    """

    code = "card"


class ModelError(UsageError):
    """The model cannot be loaded, does not fit its card or does not answer with probabilities."""

    code = "model"


def needs(error: ModuleNotFoundError) -> str:
    """What to do about a library that isn't installed, as in a slim image (docs/dataflow.md)."""
    name = (error.name or str(error)).partition(".")[0]
    return f"needs {name}, which isn't installed here: install all of penguin-scoring's packages"
