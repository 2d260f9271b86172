"""Drift: how far tonight's data lie from the training's and from the last run's, beyond chance.

Each feature, the species mix and the winning probability are compared on their own
(`divergence.compare`); the worst of what is beyond chance is the night's score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from penguin_model.card import Reference
from pipelines.monitoring.divergence import NOTABLE, Shift, compare
from pipelines.monitoring.histograms import PROBABILITY, SPECIES, Counts

# How many of what has drifted an error names.
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drift:
    """The verdict on a night.

    Attributes:
      training: against the model's training, by feature, ``species`` and ``probability``.
      previous: against the last published run; empty where there is none.
      previous_run: that run's id.
      max_drift: the run is held back over this score; None means never.
    """

    training: Mapping[str, Shift]
    previous: Mapping[str, Shift]
    previous_run: str | None
    max_drift: float | None

    @property
    def score(self) -> float:
        """The largest PSI that is beyond chance, 0 where none is."""
        shifts = [*self.training.values(), *self.previous.values()]
        return max((shift.score for shift in shifts), default=0.0)

    @property
    def is_over(self) -> bool:
        """Whether the run has to be held back."""
        return self.max_drift is not None and self.score > self.max_drift

    def to_json(self) -> dict[str, Any]:
        """JSON values for the manifest."""
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
    tonight: Reference,
    training: Reference,
    *,
    previous: tuple[str, Reference] | None = None,
    max_drift: float | None = None,
) -> Drift:
    """Compares a night with the model's training and with the last published run.

    Args:
      tonight: the run's histograms (`histograms.of_run`).
      training: the card's reference.
      previous: the last run's id and histograms, None where there is none.
      max_drift: the PSI that matters; None means NOTABLE, and that no run is held back.

    Returns:
      The verdict. Where either side has no rows, or other bins, nothing is compared.
    """
    with_training = _pairs(tonight, training)
    with_previous = _pairs(tonight, previous[1]) if previous else {}
    things = len(with_training) + len(with_previous)
    limit = NOTABLE if max_drift is None else max_drift

    def compared(pairs: Mapping[str, tuple[Counts, Counts]]) -> dict[str, Shift]:
        return {name: compare(*pair, things=things, limit=limit) for name, pair in pairs.items()}

    return Drift(
        training=compared(with_training),
        previous=compared(with_previous),
        previous_run=previous[0] if previous else None,
        max_drift=max_drift,
    )


def explain(found: Mapping[str, Any]) -> str:
    """Names what has drifted, the worst first, for the one-line error.

    Args:
      found: a manifest's ``drift``, its score over its ``max_drift``.
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


def _pairs(tonight: Reference, other: Reference) -> dict[str, tuple[Counts, Counts]]:
    """The counts of all that both have in the same bins, and rows of."""
    pairs = {
        name: (ours, other.features[name])
        for name, ours in tonight.features.items()
        if name in other.features
    }
    pairs[PROBABILITY] = (tonight.probability, other.probability)
    found = {
        name: (ours.counts, theirs.counts)
        for name, (ours, theirs) in pairs.items()
        if ours.edges == theirs.edges
    }
    names = tuple(dict.fromkeys([*tonight.classes, *other.classes]))
    found[SPECIES] = (
        tuple(tonight.classes.get(name, 0) for name in names),
        tuple(other.classes.get(name, 0) for name in names),
    )
    return {name: pair for name, pair in found.items() if sum(pair[0]) and sum(pair[1])}


def _as_json(shifts: Mapping[str, Shift]) -> dict[str, Any]:
    return {name: dataclasses.asdict(shift) for name, shift in shifts.items()}
