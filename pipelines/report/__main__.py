"""The command `pipelines.report`: writes one run as a self-contained HTML page."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from penguin_model import cli, command_line, terminal
from pipelines.report import write

PROGRAM = "penguin-report"


def build_parser() -> command_line.ArgumentParser:
    """Builds the parser of the command's own flags."""
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        description="Writes a self-contained HTML page about a published or held run.",
        epilog="The options of Beam's filesystems, such as --s3_endpoint_url, are accepted too.",
        examples=[
            f"{PROGRAM} --output output",
            f"{PROGRAM} --output output --run_id night-1 --to page.html",
        ],
        exit_codes=cli.EXIT_CODES | {1: "it failed", 2: "bad arguments, or no such run"},
    )
    parser.add_argument(
        "--output", required=True, metavar="PATH", help="the output root of the runs"
    )
    parser.add_argument(
        "--run_id",
        metavar="NAME",
        help="a published or held run (default: the published run that ended last)",
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

        options, _ = flags.parse_with_filesystems(build_parser(), arguments)
        path = write(options.output, options.run_id, to=options.to, model=options.model)
        with terminal.telling(PROGRAM, "page's name"):
            print(terminal.printable(path))
        return 0

    return cli.run(PROGRAM, body, verbose=verbose)


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
