"""Starts the job in a Flex Template's launcher, which passes every parameter as ``--name=value``.

A flag without a value arrives as ``--new_only=true`` or ``=false``. A repeatable flag arrives as
one string separated by semicolons, because commas separate parameters on gcloud's command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import score
from pipelines.job.options import ScoreOptions
from pipelines.runners.beam_private import BeamArgumentParser

SEPARATOR = ";"


def translate(arguments: Sequence[str]) -> list[str]:
    """Turns the launcher's arguments into the job's.

    Args:
      arguments: ``--name=value`` each; an empty value means that one of the job's own flags isn't
        given.

    Returns:
      The arguments, with ``true`` and ``false`` turned into a flag or its opposite, and lists into
      one flag for each item. Arguments that the job will refuse are unchanged.
    """
    known, own = _actions(*PipelineOptions.__subclasses__()), _actions(ScoreOptions)
    return [
        translated
        for argument in arguments
        for translated in _translate(argument, known, is_own=argument.partition("=")[0] in own)
    ]


def _translate(argument: str, known: dict[str, argparse.Action], *, is_own: bool) -> Iterator[str]:
    flag, has_value, value = argument.partition("=")
    action = known.get(flag)
    if is_own and has_value and not value.strip():
        return
    if has_value and _is_switch(action) and value.lower() in ("true", "false"):
        yield from _switch(flag, known, on=value.lower() == "true")
    elif is_own and isinstance(action, argparse._AppendAction):
        items = [item.strip() for item in value.split(SEPARATOR)]
        yield from (f"{flag}={item}" for item in items if item)
    else:
        yield argument


def _is_switch(action: argparse.Action | None) -> bool:
    return action is not None and action.nargs == 0 and isinstance(action.const, bool)


def _switch(flag: str, known: dict[str, argparse.Action], *, on: bool) -> Iterator[str]:
    """Yields the flag, or Beam's flag for the opposite, such as --no_use_public_ips."""
    action = known[flag]
    wanted = action.const if on else not action.const
    for name, other in known.items():
        if _is_switch(other) and other.dest == action.dest and other.const is wanted:
            yield name
            return


def _actions(*kinds: type[PipelineOptions]) -> dict[str, argparse.Action]:
    parser = BeamArgumentParser(add_help=False)
    for kind in kinds:
        kind._add_argparse_args(parser)
    return {flag: action for action in parser._actions for flag in action.option_strings}


if __name__ == "__main__":
    # The path of the default model is relative to this file's folder.
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(score.main(translate(sys.argv[1:])))
