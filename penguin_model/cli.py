"""What all commands share: one-line errors, exit codes and quiet start-up.

Names come from files, manifests and other people's models, so a name may contain control sequences.
`run` keeps them away from the terminal, whatever prints them; `printable` also keeps a name from
breaking a line in two. Colours are the exception: `print_coloured` adds them around a text.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
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


class Colour(enum.Enum):
    """Colours of a terminal, by their ANSI numbers."""

    RED = 31
    GREEN = 32
    YELLOW = 33


def printable(text: str) -> str:
    r"""Makes any text safe within one line on a terminal.

    Control characters (C0, C1, DEL), line and paragraph separators, characters that are
    invisible or change the writing direction, and lone surrogates become escapes such as ``\x1b``
    or ``\u202e``. All visible characters stay, in any script.
    """
    return _NOT_PLAIN.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Like `printable`, but line feeds and tabs stay."""
    return _NOT_PLAIN_LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    # Python doesn't count unusual spaces as printable, but they do no harm.
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Escaping:
    """A text stream that escapes control sequences, and what its encoding can't represent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        safe = printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(safe)
        return len(text)

    def write_coloured(self, text: str, colour: Colour | None) -> None:
        if colour is None or not _shows_colours(self._stream):
            self.write(text)
            return
        self._stream.write(f"\x1b[{colour.value}m")
        self.write(text)
        self._stream.write("\x1b[0m")

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
    """Escapes everything printed to standard output and standard error inside the block."""
    before = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # None if the process has no such stream.
        if stream is not None and not isinstance(stream, _Escaping):
            setattr(sys, name, _Escaping(stream))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def note(program: str, message: str) -> None:
    """Prints a one-line remark, not an error, to standard error."""
    print(f"{program}: note: {printable(message)}", file=sys.stderr)


def overwrite_line(line: str, *, last: bool) -> None:
    """Replaces the current line of the terminal; the last one stays."""
    stream: Any = sys.stdout
    (stream if isinstance(stream, _Escaping) else _Escaping(stream)).overwrite_line(line, last=last)


def print_coloured(
    text: str, colour: Colour | None, stream: TextIO | None, *, end: str = "\n"
) -> None:
    """Prints in a colour if the stream is a terminal that shows it and ``NO_COLOR`` isn't set.

    Args:
      text: control sequences in it are escaped.
      colour: None means the terminal's own.
      stream: None means that the process has no such stream.
      end: printed after the text, as it is.
    """
    if stream is not None:
        escaping = stream if isinstance(stream, _Escaping) else _Escaping(stream)
        escaping.write_coloured(text, colour)
        stream.write(end)


def _shows_colours(stream: TextIO) -> bool:
    # See no-color.org: any value but an empty one counts.
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def _print_error(program: str, message: str, colour: Colour = Colour.RED) -> None:
    if sys.stderr is not None:
        print_coloured(f"{program}: error:", colour, sys.stderr, end=" ")
        print(printable(message), file=sys.stderr)


class ArgumentParser(argparse.ArgumentParser):
    """Exits with one line and code 2 on bad arguments, instead of printing the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong with the arguments, and exits."""
        _print_error(self.prog, f"{message} (see {self.prog} --help)")
        self.exit(2)


def run(program: str, body: Callable[[], int], *, verbose: bool = False) -> int:
    """Runs a command's body and reports an error as one line on standard error.

    Args:
      program: the command's name, for the line.
      body: does the work and returns the exit code.
      verbose: whether the traceback precedes the line.

    Returns:
      The exit code: the body's, the error's own, 1 for an unexpected error, 130 if interrupted.
    """
    with escaped_streams():
        return _run(program, body, verbose)


def _run(program: str, body: Callable[[], int], verbose: bool) -> int:
    try:
        return body()
    except SystemExit as end:
        # Raised by the argument parser, which has already printed why.
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed our output, as `head` does: there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PenguinError as error:
        message, code = str(error), error.exit_code
        colour = Colour.RED if error.is_failure else Colour.YELLOW
        _report(verbose)
    except Exception as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        message, code, colour = f"{type(error).__name__}: {lines[0]}", 1, Colour.RED
        if not verbose:
            message += " (--verbose shows where)"
        _report(verbose)
    _print_error(program, message.strip(), colour)
    return code


def quiet_libraries(verbose: bool) -> None:
    """Silences the libraries' start-up messages; call it before importing TensorFlow."""
    if verbose:
        logging.basicConfig(level=logging.INFO)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN prints a message at any log level; networks of this size gain nothing from it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def _report(verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
