"""The ways a run can fail: the pipeline's branches of the one exception tree.

The root and the errors of model, arguments and output come from `penguin_model.errors`::

    PenguinError          1  failed     the job could not do its work
    ├── GateError         1  gate       a trained network is not sound, so it is not installed
    ├── OutputError       1  output     the output cannot be written
    ├── DamagedError      1  damaged    a file of an earlier run is damaged
    ├── ConflictError     1  conflict   another run published the same input file meanwhile
    ├── ReconcileError    1  reconcile  counts disagree: rows would be lost, nothing is published
    ├── ChangedFileError  1  changed    an input file changed while it was read
    ├── InputError        1  input      the input can't be listed, or --fail_on_empty found none
    ├── UsageError        2  usage      bad arguments
    │   ├── CardError     2  card       the model card is missing or malformed
    │   ├── ModelError    2  model      the model is missing or does not fit its card
    │   └── RunExistsError 2 run_exists the run id is taken
    ├── InterruptedRunError 130 interrupted a signal ended the run (SIGTERM: 143)
    └── HeldError         3  held       the run did its work, and is held for people to look at
        ├── RejectsError  3  rejects    more rows rejected than allowed
        ├── UnreadableFilesError 3 unreadable_files more files unreadable than allowed
        ├── FewRowsError  3  min_rows   fewer rows scored than wanted
        ├── DriftError    4  drift      the data drifted further than allowed
        └── AccuracyError 4  accuracy   the accuracy is lower than wanted

The code of an error of a held run is the manifest's ``held_because``.
"""

from __future__ import annotations

from penguin_model.errors import CardError, ModelError, OutputError, PenguinError, UsageError

__all__ = [
    "AccuracyError",
    "CardError",
    "ChangedFileError",
    "ConflictError",
    "DamagedError",
    "DriftError",
    "FewRowsError",
    "HeldError",
    "InputError",
    "InterruptedRunError",
    "ModelError",
    "OutputError",
    "PenguinError",
    "ReconcileError",
    "RejectsError",
    "RunExistsError",
    "UnreadableFilesError",
    "UsageError",
    "of_code",
]


class DamagedError(PenguinError):
    """A file of an earlier run, below the output root, isn't what its name says."""

    code = "damaged"


class ConflictError(PenguinError):
    """Another run published one of the input files while this one scored it."""

    code = "conflict"


class ReconcileError(PenguinError):
    """The counts of what was read, written and published don't agree."""

    code = "reconcile"


class ChangedFileError(PenguinError):
    """An input file changed between planning and the end of reading."""

    code = "changed"


class InputError(PenguinError):
    """The input can't be listed, or there is none and ``--fail_on_empty`` was given."""

    code = "input"


class RunExistsError(UsageError):
    """The run id is already published, or another run is publishing it."""

    code = "run_exists"


class InterruptedRunError(PenguinError):
    """A signal ended the run; nothing is published.

    Args:
      message: names the signal.
      exit_code: the shell's for that signal.
    """

    exit_code = 130
    code = "interrupted"

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class HeldError(PenguinError):
    """The run did its work, but a limit holds it; nothing was published.

    Exit code 3 is about what came in, 4 about what the model makes of it.
    """

    exit_code = 3
    code = "held"
    is_failure = False


class RejectsError(HeldError):
    """More rows were rejected than the limit allows."""

    code = "rejects"


class UnreadableFilesError(HeldError):
    """More files couldn't be read in full than the limit allows."""

    code = "unreadable_files"


class FewRowsError(HeldError):
    """Fewer rows were scored than wanted."""

    code = "min_rows"


class DriftError(HeldError):
    """The data drifted further than the limit allows."""

    exit_code = 4
    code = "drift"


class AccuracyError(HeldError):
    """The accuracy, measured or estimated, is lower than wanted."""

    exit_code = 4
    code = "accuracy"


def of_code(code: str) -> type[PenguinError]:
    """Finds the class of an error's code.

    Raises:
      KeyError: no error has this code.
    """
    return _classes(PenguinError)[code]


def _classes(kind: type[PenguinError]) -> dict[str, type[PenguinError]]:
    known = {kind.code: kind}
    for child in kind.__subclasses__():
        known |= _classes(child)
    return known
