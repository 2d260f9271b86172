"""The command `pipelines.score`: arguments in, exit code out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from penguin_model import cli, command_line

PROGRAM = "penguin-score"


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
        from pipelines import job

        return job.run_command(PROGRAM, arguments, verbose)

    return cli.run(PROGRAM, body, verbose=verbose)


def console() -> None:
    """The console script's entry point."""
    code = main()
    if code == 1 or code > 128:
        # A failed run leaves threads of its workers or of the connection to its runner. They would
        # keep the process alive for a while, or crash the interpreter while it ends.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    console()
