"""The report's answer in words: whether a run's predictions can be used as they are."""

from __future__ import annotations

import dataclasses

from pipelines.formatting import counted, percent
from pipelines.report.doubts import ENOUGH_ROWS, Doubt, Evidence, find_doubts, reviewed
from pipelines.runs.manifest import Manifest, Status

FINE = "fine"
LOOK = "look"
HELD = "held"
CLOSED = "closed"
# From good to bad.
LEVELS = (FINE, LOOK, HELD, CLOSED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The report's first lines.

    Attributes:
      level: one of LEVELS.
      answer: one sentence, with the most important reason.
      accuracy: one sentence: what is known of it.
      doubts: further reasons, the most important first.
    """

    level: str
    answer: str
    accuracy: str
    doubts: tuple[Doubt, ...]


def judge(evidence: Evidence) -> Verdict:
    """Judges a run; a further problem never improves the verdict."""
    manifest, doubts = evidence.manifest, find_doubts(evidence)
    if manifest.status is Status.HELD:
        level, answer = HELD, f"Held: {manifest.held_reason}."
        doubts = [each for each in doubts if each.kind != manifest.held_because]
    elif manifest.status is not Status.PUBLISHED:
        level, answer = CLOSED, f"{_why_closed(manifest)}."
    elif doubts:
        level, answer = LOOK, f"Look before you use it: {doubts.pop(0).text}."
    else:
        level, answer = FINE, "No problem found."
    return Verdict(level=level, answer=answer, accuracy=_accuracy(evidence), doubts=tuple(doubts))


def _why_closed(manifest: Manifest) -> str:
    """What became of a run that is no longer held or published, and by whom."""
    status = str(manifest.status).capitalize()
    reviews = [each for each in manifest.reviews if each.status is manifest.status]
    held = f"; it had been held because {manifest.held_reason}" if manifest.held_because else ""
    return status + (reviewed(reviews[-1]) if reviews else "") + held


def _accuracy(evidence: Evidence) -> str:
    found, labels = evidence.manifest.accuracy_estimate, evidence.labels
    estimate = ""
    if found:
        ends = f"{percent(found.low)} to {percent(found.high)}"
        estimate = f"estimated at {percent(found.accuracy)} ({ends}) from the probabilities alone"
    if not labels:
        return f"Accuracy unknown: no labels{estimate and f'; {estimate}'}."
    few = ", too few to tell much" if labels["rows"] < ENOUGH_ROWS else ""
    rows = counted(labels["rows"], "labelled row")
    return f"Accuracy {percent(labels['accuracy'])} on {rows}{few}{estimate and f'; {estimate}'}."
