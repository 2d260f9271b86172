"""The command `penguin-runs`: arguments in, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from penguin_model import cli
from pipelines.review import options
from pipelines.review.options import COMMANDS, PROGRAM


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments

    def body() -> int:
        if not arguments or arguments[0] not in COMMANDS:
            return _explain(arguments)
        name, *flags = arguments
        # Before Beam is imported, which takes seconds.
        options.build_parser(name).parse_known_args(flags)
        cli.require_docstrings()
        cli.quiet_libraries(verbose)
        from pipelines.review import actions

        return actions.run(name, flags)

    return cli.run(PROGRAM, body, verbose=verbose)


def _explain(arguments: Sequence[str]) -> int:
    """Shows the help or the versions; refuses anything else that isn't a sub-command."""
    parser = options.build_overview()
    if not arguments or not {"--help", "-h", "--version"}.intersection(arguments):
        if not arguments or arguments[0].startswith("-"):
            parser.error(f"name a command first: {', '.join(COMMANDS)}")
        parser.parse_args(arguments[:1])
    parser.parse_args(arguments)
    return 0


def console() -> None:
    """The console script."""
    sys.exit(main())
