"""Drift: how far a run's data differ, beyond chance, from the training data and the previous run's.

Each feature, the species mix and the probability of the predicted species are compared separately
(`divergence.compare`). The largest PSI that is beyond chance is the run's score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from penguin_model.card import Reference
from pipelines.counts.figures import Counts
from pipelines.monitoring.divergence import NOTABLE, Shift, compare
from pipelines.monitoring.histograms import PROBABILITY, SPECIES

# The most drifted distributions that an error names.
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """How a run differs from its references.

    Attributes:
      training: the shifts against the training data, by feature, ``species`` and ``probability``.
      previous: the shifts against the last published run; empty if there is none.
      previous_run: that run's id.
      max_drift: a higher score holds the run; None means that none does.
    """

    training: Mapping[str, Shift]
    previous: Mapping[str, Shift]
    previous_run: str | None
    max_drift: float | None

    @property
    def score(self) -> float:
        """The largest PSI that is beyond chance, 0 if none is."""
        shifts = [*self.training.values(), *self.previous.values()]
        return max((shift.score for shift in shifts), default=0.0)

    @property
    def is_over(self) -> bool:
        """Whether the run must be held."""
        return self.max_drift is not None and self.score > self.max_drift

    def to_json(self) -> dict[str, Any]:
        """The manifest's ``drift``, as JSON values."""
        shifts = [*self.training.items(), *self.previous.items()]
        return {
            "training": _as_json(self.training),
            "previous": _as_json(self.previous) if self.previous_run is not None else None,
            "previous_run": self.previous_run,
            "score": self.score,
            "max_drift": self.max_drift,
            "drifted": list(dict.fromkeys(name for name, shift in shifts if shift.drifted)),
        }


def measure(
    this_run: Reference,
    training: Reference,
    *,
    previous: tuple[str, Reference] | None = None,
    max_drift: float | None = None,
) -> Drift:
    """Compares a run with the training data and with the last published run.

    Args:
      this_run: the run's histograms (`histograms.of_run`).
      training: the card's reference.
      previous: the last published run's id and histograms; None if there is none.
      max_drift: the PSI that counts as drift; None means NOTABLE, and holds no run back.

    Returns:
      The shifts. Histograms without rows, or with different bins, aren't compared.
    """
    with_training = _pairs(this_run, training)
    with_previous = _pairs(this_run, previous[1]) if previous else {}
    comparisons = len(with_training) + len(with_previous)
    limit = NOTABLE if max_drift is None else max_drift

    def compared(pairs: Mapping[str, tuple[Counts, Counts]]) -> dict[str, Shift]:
        return {
            name: compare(*pair, comparisons=comparisons, limit=limit)
            for name, pair in pairs.items()
        }

    return Drift(
        training=compared(with_training),
        previous=compared(with_previous),
        previous_run=previous[0] if previous else None,
        max_drift=max_drift,
    )


def explain(found: Mapping[str, Any]) -> str:
    """Names what has drifted, worst first, for the one-line error.

    Args:
      found: a manifest's ``drift`` whose score exceeds its ``max_drift``.
    """
    against = {"training": found["training"], f"run {found['previous_run']}": found["previous"]}
    drifted = [
        (-shift["psi"], f"{name} {shift['psi']:.2f} against {label}")
        for label, shifts in against.items()
        for name, shift in (shifts or {}).items()
        if shift["drifted"]
    ]
    named = [text for _, text in sorted(drifted)]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more


def _pairs(this_run: Reference, other: Reference) -> dict[str, tuple[Counts, Counts]]:
    """The counts of the distributions that both have, with the same bins and with rows."""
    pairs = {
        name: (ours, other.features[name])
        for name, ours in this_run.features.items()
        if name in other.features
    }
    pairs[PROBABILITY] = (this_run.probability, other.probability)
    found = {
        name: (ours.counts, theirs.counts)
        for name, (ours, theirs) in pairs.items()
        if ours.edges == theirs.edges
    }
    names = tuple(dict.fromkeys([*this_run.classes, *other.classes]))
    found[SPECIES] = (
        tuple(this_run.classes.get(name, 0) for name in names),
        tuple(other.classes.get(name, 0) for name in names),
    )
    return {name: pair for name, pair in found.items() if sum(pair[0]) and sum(pair[1])}


def _as_json(shifts: Mapping[str, Shift]) -> dict[str, Any]:
    return {name: dataclasses.asdict(shift) for name, shift in shifts.items()}
