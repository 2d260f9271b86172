"""Drift: how far a run's data differ from the training data and from the nights before.

Each feature, the mix of predicted classes, the probability of the predicted class and, if the model
card has it, the distance from the training data are compared separately (`divergence.compare`). The
largest PSI that is beyond its threshold is the run's score.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penguin_model.card import PREDICTION_COLUMN, Reference
from pipelines.monitoring import histograms, nights
from pipelines.monitoring.divergence import FALSE_ALARMS, NOTABLE, Bins, Rule, Shift, compare

# The most drifted distributions that an error names.
_MOST_NAMED = 3
_NO_BASELINE: Mapping[str, Reference] = {}

# A category may have thousands of texts: beyond this many, the rarest are compared as one.
_MOST_BINS = 100

_Counts = Mapping[str, Bins]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """How a run differs from its references.

    Attributes:
      training: the shifts against the training data, by feature, the column of predicted classes,
        ``probability`` and ``novelty``.
      baseline: the shifts against the nights before, taken together; empty if there are none.
      baseline_runs: their ids, oldest first.
      max_drift: a higher score holds the run; None means that none does.
    """

    training: Mapping[str, Shift]
    baseline: Mapping[str, Shift]
    baseline_runs: tuple[str, ...]
    max_drift: float | None

    @property
    def shifts(self) -> list[tuple[str, Shift]]:
        """All comparisons, with the names of the distributions."""
        return [*self.training.items(), *self.baseline.items()]

    @property
    def score(self) -> float:
        """The largest PSI that is beyond its threshold, 0 if none is."""
        return max((shift.score for _, shift in self.shifts), default=0.0)

    @property
    def rule(self) -> Rule:
        """What the thresholds allow for; chance alone if there are too few nights to know more."""
        known = any(shift.rule is Rule.BETWEEN_NIGHTS for _, shift in self.shifts)
        return Rule.BETWEEN_NIGHTS if known else Rule.CHANCE

    @property
    def is_over(self) -> bool:
        """Whether the run must be held."""
        return self.max_drift is not None and self.score > self.max_drift

    def to_json(self) -> dict[str, Any]:
        """The manifest's ``drift``, as JSON values."""
        drifted = [name for name, shift in self.shifts if shift.drifted]
        return {
            "training": _as_json(self.training),
            "baseline": _as_json(self.baseline) if self.baseline_runs else None,
            "baseline_runs": list(self.baseline_runs),
            "rule": str(self.rule),
            "score": self.score,
            "max_drift": self.max_drift,
            "drifted": list(dict.fromkeys(drifted)),
        }


def measure(
    this_run: Reference,
    training: Reference,
    *,
    baseline: Mapping[str, Reference] = _NO_BASELINE,
    max_drift: float | None = None,
    prediction_column: str = PREDICTION_COLUMN,
) -> Drift:
    """Compares a run with the training data and with the nights before.

    Args:
      this_run: the run's histograms (`histograms.of_run`).
      training: the card's reference.
      baseline: the histograms of the nights before, by run id, oldest first.
      max_drift: the score above which the run is held; None holds no run back. What counts as
        drift is NOTABLE, or this if it is less: a night that is published thanks to a high limit
        has drifted all the same.
      prediction_column: the name of the mix of predicted classes.

    Returns:
      The shifts. Histograms without rows, or with different bins, aren't compared.
    """
    classes = tuple(dict.fromkeys([*this_run.classes, *training.classes]))
    counts = functools.partial(
        _counts, like=this_run, classes=classes, prediction_column=prediction_column
    )
    ours = counts(this_run)
    earlier = [counts(night) for night in baseline.values()]
    known = counts(training)
    for name in ours:
        _merge_rare([each for each in (ours, known, *earlier) if name in each], name)
    by_name = {name: [night[name] for night in earlier if name in night] for name in ours}
    pooled = {name: nights.pool(found) for name, found in by_name.items() if found}
    comparisons = len(ours.keys() & known.keys()) + len(pooled)
    level = FALSE_ALARMS / max(comparisons, 1)
    limit = NOTABLE if max_drift is None else min(NOTABLE, max_drift)
    allowed = {name: nights.allow(found, level) for name, found in by_name.items()}

    def compared(references: _Counts) -> dict[str, Shift]:
        return {
            name: compare(
                tuple(counts.tolist()),
                tuple(references[name].tolist()),
                level=level,
                variation=allowed[name],
                limit=limit,
            )
            for name, counts in ours.items()
            if name in references
        }

    return Drift(
        training=compared(known),
        baseline=compared(pooled),
        baseline_runs=tuple(baseline),
        max_drift=max_drift,
    )


def upgrade(found: Mapping[str, Any]) -> dict[str, Any]:
    """Gives a manifest's ``drift`` today's form.

    Early releases compared a run with the one before it, by chance alone.

    Raises:
      TypeError: it isn't a manifest's ``drift``.
    """
    upgraded = {"baseline_runs": [], "rule": str(Rule.CHANCE), **found}
    previous, run_id = upgraded.pop("previous", None), upgraded.pop("previous_run", None)
    if run_id is not None:
        upgraded["baseline_runs"] = [run_id]
    upgraded.setdefault("baseline", previous)
    for side in ("training", "baseline"):
        if shifts := upgraded.get(side):
            if not isinstance(shifts, Mapping):
                raise TypeError(f"drift.{side} isn't an object")
            known = {name: {"rule": str(Rule.CHANCE), **each} for name, each in shifts.items()}
            upgraded[side] = known
    return upgraded


def name_baseline(run_ids: Sequence[str]) -> str:
    """Names the nights of a baseline: a single one by its id, several by their number."""
    return f"run {run_ids[0]}" if len(run_ids) == 1 else f"the last {len(run_ids)} nights"


def name_rule(found: Mapping[str, Any]) -> str:
    """Names what a run's thresholds allow for, to be read after "beyond".

    Args:
      found: a manifest's ``drift``.
    """
    if found["rule"] == Rule.CHANCE:
        return "chance"
    return f"the variation of {name_baseline(found['baseline_runs'])}"


def explain(found: Mapping[str, Any]) -> str:
    """Names what has drifted further than allowed, worst first, for the one-line error.

    Args:
      found: a manifest's ``drift`` whose score exceeds its ``max_drift``.
    """
    sides = {
        "training": found["training"],
        name_baseline(found["baseline_runs"]): found["baseline"],
    }
    drifted = [
        (-shift["psi"], f"{name} {shift['psi']:.2f} against {label}")
        for label, shifts in sides.items()
        for name, shift in (shifts or {}).items()
        if shift["drifted"] and shift["psi"] > found["max_drift"]
    ]
    named = [text for _, text in sorted(drifted)]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more


def _counts(
    measured: Reference, *, like: Reference, classes: Sequence[str], prediction_column: str
) -> dict[str, Bins]:
    """The counts of what has rows and the same bins as another's."""
    bins = {name: each.edges for name, each in histograms.by_name(like).items()}
    found: dict[str, Sequence[int]] = {
        name: each.counts
        for name, each in histograms.by_name(measured).items()
        if bins.get(name) == each.edges
    }
    found[prediction_column] = [measured.classes.get(name, 0) for name in classes]
    return {name: np.array(counts, np.int64) for name, counts in found.items() if sum(counts)}


def _merge_rare(sides: Sequence[dict[str, Bins]], name: str) -> None:
    """Adds up the bins that are rarest on all sides together, if there are more than _MOST_BINS.

    By their shares, so that a text that is frequent on the smaller side alone stays by itself.
    """
    shares = sum(each[name] / each[name].sum() for each in sides)
    if np.size(shares) <= _MOST_BINS:
        return
    order = np.argsort(-np.asarray(shares), kind="stable")
    for each in sides:
        ranked = each[name][order]
        each[name] = np.append(ranked[: _MOST_BINS - 1], ranked[_MOST_BINS - 1 :].sum())


def _as_json(shifts: Mapping[str, Shift]) -> dict[str, Any]:
    return {
        name: {**dataclasses.asdict(shift), "rule": str(shift.rule)}
        for name, shift in shifts.items()
    }
