"""The Beam metrics of a run: their namespace, and their values at its end."""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "penguin"


class Spread(NamedTuple):
    """A Beam distribution's summary of many values."""

    values: int
    mean: float
    least: int
    most: int


Metrics = dict[str, int | Spread]
