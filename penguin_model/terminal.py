"""Standard output and standard error: text that is safe on a terminal, colours, and lost streams.

Names come from files, manifests and other people's models, so a name may contain control sequences.
`escaped_streams` keeps them away from the terminal, whatever prints them; `printable` also keeps a
name from breaking a line in two. Colours are the exception: `print_coloured` adds them around a
text.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

# What a stream raises that can't be written to; ValueError if it is closed.
_UNWRITABLE = (OSError, ValueError)
_STANDARD_ERROR = 2

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


class UnwrittenError(Exception):
    """Text for standard output can't be written; the cause says why."""


class _Escaping:
    """A text stream that escapes control sequences, and what its encoding can't represent.

    Args:
      stream: where the text goes.
      lossy: whether text that can't be written is dropped instead of raising an error.
    """

    def __init__(self, stream: TextIO, *, lossy: bool = False) -> None:
        self._stream = stream
        self._lossy = lossy

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        safe = printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)
        with self._noticed():
            self._stream.write(safe)
        return len(text)

    def flush(self) -> None:
        with self._noticed():
            self._stream.flush()

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        """Silences the stream when it can't be written to, and raises the error unless lossy."""
        try:
            yield
        except _UNWRITABLE as error:
            _silence(self._stream)
            if not self._lossy:
                raise UnwrittenError from error

    def write_coloured(self, text: str, colour: Colour | None) -> None:
        if colour is None or not _shows_colours(self._stream):
            self.write(text)
            return
        with self._noticed():
            self._stream.write(f"\x1b[{colour.value}m")
            self.write(text)
            self._stream.write("\x1b[0m")

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def overwrite_line(self, line: str, *, last: bool) -> None:
        with self._noticed():
            self._stream.write(f"\r{printable(line)}" + ("\n" if last else ""))
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Closed(io.StringIO):
    """Stands for a standard output that the process was started without."""

    def write(self, _: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def _silence(stream: TextIO) -> None:
    """Points a stream that can't be written to at the null device.

    Python flushes what is left in it at exit, and ends with code 120 if that fails.
    """
    with contextlib.suppress(*_UNWRITABLE), open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), stream.fileno())


def _fill_closed_descriptors() -> None:
    """Opens the null device for each standard stream that the process was started without.

    Otherwise the next files that it opens take their places, and a library's message on
    descriptor 2 ends up in a shard.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(opened)


@contextlib.contextmanager
def escaped_streams() -> Iterator[None]:
    """Escapes everything printed to standard output and standard error inside the block.

    A standard error that can't be written to loses its text: a remark on a published run must not
    make it fail.
    """
    before = sys.stdout, sys.stderr
    _fill_closed_descriptors()
    # A stream is None if the process has none.
    sys.stdout = _escaping(sys.stdout or _Closed())
    sys.stderr = _escaping(sys.stderr or io.StringIO(), lossy=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _escaping(stream: Any, *, lossy: bool = False) -> Any:
    return stream if isinstance(stream, _Escaping) else _Escaping(stream, lossy=lossy)


def note(program: str, message: str) -> None:
    """Prints a one-line remark, not an error, to standard error."""
    print(f"{program}: note: {printable(message)}", file=sys.stderr)


@contextlib.contextmanager
def telling(program: str, what: str) -> Iterator[None]:
    """For printing what a command has done, which stays done if the text can't be written.

    Args:
      program: the command's name, for the note that says so.
      what: names the text in that note, such as ``summary``.
    """
    try:
        yield
        sys.stdout.flush()
    except UnwrittenError as error:
        # Whatever else the command prints there is lost too, after one note.
        sys.stdout = _escaping(io.StringIO())
        note(program, f"the {what} could not be written to standard output: {reason_of(error)}")


def reason_of(error: UnwrittenError) -> str:
    """Says why text couldn't be written."""
    cause = error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause)


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


def print_error(program: str, message: str, colour: Colour = Colour.RED) -> None:
    """Prints the one line that a command ends with."""
    if sys.stderr is not None:
        print_coloured(f"{program}: error:", colour, sys.stderr, end=" ")
        print(printable(message), file=sys.stderr)
