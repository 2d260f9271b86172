"""What all commands share: one-line errors, exit codes, and libraries that start up quietly.

Names come from files, manifests and other people's models, so a name may hold whatever a terminal
obeys. `run` lets none of it through to standard output or standard error, whoever prints;
`printable` also keeps a name from breaking a line in two.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TextIO

from penguin_model.errors import PenguinError

INTERRUPTED = 130

_NOT_PLAIN = re.compile(r"[^ -~]")
_NOT_PLAIN_LINES = re.compile(r"[^\t\n -~]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def printable(text: str) -> str:
    r"""Makes any text safe within one line on a terminal.

    Control characters (C0, C1, DEL), line and paragraph separators, marks that turn the direction
    of writing or can't be seen, and lone surrogates become escapes such as ``\x1b`` or ``\u202e``.
    Everything that can be seen stays, in whatever script.
    """
    return _NOT_PLAIN.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Like `printable`, but line feeds and tabs stay."""
    return _NOT_PLAIN_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    # Spaces other than the usual one aren't "printable" to Python, and do no harm.
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Escaping:
    """A text stream that escapes what a terminal would obey, or its encoding doesn't have."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        safe = printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(safe)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def overwrite_line(self, line: str, *, last: bool) -> None:
        self._stream.write(f"\r{printable(line)}" + ("\n" if last else ""))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """Escapes what is printed to standard output and standard error while the body runs."""
    before = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # None where a process has none.
        if stream is not None and not isinstance(stream, _Escaping):
            setattr(sys, name, _Escaping(stream))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def note(program: str, message: str) -> None:
    """Says on standard error what isn't an error, in one line."""
    print(f"{program}: note: {printable(message)}", file=sys.stderr)


def overwrite_line(line: str, *, last: bool) -> None:
    """Writes a line over the one before; the last one stays."""
    stream: Any = sys.stdout
    (stream if isinstance(stream, _Escaping) else _Escaping(stream)).overwrite_line(line, last=last)


class ArgumentParser(argparse.ArgumentParser):
    """Ends with one line and exit code 2 on bad arguments, instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the arguments, and ends the program."""
        self.exit(2, f"{self.prog}: error: {printable(message)} (see {self.prog} --help)\n")


def run(program: str, body: Callable[[], int], *, verbose: bool = False) -> int:
    """Runs a command's body and turns its errors into one line on standard error.

    Args:
      program: the command's name, for the line.
      body: does the work and returns the exit code.
      verbose: whether the traceback precedes the line.

    Returns:
      The exit code: the body's, the error's own, 1 for an unforeseen error, 130 when interrupted.
    """
    with escaped_streams():
        return _run(program, body, verbose)


def _run(program: str, body: Callable[[], int], verbose: bool) -> int:
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
    print(f"{program}: error: {printable(message.strip())}", file=sys.stderr)
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
