"""The command line of every command: flags, their values, help and versions."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from penguin_model.terminal import print_error

DISTRIBUTION = "penguin-scoring"
_LIBRARIES = (
    "apache-beam", "keras", "tensorflow", "tensorflow-cpu", "onnxruntime", "pyarrow", "numpy",
)  # fmt: skip
# How many unknown arguments a message names: a shell may have turned a pattern into thousands.
_SHOWN = 3


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
        print_error(self.prog, f"{message} (see {self.prog} --help)")
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
    spelt = {name.lower(): name for name in known if name != given}
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
