"""The Beam metrics of a run: their namespace, and what they come to when it has ended."""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "penguin"


class Spread(NamedTuple):
    """What a Beam distribution keeps of many values."""

    values: int
    mean: float
    least: int
    most: int


Metrics = dict[str, int | Spread]
