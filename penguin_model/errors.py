"""The exceptions of the project, in one tree.

Each class knows the exit code that a command ends with when the error reaches ``main``::

    PenguinError          1  the job could not do its work
    ├── OutputError       1  the output cannot be written
    ├── DamagedError      1  a file of an earlier run is damaged
    ├── ConflictError     1  another run published the same file meanwhile
    ├── ReconcileError    1  counts do not add up: rows would be lost, so nothing is published
    ├── ChangedFileError  1  an input file changed while it was read
    ├── UsageError        2  bad arguments
    │   ├── CardError     2  the model card is missing or malformed
    │   ├── ModelError    2  the model is missing or does not fit its card
    │   └── RunExistsError 2 the run id is taken
    ├── RejectsError      3  more rows rejected than allowed; held back
    └── DriftError        4  the data have drifted further than allowed; held back
"""

from __future__ import annotations


class PenguinError(Exception):
    """Base of every error that the project raises on purpose: one clear line, no traceback."""

    exit_code = 1


class OutputError(PenguinError):
    """The output cannot be written or published."""


class DamagedError(PenguinError):
    """A file of an earlier run, below the output root, cannot be what its name says."""


class ConflictError(PenguinError):
    """Another run published one of the files while this one scored it."""


class ReconcileError(PenguinError):
    """The counts of what was read, written and published do not agree."""


class ChangedFileError(PenguinError):
    """An input file changed between planning and the end of reading."""


class UsageError(PenguinError):
    """The arguments cannot be used."""

    exit_code = 2


class CardError(UsageError):
    """The model card is missing or malformed."""


class ModelError(UsageError):
    """The model file is missing, cannot be loaded or does not fit its card."""


class RunExistsError(UsageError):
    """The run id is published already, or another run is publishing it."""


class RejectsError(PenguinError):
    """More rows were rejected than the budget allows; nothing was published."""

    exit_code = 3


class DriftError(PenguinError):
    """The data have drifted further than is allowed; nothing was published."""

    exit_code = 4
