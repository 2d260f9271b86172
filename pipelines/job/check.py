"""``--check``: what a run would read, for each kind of file, without reading a row."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from penguin_model import terminal
from pipelines.errors import RejectsError
from pipelines.formatting import count, counted
from pipelines.job.plan import prepare_check
from pipelines.reading.checking import IN_PATH, UNCLEAR, ColumnUse, Findings, Group, check_files
from pipelines.reading.column_names import ALIAS, CASE, RENAMED
from pipelines.reading.matching import Matched, choose

# The text shows this many kinds and names; the rest is in the JSON.
_KINDS, _NAMES = 50, 12
_WAYS = {RENAMED: "renamed", CASE: "spelled otherwise", ALIAS: "an alias", IN_PATH: "a folder"}


def run_check(program: str, values: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Prints what a run would read.

    Raises:
      UsageError: an argument, the model or its card can't be used.
      RejectsError: a file would be rejected whole.
    """
    matching, wanted = prepare_check(values, arguments)
    matched = choose(matching, time.time())
    found = check_files(matched.chosen, wanted)
    print(as_json(found, matched) if values.summary == "json" else as_text(found, matched))
    for pattern in matched.unmatched:
        terminal.note(program, f"no file matches {pattern}")
    if found.refused:
        raise RejectsError(
            f"{count(found.refused)} of {_files(found.files)} would be rejected whole; "
            "nothing was scored or written"
        )


def as_json(found: Findings, matched: Matched) -> str:
    """A JSON object on several lines."""
    values = {
        "status": "checked",
        "files": found.files,
        "files_refused": found.refused,
        **_left_out(matched),
        "kinds": [_kind(group) for group in found.groups],
    }
    return json.dumps(values, indent=2)


def as_text(found: Findings, matched: Matched) -> str:
    """A paragraph for each kind of file, and a last line that sums up."""
    lines: list[str] = []
    for group in found.groups[:_KINDS]:
        lines += [*_paragraph(group), ""]
    others = found.files - sum(group.files for group in found.groups[:_KINDS])
    if others:
        lines += [f"{_files(others)} of other kinds, which --summary=json lists", ""]
    refused = f", {count(found.refused)} would be rejected whole" if found.refused else ""
    left = [f"{name} {count(number)}" for name, number in _left_out(matched).items() if number]
    lines.append(
        f"{_files(found.files)}: {count(found.files - found.refused)} would be read{refused}"
        + (f" (left out: {', '.join(left)})" if left else "")
    )
    return "\n".join(map(terminal.printable, lines))


def _left_out(matched: Matched) -> dict[str, int]:
    return {
        "files_skipped": matched.skipped,
        "files_waiting": matched.waiting.total(),
        "files_unsettled": len(matched.unsettled),
        "files_ignored": sum(matched.ignored.values()),
        "not_files": len(matched.not_files),
    }


def _kind(group: Group) -> dict[str, Any]:
    kind = group.kind
    return {
        "files": group.files,
        "example": group.example,
        "rows": group.rows,
        **dataclasses.asdict(kind),
        "columns": [each._asdict() for each in kind.columns],
    }


def _paragraph(group: Group) -> Iterator[str]:
    kind = group.kind
    about = [kind.format or "unknown format"]
    about += [kind.details] if kind.details else []
    about += [counted(group.rows, "row", " ")] if group.rows is not None else []
    yield f"{_files(group.files)} ({', '.join(about)}): {group.example}"
    width = max((len(each.name) for each in kind.columns), default=0)
    for each in kind.columns:
        yield f"  {each.name:<{width}}  {_source(each)}"
    if kind.extra:
        more = ", …" if len(kind.extra) > _NAMES else ""
        yield f"  not read: {', '.join(kind.extra[:_NAMES])}{more}"
    for warning in kind.warnings:
        yield f"  warning: {warning}"
    if kind.reason is not None:
        yield f"  rejected whole, {kind.reason}: {kind.message}"


def _source(each: ColumnUse) -> str:
    if each.source is None:
        if each.way == UNCLEAR:
            return "not clear"
        perhaps = f" (perhaps {each.likely})" if each.likely else ""
        return f"missing{perhaps}" if each.required else "none (optional)"
    about = [about for about in (each.type, _WAYS.get(each.way)) if about]
    return f"from {each.source}" + (f" ({', '.join(about)})" if about else "")


def _files(number: int) -> str:
    return counted(number, "file", " ")
