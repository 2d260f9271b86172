"""What each sub-command of `penguin-runs` does, from its flags to its exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from penguin_model import terminal
from pipelines import storage
from pipelines.review import catalogue, show, table
from pipelines.review.options import DAMAGED, PROGRAM, build_parser
from pipelines.runs.manifest import to_json
from pipelines.storage.flags import parse_with_filesystems

# What can't be written to a terminal or a pipe any more is still done.
_TOLD = "result"


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs a sub-command.

    Args:
      name: one of `options.COMMANDS`.
      arguments: the command line after it.

    Returns:
      The exit code.

    Raises:
      PenguinError: it couldn't do its work.
    """
    values, filesystems = parse_with_filesystems(build_parser(name), arguments)
    values.output = storage.absolute(values.output)
    values.filesystems = filesystems
    return _ACTIONS[name](values)


def _list(values: argparse.Namespace) -> int:
    found = catalogue.find_all(values.output)
    for run in found:
        if run.status == DAMAGED:
            terminal.note(PROGRAM, run.error)
    if values.status:
        found = [run for run in found if run.status in values.status]
    if values.json:
        _print_json([table.as_json(run) for run in found])
    elif found:
        for line, colour in table.as_lines(found):
            terminal.print_coloured(line, colour, sys.stdout)
    else:
        kind = f" {' or '.join(values.status)}" if values.status else ""
        terminal.note(PROGRAM, f"{values.output} has no{kind} runs")
    return 0


def _show(values: argparse.Namespace) -> int:
    found = catalogue.find(values.output, values.run, to="show")
    if found.status == DAMAGED:
        catalogue.manifest_of(found, (), to="shown")
    if values.json:
        _print_json(to_json(found.manifest) if found.manifest else found.record)
        return 0
    outcome, _, text = show.as_text(found, values.output, values).partition("\n")
    terminal.print_coloured(outcome, table.COLOURS.get(found.status), sys.stdout)
    print(text)
    return 0


def _print_json(values: object) -> None:
    # A damaged manifest may have NaN; a lone surrogate in a path stays readable as an escape.
    print(json.dumps(values, indent=2))


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
}
