"""What all commands share: one-line errors, exit codes, and libraries that start up quietly."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from penguin_model.errors import PenguinError

INTERRUPTED = 130


class ArgumentParser(argparse.ArgumentParser):
    """Ends with one line and exit code 2 on bad arguments, instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the arguments, and ends the program."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def run(program: str, body: Callable[[], int], *, verbose: bool = False) -> int:
    """Runs a command's body and turns its errors into one line on standard error.

    Args:
      program: the command's name, for the line.
      body: does the work and returns the exit code.
      verbose: whether the traceback precedes the line.

    Returns:
      The exit code: the body's, the error's own, 1 for an unforeseen error, 130 when interrupted.
    """
    try:
        return body()
    except SystemExit as end:
        # The argument parser's, which has said why.
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PenguinError as error:
        message, code = str(error), error.exit_code
        _report(verbose)
    except Exception as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        message, code = f"{type(error).__name__}: {lines[0]}", 1
        if not verbose:
            message += " (--verbose shows where)"
        _report(verbose)
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def quiet_libraries(verbose: bool) -> None:
    """Silences the start-up noise of the libraries; call it before TensorFlow is imported."""
    if verbose:
        logging.basicConfig(level=logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN announces itself past every log level; networks of this size gain nothing from it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def _report(verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
