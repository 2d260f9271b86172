"""The report's answer in words: can these predictions be trusted?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pipelines.formatting import count, counted, percent, psi
from pipelines.report.data import Report
from pipelines.runs.manifest import HeldBecause, Manifest, Totals

YES = "yes"
CAUTION = "caution"
NO = "no"

# 99% intervals: if two of them don't overlap, chance doesn't explain the difference.
_SIGMAS = 2.58
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The report's first line.

    Attributes:
      level: YES, CAUTION or NO.
      answer: one sentence.
      reasons: further sentences: what was checked, and with what result.
    """

    level: str
    answer: str
    reasons: tuple[str, ...]


def judge(report: Report) -> Verdict:
    """Decides whether the run's predictions can be trusted."""
    manifest = report.manifest
    drift_reason, drift_doubt = _drift(manifest)
    labels_reason, labels_doubt = _labels(report)
    doubts = [doubt for doubt in (drift_doubt, labels_doubt) if doubt]
    if report.is_held:
        level, answer = NO, f"No: {_why_held(manifest)}."
    elif not manifest.totals.rows_scored:
        level, answer = CAUTION, "There are no predictions to trust: no rows were scored."
    elif doubts:
        level, answer = CAUTION, f"With caution: {', and '.join(doubts)}."
    else:
        level, answer = YES, "Yes, these predictions can be trusted."
    reasons = [_publication(report), _rejects(manifest), *_files(manifest.totals)]
    # The answer has already said it.
    if drift_doubt not in answer or not drift_doubt:
        reasons.append(drift_reason)
    return Verdict(level=level, answer=answer, reasons=(*reasons, labels_reason))


def interval(hits: int, rows: int, sigmas: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share (E. Wilson, Probable inference, 1927).

    Args:
      hits: the number of rows that count, out of `rows`.
      rows: at least 1.
      sigmas: the half-width in standard errors; 1.96 gives a 95% interval.

    Returns:
      The ends of the interval, within 0 and 1.
    """
    share, square = hits / rows, sigmas**2 / rows
    middle = share + square / 2
    reach = sigmas * math.sqrt(share * (1 - share) / rows + square / rows / 4)
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))


def name_drifted(found: Mapping[str, Any]) -> str:
    """Names what has drifted from training or from the nights before, worst first.

    Args:
      found: a manifest's ``drift``.
    """
    worst: dict[str, float] = {}
    for side in ("training", "baseline"):
        for name, shift in (found.get(side) or {}).items():
            if shift["drifted"]:
                worst[name] = max(worst.get(name, 0.0), shift["psi"])
    named = sorted(worst, key=lambda name: -worst[name])
    shown = [f"{name} (PSI {psi(worst[name])})" for name in named[:_MOST_NAMED]]
    if len(named) > _MOST_NAMED:
        shown.append(f"{len(named) - _MOST_NAMED} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def _publication(report: Report) -> str:
    if not report.is_held:
        return "The run is published."
    if report.replaced:
        return "It is held: readers still see the earlier run of the same name."
    return "It is held: readers don't see any of it."


def _why_held(manifest: Manifest) -> str:
    if manifest.held_because is HeldBecause.REJECTS:
        share = percent(manifest.reject_fraction)
        return f"{share} of the rows were rejected, so nothing was published"
    found = manifest.drift
    names = name_drifted(found) if found else ""
    return f"the data have drifted{names and f' in {names}'}, so nothing was published"


def _rejects(manifest: Manifest) -> str:
    totals = manifest.totals
    if not totals.rows_read:
        return "No rows were read."
    share = percent(manifest.reject_fraction, 2 if manifest.reject_fraction < 0.01 else 1)
    most = manifest.max_reject_fraction
    budget = "" if most is None else f" (the limit is {percent(most)})"
    return f"{share} of {counted(totals.rows_read, 'row')} were rejected{budget}."


def _files(totals: Totals) -> list[str]:
    torn = totals.files_unreadable
    if not torn:
        return []
    return [f"{count(torn)} of {counted(totals.files, 'file')} couldn't be read in full."]


def _drift(manifest: Manifest) -> tuple[str, str]:
    """One sentence, and the doubt that it raises, usually empty."""
    found = manifest.drift
    if not found or not found["training"]:
        return "Drift wasn't measured.", "drift wasn't measured"
    if found["drifted"]:
        what = name_drifted(found)
        return f"Drifted beyond chance: {what}.", f"the data have drifted in {what}"
    if found["score"]:
        return f"Drift is beyond chance, but small (PSI {psi(found['score'])}).", ""
    return "There is no drift beyond chance.", ""


def _labels(report: Report) -> tuple[str, str]:
    """One sentence, and the doubt that it raises, usually empty."""
    found = report.manifest.labels
    if not found or not found["rows"]:
        return "Accuracy unknown: the input has no labels.", ""
    hits = sum(row[place] for place, row in enumerate(found["confusion"]))
    text = f"Accuracy is {percent(found['accuracy'])} on {counted(found['rows'], 'labelled row')}"
    metrics = report.card.metrics if report.card else {}
    rows, accuracy = metrics.get("test_rows"), metrics.get("accuracy")
    if not rows or accuracy is None:
        return f"{text}.", ""
    text += f" ({percent(accuracy)} on the held-out rows in training)."
    expected = interval(round(accuracy * rows), rows, _SIGMAS)[0]
    if interval(hits, found["rows"], _SIGMAS)[1] < expected:
        return text, "accuracy is significantly lower than in training"
    return text, ""
