"""Whether a run's predictions can be trusted, in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pipelines.formatting import count, counted, percent, psi
from pipelines.report.data import Report
from pipelines.runs.manifest import HeldBecause, Manifest, Totals

YES = "yes"
CARE = "care"
NO = "no"

# Two intervals of this many standard errors that do not meet are no chance: 99 % each.
_SIGMAS = 2.58
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The report's first line.

    Attributes:
      level: YES, CARE or NO.
      answer: one sentence.
      reasons: further sentences: what was checked, and what came of it.
    """

    level: str
    answer: str
    reasons: tuple[str, ...]


def judge(report: Report) -> Verdict:
    """Answers whether the run's predictions can be trusted."""
    manifest = report.manifest
    drift_reason, drift_doubt = _drift(manifest)
    labels_reason, labels_doubt = _labels(report)
    doubts = [doubt for doubt in (drift_doubt, labels_doubt) if doubt]
    if report.is_held:
        level, answer = NO, f"No: {_why_held(manifest)}."
    elif not manifest.totals.rows_scored:
        level, answer = CARE, "There is nothing to trust: not one row was scored."
    elif doubts:
        level, answer = CARE, f"With care: {', and '.join(doubts)}."
    else:
        level, answer = YES, "Yes, these predictions can be trusted."
    reasons = [_publication(report), _rejects(manifest), *_files(manifest.totals)]
    # What the answer says already is not said again.
    if drift_doubt not in answer or not drift_doubt:
        reasons.append(drift_reason)
    return Verdict(level=level, answer=answer, reasons=(*reasons, labels_reason))


def interval(hits: int, rows: int, sigmas: float = 1.96) -> tuple[float, float]:
    """Between which shares the true one lies (E. Wilson, Probable inference, 1927).

    Args:
      hits: how many of `rows`.
      rows: not 0.
      sigmas: how sure; 1.96 means 95 %.
    """
    share, square = hits / rows, sigmas**2 / rows
    middle = share + square / 2
    reach = sigmas * math.sqrt(share * (1 - share) / rows + square / rows / 4)
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))


def drifted(found: Mapping[str, Any], *, against: str = "") -> str:
    """Names what has drifted, the worst first.

    Args:
      found: a manifest's ``drift``.
      against: ``training`` or ``previous``; empty for the worst of both.
    """
    sides = [against] if against else ["training", "previous"]
    worst: dict[str, float] = {}
    for side in sides:
        for name, shift in (found.get(side) or {}).items():
            if shift["drifted"]:
                worst[name] = max(worst.get(name, 0.0), shift["psi"])
    named = sorted(worst, key=lambda name: -worst[name])
    shown = ", ".join(f"{name} (PSI {psi(worst[name])})" for name in named[:_MOST_NAMED])
    more = len(named) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _publication(report: Report) -> str:
    if not report.is_held:
        return "The run is published."
    if report.replaced:
        return "It is held back; readers still see the earlier run of this name."
    return "It is held back; readers see nothing of it."


def _why_held(manifest: Manifest) -> str:
    if manifest.held_because is HeldBecause.REJECTS:
        share = percent(manifest.reject_fraction)
        return f"{share} of the rows were rejected, so nothing is published"
    found = manifest.drift
    what = drifted(found) if found else ""
    return f"the data have drifted in {what or 'more than one way'}, so nothing is published"


def _rejects(manifest: Manifest) -> str:
    totals = manifest.totals
    if not totals.rows_read:
        return "No rows were read."
    share = percent(manifest.reject_fraction, 2 if manifest.reject_fraction < 0.01 else 1)
    most = manifest.max_reject_fraction
    budget = "" if most is None else f" (at most {percent(most)} may be)"
    return f"{share} of {counted(totals.rows_read, 'row')} were rejected{budget}."


def _files(totals: Totals) -> list[str]:
    torn = totals.files_unreadable
    if not torn:
        return []
    return [f"{count(torn)} of {counted(totals.files, 'file')} could not be read to the end."]


def _drift(manifest: Manifest) -> tuple[str, str]:
    """A reason, and the doubt that it casts, mostly none."""
    found = manifest.drift
    if not found or not found["training"]:
        return "Drift was not measured.", "whether the data have drifted was not measured"
    if found["drifted"]:
        what = drifted(found)
        return f"Drifted beyond chance: {what}.", f"the data have drifted in {what}"
    if found["score"]:
        return f"Drift is beyond chance, but small (PSI {psi(found['score'])}).", ""
    return "Nothing has drifted beyond chance.", ""


def _labels(report: Report) -> tuple[str, str]:
    """A reason, and the doubt that it casts, mostly none."""
    found = report.manifest.labels
    if not found or not found["rows"]:
        return "No labels tell how many are right.", ""
    hits = sum(row[place] for place, row in enumerate(found["confusion"]))
    text = f"Of {counted(found['rows'], 'labelled row')}, {percent(found['accuracy'])} were right"
    metrics = report.card.metrics if report.card else {}
    rows, accuracy = metrics.get("test_rows"), metrics.get("accuracy")
    if not rows or accuracy is None:
        return f"{text}.", ""
    text += f" ({percent(accuracy)} of the held-out rows at training)."
    expected = interval(round(accuracy * rows), rows, _SIGMAS)[0]
    if interval(hits, found["rows"], _SIGMAS)[1] < expected:
        return text, "the model is right less often than at training, beyond chance"
    return text, ""
