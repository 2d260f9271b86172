"""What a run's drift was measured against, and what of it is worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.formatting import psi
from pipelines.monitoring.divergence import NOTABLE
from pipelines.monitoring.drift import name_baseline

Shifts = Mapping[str, Mapping[str, Any]]

_MOST_NAMED = 3
_NO_DETAILS: Mapping[str, str] = {}


def sides(found: Mapping[str, Any]) -> Iterator[tuple[str, Shifts]]:
    """The references' names, each with the shifts against it.

    Args:
      found: a manifest's ``drift``.
    """
    if found.get("training"):
        yield "training", found["training"]
    if found.get("baseline"):
        yield name_baseline(found["baseline_runs"]), found["baseline"]


def is_large(shift: Mapping[str, Any]) -> bool:
    """Whether a shift is beyond its threshold and large.

    However high a run's own limit was: that decides what is held, not what is worth a look.
    """
    return bool(shift["drifted"] or shift["psi"] > max(shift["threshold"], NOTABLE))


def name_large(found: Mapping[str, Any], details: Mapping[str, str] = _NO_DETAILS) -> str:
    """Names what has shifted beyond its threshold and is large, worst first; usually empty.

    Args:
      found: a manifest's ``drift``.
      details: what to say of a distribution besides its PSI.
    """
    worst: dict[str, float] = {}
    for _, shifts in sides(found):
        for name, shift in shifts.items():
            if is_large(shift):
                worst[name] = max(worst.get(name, 0.0), shift["psi"])
    named = sorted(worst, key=lambda name: -worst[name])
    shown = [
        f"{name} ({'; '.join(filter(None, [f'PSI {psi(worst[name])}', details.get(name)]))})"
        for name in named[:_MOST_NAMED]
    ]
    if len(named) > _MOST_NAMED:
        shown.append(f"{len(named) - _MOST_NAMED} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
