"""The job's own flags, besides Beam's."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model import command_line
from penguin_model.card import DEFAULT_MODEL_HELP, default_model
from penguin_model.engines import DEFAULT_ENGINE, ENGINES
from penguin_model.trust import DEFAULT_COVERAGE
from pipelines.publishing import DEFAULT_BASELINE_NIGHTS
from pipelines.reading import FORMATS
from pipelines.reading.dialect import DEFAULT_DIALECT, read_delimiter
from pipelines.runners.beam_private import BeamArgumentParser

_MOST_NIGHTS = 1000


class ScoreOptions(PipelineOptions):
    """Flags of ``pipelines.score``, which Beam collects with its own."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        group = parser.add_argument_group("scoring")
        group.add_argument(
            "--input",
            action="append",
            metavar="PATH",
            help="a file, folder or glob of observations, on any filesystem that Beam supports; a "
            "folder means all files below it, '**' any number of folders; repeatable (required)",
        )
        group.add_argument(
            "--output", metavar="PATH", help="the output root, where runs are published (required)"
        )
        group.add_argument(
            "--model",
            default=default_model(),
            metavar="PATH",
            help=f"the model file, .keras or .h5, with its card beside it ({DEFAULT_MODEL_HELP})",
        )
        group.add_argument(
            "--engine",
            choices=tuple(ENGINES),
            default=DEFAULT_ENGINE,
            help="what runs the network: Keras on TensorFlow, or ONNX Runtime with the .onnx file "
            "beside the model, which starts faster (default: %(default)s)",
        )
        group.add_argument(
            "--run_id",
            metavar="NAME",
            help="the run id: letters, digits and '._-' (default: the UTC time)",
        )
        group.add_argument(
            "--format",
            choices=tuple(FORMATS),
            help="the format of all input files (default: from each file's name)",
        )
        group.add_argument(
            "--include_hidden",
            action="store_true",
            help="also read files whose names say that they aren't data, such as _SUCCESS, .hidden "
            "or a.tmp (default: count them as ignored)",
        )
        group.add_argument(
            "--fail_on_empty",
            action="store_true",
            help="fail (exit 1) if one of the inputs has no files (default: say so, and publish)",
        )
        group.add_argument(
            "--delimiter",
            type=read_delimiter,
            default=DEFAULT_DIALECT.delimiter,
            metavar="CHARACTER",
            help="the character between the fields of CSV files, such as ';' or tab; .tsv files "
            "have tabs, and a file whose first line is 'sep=;' names its own (default: a comma)",
        )
        group.add_argument(
            "--decimal",
            default=DEFAULT_DIALECT.decimal,
            metavar="CHARACTER",
            help="the decimal mark of numbers in CSV files: . or , (default: a point)",
        )
        group.add_argument(
            "--new_only",
            action="store_true",
            help="skip files that a published run has already scored with this model (same path, "
            "size and modification time)",
        )
        group.add_argument(
            "--settle_seconds",
            type=_seconds,
            default=0.0,
            metavar="SECONDS",
            help="leave files modified in the last SECONDS, which may still be written, for the "
            "next run (default: 0)",
        )
        group.add_argument(
            "--passthrough",
            action="append",
            default=[],
            metavar="COLUMN",
            help="an input column of any type to copy into the predictions, as text; repeat it, or "
            "separate several with commas, quoting a name that has one: '\"a, b\",c'; a file may "
            "hold it in its path instead, as in year=2007/a.csv",
        )
        group.add_argument(
            "--check",
            action="store_true",
            help="read the files' headers and footers only, print for each kind of file what would "
            "be read, and end: with 0 if every file would be read, 3 if one would be rejected "
            "whole; nothing is written, and --output isn't needed",
        )
        group.add_argument(
            "--rename",
            action="append",
            default=[],
            metavar="OLD=NEW",
            help="read the column OLD of the files that have it as NEW, a feature, the label or a "
            "passthrough column; repeatable (columns are found by exact name, in any case, and by "
            "the aliases in the model card without it)",
        )
        group.add_argument(
            "--max_reject_fraction",
            type=_fraction,
            default=0.1,
            metavar="FRACTION",
            help="hold the run (exit 3) if more than this fraction of the rows is rejected "
            "(default: %(default)s)",
        )
        group.add_argument(
            "--max_unreadable_files",
            type=_files,
            metavar="FILES",
            help="hold the run (exit 3) if more files than this couldn't be read in full: a whole "
            "number of files, or below 1 a fraction of the files read (default: 0.5, or "
            "--max_reject_fraction if that is more)",
        )
        group.add_argument(
            "--min_rows",
            type=_whole,
            default=0,
            metavar="ROWS",
            help="hold the run (exit 3) if fewer rows than this are scored; 1 holds a night "
            "without rows (default: %(default)s)",
        )
        group.add_argument(
            "--max_drift",
            type=_index,
            metavar="PSI",
            help="hold the run (exit 4) if a feature, the predicted classes or the probability "
            "have drifted by more than this (PSI) and beyond what is usual (default: measure only)",
        )
        group.add_argument(
            "--baseline_nights",
            type=_nights,
            default=DEFAULT_BASELINE_NIGHTS,
            metavar="K",
            help="compare the data with the last K published runs of this model too; 0 means with "
            "the training data only (default: %(default)s)",
        )
        group.add_argument(
            "--coverage",
            type=_coverage,
            metavar="SHARE",
            help="the share of rows whose species_set should hold the true class, above 0 and "
            f"below 1; the larger, the larger the sets (default: {DEFAULT_COVERAGE})",
        )
        group.add_argument(
            "--min_accuracy",
            type=_fraction,
            metavar="FRACTION",
            help="hold the run (exit 4) if the accuracy is below this beyond chance: the measured "
            "accuracy if at least 30 rows have labels, otherwise the one estimated from the "
            "probabilities (default: show them only)",
        )
        group.add_argument(
            "--replace",
            action="store_true",
            help="publish over an existing run with the same id",
        )
        group.add_argument(
            "--report",
            action="store_true",
            help="write an HTML report on the run, published or held, to reports/NAME.html under "
            "the output root",
        )
        group.add_argument(
            "--progress",
            action="store_true",
            default=True,
            help="show progress on standard error: a bar on a terminal, otherwise a line every few "
            "seconds (default)",
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
            "--metrics_file",
            metavar="PATH",
            help="write the run's figures for Prometheus to this local file at the end, whatever "
            "the outcome; the node exporter's textfile collector reads names that end in .prom",
        )
        group.add_argument(
            "--verbose",
            action="store_true",
            help="show the libraries' logs, and the traceback of an error",
        )


def _seconds(text: str) -> float:
    return _number(text, "a number of seconds")


def _fraction(text: str) -> float:
    return _number(text, "a fraction from 0 to 1", most=1)


def _coverage(text: str) -> float:
    what = "a share above 0 and below 1, such as 0.95"
    share = _number(text, what, most=1)
    if share in (0, 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return share


def _whole(text: str) -> int:
    value = _number(text, "a whole number of 0 or more", most=2**53)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(value)


def _files(text: str) -> float:
    what = "a whole number of files, or a fraction of them below 1, such as 0.05"
    value = _number(text, what)
    if value > 1 and value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _index(text: str) -> float:
    return _number(text, "a number of 0 or more, such as 0.2")


def _nights(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_NIGHTS):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of nights from 0 to {_MOST_NIGHTS}"
        )
    return int(text)


def _number(text: str, what: str, most: float = sys.float_info.max) -> float:
    """A finite number from 0 to `most`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def parse_arguments(program: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line: our flags and all of Beam's, nothing else.

    Beam itself only logs a warning for an unknown flag; a job that runs every night shouldn't start
    with a misspelt one.

    Args:
      program: the command's name, for messages.
      arguments: the command line without it.

    Returns:
      The values of all flags.
    """
    values: argparse.Namespace = build_parser(program).parse_args(arguments)
    return values


def changed_flags(values: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The values of flags that aren't the defaults, by name; a release may lack a flag."""
    default = parse_arguments("", [])
    given = {name: getattr(values, name, None) for name in names}
    return {name: value for name, value in given.items() if value != getattr(default, name, None)}


def build_parser(program: str) -> command_line.ArgumentParser:
    """Builds the parser of our flags, which are in its help, and Beam's."""
    parser = _Parser(
        prog=program,
        description="Score observation files with a trained Keras model, and publish the run.",
        epilog="All of Beam's own options are accepted too, such as --runner=FlinkRunner or "
        "--direct_num_workers=2. Any flag may have dashes instead of underscores: --run-id.",
        examples=[
            f"{program} --input 'incoming/*.csv' --output output --new_only",
            f"{program} --input incoming --check",
            f"{program} --input incoming --output output --max_drift 0.2 --report",
            f"{program} --input incoming --output output --runner FlinkRunner "
            "--flink_master localhost:8081",
        ],
        exit_codes={
            0: "published, an empty night too; or submitted, where the job isn't waited for",
            1: "failed: nothing is published; running it again may help",
            2: "bad arguments, model or card: nothing was read; running it again doesn't help",
            3: "held for its input (--max_reject_fraction, --max_unreadable_files, --min_rows); "
            "nothing is published. With --check: a file would be rejected whole",
            4: "held for drift or accuracy (--max_drift, --min_accuracy); nothing is published",
            130: "interrupted by Ctrl-C (SIGINT): nothing is published",
            143: "ended by SIGTERM: nothing is published",
        },
        file_names=["input"],
    )
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser if kind is ScoreOptions else _Hidden(parser))
    return parser


class _Parser(command_line.ArgumentParser, BeamArgumentParser):
    """Beam's parser, which knows its value providers, with one-line errors."""


class _Hidden:
    """Adds Beam's options without their help, which would fill several pages."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **settings: Any) -> Any:
        return self._parser.add_argument(*names, **{**settings, "help": argparse.SUPPRESS})

    def add_value_provider_argument(self, *names: str, **settings: Any) -> Any:
        settings["help"] = argparse.SUPPRESS
        return self._parser.add_value_provider_argument(*names, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
