"""The job's flags, beside Beam's own."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model import cli
from pipelines.reading.format_table import FORMATS
from pipelines.runners.beam_private import BeamArgumentParser

DEFAULT_MODEL = "models/penguin-classifier.keras"


class ScoreOptions(PipelineOptions):
    """Flags of ``pipelines.score``; Beam gathers them with its own."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        group = parser.add_argument_group("scoring")
        group.add_argument(
            "--input",
            action="append",
            metavar="PATH",
            help="a file, a folder or a glob of observations, on any filesystem Beam knows; "
            "may be given more than once (required)",
        )
        group.add_argument(
            "--output", metavar="PATH", help="the root below which runs are published (required)"
        )
        group.add_argument(
            "--model",
            default=DEFAULT_MODEL,
            metavar="PATH",
            help="the model file, .keras or .h5, its card beside it (default: %(default)s)",
        )
        group.add_argument(
            "--run_id",
            metavar="NAME",
            help="the run's name, letters, digits and '._-' (default: the UTC time)",
        )
        group.add_argument(
            "--format",
            choices=tuple(FORMATS),
            help="the format of all input files (default: as each file's name ends)",
        )
        group.add_argument(
            "--new_only",
            action="store_true",
            help="leave out files that a published run has scored with this model, by path, size "
            "and modification time",
        )
        group.add_argument(
            "--settle_seconds",
            type=_seconds,
            default=0.0,
            metavar="SECONDS",
            help="leave files that were modified within this time, and may still be written, for "
            "the next run (default: 0)",
        )
        group.add_argument(
            "--passthrough",
            action="append",
            default=[],
            metavar="COLUMN",
            help="an input column to carry into the predictions, as text; may be given more than "
            "once, or several separated by commas",
        )
        group.add_argument(
            "--max_reject_fraction",
            type=_fraction,
            default=0.1,
            metavar="FRACTION",
            help="publish nothing, exit 3, when more than this part of the rows is rejected "
            "(default: %(default)s)",
        )
        group.add_argument(
            "--max_drift",
            type=_index,
            metavar="PSI",
            help="publish nothing, exit 4, when a feature, the species mix or the probability has "
            "drifted further than this (PSI) and beyond chance (default: measure only)",
        )
        group.add_argument(
            "--replace",
            action="store_true",
            help="publish a run_id again, in place of the run that has it",
        )
        group.add_argument(
            "--report",
            action="store_true",
            help="write a page on the run, published or held: reports/NAME.html below the output "
            "root",
        )
        group.add_argument(
            "--progress",
            action="store_true",
            default=True,
            help="show how far the run is, on standard error: a bar on a terminal, else a line "
            "every few seconds (default)",
        )
        group.add_argument(
            "--no-progress",
            "--no_progress",
            dest="progress",
            action="store_false",
            help="suppress progress output",
        )
        group.add_argument(
            "--summary",
            choices=("text", "json"),
            default="text",
            help="the form of the summary on standard output (default: %(default)s)",
        )
        group.add_argument(
            "--verbose",
            action="store_true",
            help="show the libraries' logs, and the traceback of an error",
        )


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction from 0 to 1")
    return value


def _index(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more, such as 0.2")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def parse_arguments(program: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line: our flags and all of Beam's, nothing else.

    Beam itself only logs a warning for a flag that nobody knows; a job that runs every night
    should not start with a misspelt one.

    Args:
      program: the command's name, for messages.
      arguments: the command line without it.

    Returns:
      The values of all flags.
    """
    parser = _Parser(
        prog=program,
        description="Score observation files with a trained Keras model, and publish the run.",
        epilog="Beam's own options are taken beside these, for instance --runner=FlinkRunner or "
        "--direct_num_workers=2.",
        allow_abbrev=False,
        add_help=True,
    )
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser if kind is ScoreOptions else _Hidden(parser))
    return parser.parse_args(arguments)


class _Parser(cli.ArgumentParser, BeamArgumentParser):
    """Beam's parser, which knows its value providers, with one-line errors."""


class _Hidden:
    """Adds Beam's options without their help, which would fill some pages."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **settings: Any) -> Any:
        return self._parser.add_argument(*names, **{**settings, "help": argparse.SUPPRESS})

    def add_value_provider_argument(self, *names: str, **settings: Any) -> Any:
        settings["help"] = argparse.SUPPRESS
        return self._parser.add_value_provider_argument(*names, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
