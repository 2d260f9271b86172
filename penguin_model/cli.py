"""What all commands share: one-line errors, exit codes and quiet start-up."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from penguin_model.errors import PenguinError, UsageError, needs
from penguin_model.terminal import Colour, UnwrittenError, escaped_streams, print_error, reason_of

INTERRUPTED = 130
# What the exit codes of the commands about one model mean.
EXIT_CODES = {
    0: "it worked",
    1: "it failed, or its output could not be written",
    2: "bad arguments, model or card",
    INTERRUPTED: "interrupted by Ctrl-C",
}


def run(program: str, body: Callable[[], int], *, verbose: bool = False) -> int:
    """Runs a command's body and reports an error as one line on standard error.

    Args:
      program: the command's name, for the line.
      body: does the work and returns the exit code.
      verbose: whether the traceback precedes the line.

    Returns:
      The exit code: the body's, the error's own, 1 for an unexpected error, 130 if interrupted.
    """

    def flushed() -> int:
        try:
            code = body()
        except SystemExit as end:
            # Raised by the argument parser, which has already printed why.
            code = exit_code_of(end)
        except ModuleNotFoundError as error:
            raise UsageError(needs(error)) from error
        sys.stdout.flush()
        return code

    with escaped_streams():
        code = _run(program, flushed, verbose)
        # What is left of the output of a command that failed.
        with contextlib.suppress(UnwrittenError):
            sys.stdout.flush()
        return code


def _run(program: str, body: Callable[[], int], verbose: bool) -> int:
    try:
        return body()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except UnwrittenError as error:
        # A reader that closed the pipe, as `head` does, has seen enough.
        if isinstance(error.__cause__, BrokenPipeError):
            return 1
        message, code = f"cannot write to standard output: {reason_of(error)}", 1
        colour = Colour.RED
    except Exception as error:
        message, code = message_of(error), exit_code_of(error)
        colour = Colour.RED
        if isinstance(error, PenguinError):
            colour = Colour.RED if error.is_failure else Colour.YELLOW
        elif not verbose:
            message += " (--verbose shows where)"
        _report(verbose)
    print_error(program, message.strip(), colour)
    return code


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that ends with an error."""
    if isinstance(error, PenguinError):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def message_of(error: BaseException) -> str:
    """What an error says: its own text, or a line for one that nobody expected."""
    if isinstance(error, PenguinError):
        return str(error)
    lines = str(error).strip().splitlines() or [repr(error)]
    return f"{type(error).__name__}: {lines[0]}"


def require_docstrings() -> None:
    """Refuses a Python that strips docstrings; Beam's modules edit theirs while they are imported.

    Raises:
      UsageError: ``PYTHONOPTIMIZE=2`` or ``python -OO``.
    """
    if sys.flags.optimize > 1:
        raise UsageError(
            "Apache Beam cannot be imported without docstrings: unset PYTHONOPTIMIZE, or set it "
            "to 1"
        )


def quiet_libraries(verbose: bool) -> None:
    """Silences the libraries' start-up messages; call it before importing TensorFlow."""
    if verbose:
        logging.basicConfig(level=logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Else each flag of Beam's has gettext look for translations, which nobody has.
    os.environ.setdefault("LANGUAGE", "C")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("absl").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Imports in the body without garbage collection, which would go through all modules again.

    What was imported stays out of later collections, too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _report(verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
