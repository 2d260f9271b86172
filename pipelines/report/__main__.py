"""The command `pipelines.report`: writes one run, or the index, as a self-contained HTML page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from penguin_model import cli, command_line, terminal
from pipelines.report import write, write_index

PROGRAM = "penguin-report"


def build_parser() -> command_line.ArgumentParser:
    """Builds the parser of the command's own flags."""
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Writes a self-contained HTML page about a run, and the index over all runs.",
        epilog="The options of Beam's filesystems, such as --s3_endpoint_url, are accepted too.",
        examples=[
            f"{PROGRAM} --output output",
            f"{PROGRAM} --output output --run_id night-1 --to page.html",
            f"{PROGRAM} --output output --index",
        ],
        exit_codes=cli.EXIT_CODES | {1: "it failed", 2: "bad arguments, or no such run"},
    )
    parser.add_argument(
        "--output", required=True, metavar="PATH", help="the output root of the runs"
    )
    parser.add_argument(
        "--run_id",
        metavar="NAME",
        help="a run that was published or held (default: the published run that ended last)",
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="where to write the page (default: reports/NAME.html below the output root)",
    )
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="the model whose card has the training histograms (default: the run's model)",
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help="write only reports/index.html, the page over all runs; it is also written with every "
        "page below the output root",
    )
    parser.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a report and prints its path; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments

    def body() -> int:
        build_parser().parse_known_args(arguments)
        cli.require_docstrings()
        cli.quiet_libraries(verbose)
        from pipelines.storage import flags

        parser = build_parser()
        options, _ = flags.parse_with_filesystems(parser, arguments)
        for name in ("run_id", "to", "model"):
            if options.index and getattr(options, name) is not None:
                parser.error(f"--{name} is about one run: leave it out, or --index")
        path = _write(options)
        with terminal.telling(PROGRAM, "page's name"):
            print(terminal.printable(path))
        return 0

    return cli.run(PROGRAM, body, verbose=verbose)


def _write(options: argparse.Namespace) -> str:
    """Writes what the flags ask for; returns its path."""
    from pipelines.runs import commands

    if options.index:
        return write_index(options.output)
    reach = commands.reach_flags(options)
    return write(options.output, options.run_id, to=options.to, model=options.model, reach=reach)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
