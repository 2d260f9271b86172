"""What a run's drift was measured against, whichever release measured it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.formatting import psi
from pipelines.monitoring.divergence import NOTABLE

Shifts = Mapping[str, Mapping[str, Any]]

_MOST_NAMED = 3


def sides(found: Mapping[str, Any]) -> Iterator[tuple[str, Shifts]]:
    """The references' names, each with the shifts against it.

    Args:
      found: a manifest's ``drift``. Early releases compared a run with the one before it, later
        ones with a baseline of several.
    """
    if found.get("training"):
        yield "training", found["training"]
    shifts = found.get("baseline") or found.get("previous")
    if shifts:
        runs = found.get("baseline_runs") or [found.get("previous_run")]
        yield f"run {runs[0]}" if len(runs) == 1 else f"the last {len(runs)} nights", shifts


def rule(found: Mapping[str, Any]) -> str:
    """What the thresholds allow for, to be read after "beyond"."""
    if found.get("rule", "chance") == "chance":
        return "chance"
    return f"the variation of the last {len(found['baseline_runs'])} nights"


def is_large(shift: Mapping[str, Any]) -> bool:
    """Whether a shift is beyond its threshold and large.

    However high a run's own limit was: that decides what is held, not what is worth a look.
    """
    return bool(shift["drifted"] or shift["psi"] > max(shift["threshold"], NOTABLE))


def name_large(found: Mapping[str, Any]) -> str:
    """Names what has shifted beyond its threshold and is large, worst first; usually empty."""
    worst: dict[str, float] = {}
    for _, shifts in sides(found):
        for name, shift in shifts.items():
            if is_large(shift):
                worst[name] = max(worst.get(name, 0.0), shift["psi"])
    named = sorted(worst, key=lambda name: -worst[name])
    shown = [f"{name} (PSI {psi(worst[name])})" for name in named[:_MOST_NAMED]]
    if len(named) > _MOST_NAMED:
        shown.append(f"{len(named) - _MOST_NAMED} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
