"""The command `pipelines.report`: one run as a self-contained HTML page."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from penguin_model import cli

PROGRAM = "penguin-report"


def write(
    output: str, run_id: str | None, *, to: str | None = None, model: str | None = None
) -> str:
    """Writes a run's report.

    Args:
      output: the output root.
      run_id: a published or held run; None takes the published run that ended last.
      to: the page's path; None takes ``reports/RUN.html`` below the root.
      model: the model whose card is taken, None for the one that the manifest names.

    Returns:
      The page's path.

    Raises:
      UsageError: there is no such run.
      OutputError: the page cannot be written.
    """
    from pipelines import storage
    from pipelines.report import data, page

    found = data.gather(storage.absolute(output), run_id, model)
    # Checked there: the name of a file, never a path.
    name = f"{found.manifest.run_id}.html"
    path = storage.absolute(to or storage.join(output, "reports", name))
    if storage.is_local(path):
        with storage.writing(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
    storage.write_bytes(path, page.page(found).encode())
    return path


def build_parser() -> cli.ArgumentParser:
    """The command's flags."""
    parser = cli.ArgumentParser(
        prog=PROGRAM,
        description="Writes one HTML page on a published or held run. It needs no network.",
        epilog="On object stores the options of Beam's filesystems are taken beside these, for "
        "instance --s3_endpoint_url.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", required=True, metavar="PATH", help="the root below which runs are published"
    )
    parser.add_argument(
        "--run_id", metavar="NAME", help="the run (default: the published one that ended last)"
    )
    parser.add_argument(
        "--to", metavar="FILE", help="the page (default: reports/NAME.html below the root)"
    )
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="the model whose card has the training's histograms (default: as the run names it)",
    )
    parser.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a report and prints its path; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments

    def body() -> int:
        options, others = build_parser().parse_known_args(arguments)
        cli.quiet_libraries(verbose)
        _use_filesystem_options(others)
        path = write(options.output, options.run_id, to=options.to, model=options.model)
        print(cli.printable(path))
        return 0

    return cli.run(PROGRAM, body, verbose=verbose)


def _use_filesystem_options(arguments: Sequence[str]) -> None:
    """Takes the options of Beam's filesystems, and refuses all others."""
    from apache_beam.options import pipeline_options as beam

    from pipelines import storage

    parser = cli.ArgumentParser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    kinds = (
        beam.S3Options, beam.GoogleCloudOptions, beam.AzureOptions, beam.HadoopFileSystemOptions
    )  # fmt: skip
    for kind in kinds:
        kind._add_argparse_args(parser)
    parser.parse_args(arguments)
    storage.use_options(beam.PipelineOptions(list(arguments)))


def console() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
