"""What all commands share: one-line errors, exit codes and quiet start-up.

Names come from files, manifests and other people's models, so a name may contain control sequences.
`run` keeps them away from the terminal, whatever prints them; `printable` also keeps a name from
breaking a line in two. Colours are the exception: `print_coloured` adds them around a text.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import enum
import errno
import io
import logging
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TextIO

from penguin_model.errors import PenguinError, UsageError

DISTRIBUTION = "penguin-scoring"
INTERRUPTED = 130
_LIBRARIES = ("apache-beam", "keras", "tensorflow", "tensorflow-cpu", "pyarrow", "numpy")
# What the exit codes of the commands about one model mean.
EXIT_CODES = {
    0: "it worked",
    1: "it failed, or its output could not be written",
    2: "bad arguments, model or card",
    INTERRUPTED: "interrupted by Ctrl-C",
}

# What a stream raises that can't be written to; ValueError if it is closed.
_UNWRITABLE = (OSError, ValueError)
_STANDARD_ERROR = 2
# How many unknown arguments a message names: a shell may have turned a pattern into thousands.
_SHOWN = 3

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


class _UnwrittenError(Exception):
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
                raise _UnwrittenError from error

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
    except _UnwrittenError as error:
        # Whatever else the command prints there is lost too, after one note.
        sys.stdout = _escaping(io.StringIO())
        note(program, f"the {what} could not be written to standard output: {_reason(error)}")


def _reason(error: _UnwrittenError) -> str:
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


def _print_error(program: str, message: str, colour: Colour = Colour.RED) -> None:
    if sys.stderr is not None:
        print_coloured(f"{program}: error:", colour, sys.stderr, end=" ")
        print(printable(message), file=sys.stderr)


class ArgumentParser(argparse.ArgumentParser):
    """The parser of every command.

    It takes flags with underscores or dashes, suggests what a misspelt one could mean, and exits
    with one line and code 2 on bad arguments instead of printing the whole usage. Help goes on with
    examples and exit codes.

    Args:
      settings: argparse's own.
      examples: command lines for the help.
      exit_codes: what each means, for the help.
      file_names: attributes whose values name files that exist, so may be any bytes.
    """

    def __init__(
        self,
        *,
        examples: Sequence[str] = (),
        exit_codes: Mapping[int, str] | None = None,
        file_names: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})
        self._examples = examples
        self._file_names = file_names
        self._exit_codes = exit_codes or {}
        self.add_argument(
            "--version",
            action=_ShowVersions,
            nargs=0,
            default=argparse.SUPPRESS,
            help="show the versions of the project and its libraries, and exit",
        )

    def normalize(self, arguments: Sequence[str]) -> list[str]:
        """Spells each flag as it was added, whichever of underscores and dashes it is given with.

        Values stay as they are, and so does everything after ``--``.
        """
        known = {name.replace("-", "_"): name for name in self._option_string_actions}
        flags, separator, others = _partition(arguments)
        spelt = []
        for argument in flags:
            name, equals, value = argument.partition("=")
            if name.startswith("--") and name not in self._option_string_actions:
                name = known.get(name.replace("-", "_"), name)
            spelt.append(f"{name}{equals}{value}")
        return [*spelt, *separator, *others]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the arguments, and refuses blank ones and those that aren't text."""
        arguments = self.normalize(sys.argv[1:] if args is None else args)
        self._refuse_unusable(arguments)
        return super().parse_known_args(arguments, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the arguments, and refuses unknown ones."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            shown = " ".join(unknown[:_SHOWN]) + " …" * (len(unknown) > _SHOWN)
            self.error(f"unrecognized arguments: {shown}{self._advise(unknown[0])}")
        return parsed

    def _refuse_unusable(self, arguments: Sequence[str]) -> None:
        """Refuses empty values, which often are a script's unset variable.

        A flag whose type says what is wrong with a value gets any text.
        """
        flag = ""
        for argument in _partition(arguments)[0]:
            if argument.startswith("--"):
                flag, equals, value = argument.partition("=")
                if not equals:
                    continue
            else:
                value = argument
            action = self._option_string_actions.get(flag)
            if flag and action is None:
                continue
            what = f"{flag} {value!r}".strip()
            if "\0" in value:
                self.error(f"{what} has a NUL character")
            if action is None or action.type in (None, str):
                if not value or value.isspace():
                    self.error(f"{what} is blank: give a value, or leave it out")
                if not is_text(value) and (action is None or action.dest not in self._file_names):
                    self.error(f"{what} is not UTF-8 text: give another name")
            flag = ""

    def _advise(self, unknown: str) -> str:
        """What could be meant by an argument that isn't known."""
        if not unknown.startswith("-"):
            return "; put a pattern such as 'data/*' in quotes"
        name = unknown.partition("=")[0].lstrip("-").replace("-", "_")
        return did_you_mean(f"--{name}", self._option_string_actions)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise

    def format_help(self) -> str:
        """The help, with examples and exit codes at its end."""
        text = super().format_help()
        if self._examples:
            text += "\nexamples:\n" + "".join(f"  {example}\n" for example in self._examples)
        if self._exit_codes:
            lines = (f"  {code:<4} {meaning}\n" for code, meaning in self._exit_codes.items())
            text += "\nexit codes:\n" + "".join(lines)
        return text

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong with the arguments, and exits."""
        _print_error(self.prog, f"{message} (see {self.prog} --help)")
        self.exit(2)


class _ShowVersions(argparse.Action):
    """Prints the versions and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(versions(parser.prog))
        parser.exit()


def versions(program: str) -> str:
    """The installed versions of the project and of its libraries, none of which is imported."""
    import importlib.metadata
    import platform

    found = [f"Python {platform.python_version()}"]
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    try:
        own = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        own = "(not installed)"
    return f"{program} {own} ({', '.join(found)})"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a message that names what is most like the text given; empty if nothing is."""
    spelt = {name.lower(): name for name in known}
    nearest = difflib.get_close_matches(given.lower(), spelt, n=1, cutoff=0.7)
    return f"; did you mean {spelt[nearest[0]]}?" if nearest else ""


def is_text(value: str) -> bool:
    """Whether an argument is text, and not bytes that aren't UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _partition(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Splits a command line into the arguments before, at and after ``--``."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end : end + 1], arguments[end + 1 :]


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
            code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        return code

    with escaped_streams():
        code = _run(program, flushed, verbose)
        # What is left of the output of a command that failed.
        with contextlib.suppress(_UnwrittenError):
            sys.stdout.flush()
        return code


def _run(program: str, body: Callable[[], int], verbose: bool) -> int:
    try:
        return body()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except _UnwrittenError as error:
        # A reader that closed the pipe, as `head` does, has seen enough.
        if isinstance(error.__cause__, BrokenPipeError):
            return 1
        message, code = f"cannot write to standard output: {_reason(error)}", 1
        colour = Colour.RED
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
    # oneDNN prints a message at any log level; networks of this size gain nothing from it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def _report(verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
