"""The sub-commands of `penguin-runs`, and their flags."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence

from penguin_model import cli, command_line

PROGRAM = "penguin-runs"
# What `list` calls a run whose record can't be read.
DAMAGED = "damaged"
# Spelled out: the module that has the others loads Beam, and help needs none.
STATUSES = ("published", "held", "rejected", "retracted", "pruned", "failed", DAMAGED)
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
# 100 years; a longer time would be before the first of all calendars.
_MOST_HOURS = 876_600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A sub-command.

    Attributes:
      does: what it does, in the help of all.
      detail: what else its own help says.
      examples: its flags and arguments.
      fails: what exit code 1 means.
      add: adds its flags to a parser.
    """

    does: str
    detail: str = ""
    examples: Sequence[str]
    fails: str = "it failed"
    add: Callable[[argparse.ArgumentParser], None]


def build_overview() -> command_line.ArgumentParser:
    """Builds the parser of a command line that names no sub-command."""
    width = max(map(len, COMMANDS))
    lines = "".join(f"  {name:<{width}}  {each.does}\n" for name, each in COMMANDS.items())
    parser = command_line.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [RUN] --output PATH …",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Looks after runs: lists and shows them, accepts or rejects held ones, checks\n"
        f"and removes published ones.\n\ncommands:\n{lines}\n"
        f"`{PROGRAM} COMMAND --help` lists a command's flags.",
        examples=[f"{PROGRAM} {COMMANDS[name].examples[0]}" for name in ("list", "show", "accept")],
        exit_codes=_exit_codes("it failed, or `verify` found a fault"),
    )
    parser.add_argument("command", metavar="COMMAND", choices=tuple(COMMANDS), help="see above")
    return parser


def build_parser(name: str) -> command_line.ArgumentParser:
    """Builds the parser of a sub-command's own flags."""
    command = COMMANDS[name]
    parser = command_line.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=f"{command.does[0].upper()}{command.does[1:]}. {command.detail}".strip(),
        epilog="The options of Beam's filesystems, such as --s3_endpoint_url, are accepted too.",
        examples=[f"{PROGRAM} {example}" for example in command.examples],
        exit_codes=_exit_codes(command.fails),
    )
    parser.add_argument(
        "--output", required=True, metavar="PATH", help="the output root of the runs"
    )
    command.add(parser)
    parser.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    return parser


def _exit_codes(fails: str) -> dict[int, str]:
    return cli.EXIT_CODES | {
        1: f"{fails}, or its output could not be written",
        2: "bad arguments, or no such run",
    }


def read_hours(text: str) -> int:
    """Reads a time such as ``90d``, as a number of hours.

    Raises:
      argparse.ArgumentTypeError: it isn't one.
    """
    found = re.fullmatch(r"([0-9]{1,9})([hdw])", text.strip(), re.ASCII)
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 0 < hours <= _MOST_HOURS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time up to 100 years such as 90d: a number, then d (days), w "
            "(weeks) or h (hours)"
        )
    return hours


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _add_run(parser: argparse.ArgumentParser, text: str) -> None:
    # Optional, so that an error can name those that could be meant.
    parser.add_argument("run", metavar="RUN", nargs="?", help=text)


def _add_json(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _add_review(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason, for the record")
    parser.add_argument("--by", metavar="NAME", help="who decides (default: user@host)")


def _add_model(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument(
        "--model", metavar="PATH", help=f"the run's model, {use} (default: where the run found it)"
    )


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--status",
        action="append",
        choices=STATUSES,
        help="only runs of this status; repeatable",
    )
    _add_json(parser, "print one JSON array")


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a run of any status; the held one if two have this name")
    _add_json(parser, "print its manifest, or the record of a failed run")


def _add_accept(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a held run")
    _add_review(parser)
    parser.add_argument(
        "--as_baseline",
        action="store_true",
        help="compare later nights with this one too (default: leave it out, so that a bad night "
        "doesn't become the measure of a good one)",
    )


def _add_reject(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a held run")
    _add_review(parser)
    parser.add_argument(
        "--retry",
        action="store_true",
        help="let the next --new_only run score its files again (default: they stay done)",
    )


def _add_retract(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a published run")
    _add_review(parser)
    parser.add_argument(
        "--keep_done",
        action="store_true",
        help="its files stay done (default: the next --new_only run scores them again)",
    )


def _add_verify(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a published or held run (default: all published runs)")
    parser.add_argument(
        "--replay",
        type=_count,
        metavar="ROWS",
        help="also score so many rows of each run again, chosen at random, from their input files, "
        "and compare",
    )
    parser.add_argument(
        "--seed", type=_seed, metavar="NUMBER", help="choose the same rows as another replay did"
    )
    _add_model(parser, "for --replay")


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        required=True,
        type=read_hours,
        metavar="TIME",
        help="how far back data is kept, such as 90d (days), 12w (weeks) or 48h (hours)",
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="say what would be removed, and remove nothing"
    )


def _add_labels(parser: argparse.ArgumentParser) -> None:
    _add_run(parser, "a published or held run")
    parser.add_argument(
        "--labels",
        required=True,
        metavar="FILE",
        help="a CSV or Parquet file with a label for each row, on any filesystem",
    )
    parser.add_argument(
        "--key",
        metavar="COLUMN",
        help="a column of the file and a passthrough column of the predictions that identify a row "
        "(default: source_file and source_row)",
    )
    parser.add_argument(
        "--label_column",
        metavar="COLUMN",
        help="the column with the labels (default: the model card's, in any case, or an alias)",
    )
    _add_model(parser, "whose card has the classes")


COMMANDS = {
    "list": Command(
        does="list all runs, newest first",
        examples=["list --output output", "list --output output --status held --json"],
        add=_add_list,
    ),
    "show": Command(
        does="show what to know about a run before deciding about it",
        detail="The last lines are the commands that can follow.",
        examples=["show night-1 --output output"],
        add=_add_show,
    ),
    "accept": Command(
        does="publish a held run as it was scored",
        detail="Nothing is scored again.",
        examples=[
            "accept night-1 --output output",
            "accept night-1 --output output --by ann --as_baseline",
        ],
        add=_add_accept,
    ),
    "reject": Command(
        does="close a held run: nothing is published",
        examples=["reject night-1 --output output", "reject night-1 --output output --retry"],
        add=_add_reject,
    ),
    "retract": Command(
        does="unpublish a published run",
        examples=["retract night-1 --output output", "retract night-1 --output output --keep_done"],
        add=_add_retract,
    ),
    "verify": Command(
        does="check published data against their manifests",
        detail="It counts rows, compares hashes, looks for missing and foreign files, and checks "
        "each input file's rows.",
        examples=["verify --output output", "verify night-1 --output output --replay 100"],
        fails="a run isn't as it was published, or can't be checked",
        add=_add_verify,
    ),
    "prune": Command(
        does="remove the data of old runs",
        detail="Which files they scored stays known, so --new_only doesn't score them again. The "
        "published run that ended last keeps its data whatever its age, and held runs wait for a "
        "decision.",
        examples=["prune --output output --keep 90d --dry_run", "prune --output output --keep 12w"],
        add=_add_prune,
    ),
    "labels": Command(
        does="measure a run's accuracy with labels that came later",
        detail="The file's rows are found by source_file and source_row, or by --key.",
        examples=[
            "labels night-1 --output output --labels found.csv",
            "labels night-1 --output output --labels s3://lab/found.parquet --key observation_id",
        ],
        add=_add_labels,
    ),
}
