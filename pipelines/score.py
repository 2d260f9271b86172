"""The command `pipelines.score`: arguments in, exit code out."""

from __future__ import annotations

import importlib.abc
import itertools
import os
import sys
from collections.abc import Sequence

from penguin_model import cli, command_line

PROGRAM = "penguin-score"
# What Beam imports if it is installed, and a run on local files by Beam's own runner doesn't use.
# Keras does.
_UNUSED = ("IPython", "apitools", "boto3", "google.cloud", "pandas", "pymongo", "requests")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job.

    Args:
      argv: the arguments; None takes the command line's.

    Returns:
      0 published, 1 failed, 2 bad arguments, model or card, 3 held for its input, 4 held for drift
      or accuracy, 130 or 143 ended by a signal; with ``--check``, 0 if every file would be read and
      3 if not.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments

    def body() -> int:
        if "--version" in arguments:
            # Before Beam is imported, which takes seconds.
            print(command_line.versions(PROGRAM))
            return 0
        cli.require_docstrings()
        # Beam issues warnings while it is imported, so silence them first.
        cli.quiet_libraries(verbose)
        with cli.without_collection():
            from pipelines import job

        return job.run_command(PROGRAM, arguments, verbose)

    return cli.run(PROGRAM, body, verbose=verbose)


class _LeftOut(importlib.abc.MetaPathFinder):
    """Finds that some modules aren't there."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def leave_out_unused(arguments: Sequence[str]) -> None:
    """Keeps Beam from importing optional libraries that a run on local files doesn't use.

    They take longer to import than all that such a run needs. In this process they count as not
    installed, which Beam and pyarrow are prepared for.
    """
    engine = ""
    for argument, following in itertools.pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name == "--engine":
            # As the parser does, which isn't there yet: the last one counts.
            engine = value if equals else following
    is_elsewhere = any("://" in each or each.startswith("--runner") for each in arguments)
    # Beam logs what it doesn't find.
    if engine == "onnx" and not (is_elsewhere or "--verbose" in arguments):
        sys.meta_path.insert(0, _LeftOut())


def console() -> None:
    """The console script's entry point."""
    leave_out_unused(sys.argv)
    code = main()
    if code == 1 or code > 128:
        # A failed run leaves threads of its workers or of the connection to its runner. They would
        # keep the process alive for a while, or crash the interpreter while it ends.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    console()
