"""The runs as a table for a person, or as JSON values for a script."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penguin_model import terminal
from pipelines import formatting
from pipelines.review.catalogue import Found, read_time
from pipelines.review.options import DAMAGED
from pipelines.runs.history import FAILED
from pipelines.runs.manifest import Manifest, Status, to_json

WIDTH = 100
COLOURS = {
    Status.HELD: terminal.Colour.YELLOW,
    FAILED: terminal.Colour.RED,
    DAMAGED: terminal.Colour.RED,
}
_HEADER = ("run", "status", "ended (UTC)", "files", "rows", "rejects", "drift", "accuracy")
_NUMBERS = frozenset({"files", "rows", "rejects", "drift", "accuracy"})
_GAP = "  "
_INDENT = 4


def as_json(found: Found) -> dict[str, Any]:
    """What a script wants to know about a run; unknown values are None."""
    manifest = found.manifest
    known = to_json(manifest) if manifest else {}
    totals = known.get("totals", {})
    accuracy, source = accuracy_of(manifest) if manifest else (None, None)
    return {
        "run_id": found.run_id,
        "status": str(found.status),
        "end": found.end or None,
        **{name: totals.get(name) for name in ("files", "rows_read", "rows_scored")},
        "rows_rejected": totals.get("rows_rejected"),
        "reject_fraction": known.get("reject_fraction"),
        "drift": drift_score(manifest) if manifest else None,
        "accuracy": accuracy,
        "accuracy_is": source,
        "held_because": known.get("held_because"),
        "held_reason": known.get("held_reason") or None,
        "reviews": known.get("reviews", []),
        "error": found.error or None,
        "path": found.path,
    }


def as_lines(runs: Sequence[Found]) -> Iterator[tuple[str, terminal.Colour | None]]:
    """The lines of a table, each with its colour.

    They fit into WIDTH columns, but for the ids of runs, which are never cut.
    """
    rows = [_HEADER, *map(_cells, runs)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADER))]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - len(_GAP) * (len(widths) - 1))
    header, *others = rows
    yield _line([name.upper() for name in header], widths), None
    for run, cells in zip(runs, others, strict=True):
        colour = COLOURS.get(run.status)
        if len(cells[0]) > widths[0]:
            yield cells[0], colour
            yield _line(("", *cells[1:]), widths), colour
        else:
            yield _line(cells, widths), colour
        for line in _reason(run):
            yield line, colour


def drift_score(manifest: Manifest) -> float | None:
    """The score of a run's drift; None if nothing was compared."""
    return number_in(manifest.drift, "score") if (manifest.drift or {}).get("training") else None


def accuracy_of(manifest: Manifest) -> tuple[float | None, str | None]:
    """A run's accuracy, and whether it is ``measured`` or ``estimated``."""
    measured = number_in(manifest.labels, "accuracy")
    if measured is not None:
        return measured, "measured"
    if manifest.accuracy_estimate is not None:
        return manifest.accuracy_estimate.accuracy, "estimated"
    return None, None


def number_in(values: Mapping[str, Any] | None, name: str) -> float | None:
    """A number in a part of a manifest that isn't typed; None if there isn't one."""
    value = (values or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


def minute(iso: str) -> str:
    """``2026-11-23 20:37``; other text is made safe and cut to that length."""
    found = read_time(iso)
    return f"{found:%Y-%m-%d %H:%M}" if found else terminal.printable(iso)[:16]


def _cells(run: Found) -> tuple[str, ...]:
    status = str(run.status)
    ended = minute(run.end) if run.end else ""
    manifest = run.manifest
    if manifest is None:
        return (run.run_id, status, ended, *[""] * 5)
    totals = manifest.totals
    score, (accuracy, source) = drift_score(manifest), accuracy_of(manifest)
    estimated = " est." if source == "estimated" else ""
    return (
        run.run_id,
        status,
        ended,
        formatting.count(totals.files),
        formatting.count(totals.rows_read),
        formatting.percent(manifest.reject_fraction) if totals.files else "",
        formatting.psi(score) if score is not None else "",
        f"{formatting.percent(accuracy)}{estimated}" if accuracy is not None else "",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        f"{cell:>{width}}" if name in _NUMBERS else f"{cell:<{width}}"
        for name, cell, width in zip(_HEADER, cells, widths, strict=True)
    ]
    return _GAP.join(aligned).rstrip()


def _reason(run: Found) -> list[str]:
    """Why a run was held, closed or failed, in lines below its own."""
    text = run.error
    if run.manifest is not None:
        said = [run.manifest.held_reason] if run.manifest.held_because else []
        said += [f"{each.status} by {each.by or 'nobody named'}" + _why(each.why)
                 for each in run.manifest.reviews]  # fmt: skip
        text = "; ".join(said)
    if not text:
        return []
    text = terminal.printable(formatting.cut(text))
    indent = " " * _INDENT
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _why(text: str) -> str:
    return f": {text}" if text else ""
