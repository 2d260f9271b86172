"""The nights of a baseline: their sum, and how much they differ from each other beyond chance.

Nights of the same colony differ by more than chance: other birds come on other days. With thousands
of rows chance is small, so a test against chance alone finds that every night has drifted. What is
usual shows in the nights themselves: each is compared with all the others, and of their distances
follows the limit for one more night.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipelines.monitoring.divergence import Bins, fit_limit, psi, simulate_chance

# With fewer nights the limit would be so high that it says little.
ENOUGH = 5
# Only the mean and variance of these are used.
_ROUNDS = 200


def pool(nights: Sequence[Bins]) -> Bins:
    """Adds up the histograms of several nights.

    No night counts as more rows than the median night (of two in the middle, the smaller one). So
    however large a night is, its share of two or more is at most a half, and of seven a quarter.
    Scaled down, a night varies less than a sample of its new size, so thresholds stay valid.

    Args:
      nights: int64 ``[bins]`` each, no sum 0; at least one.

    Returns:
      int64 ``[bins]``.
    """
    sizes = sorted(int(night.sum()) for night in nights)
    most = sizes[(len(sizes) - 1) // 2]
    scaled = [night * min(1.0, most / int(night.sum())) for night in nights]
    return np.asarray(np.rint(np.sum(scaled, axis=0)), np.int64)


def allow(nights: Sequence[Bins], level: float) -> float | None:
    """The PSI that one more night seldom exceeds, besides what chance explains.

    Each night is compared with the others; if the mean of their PSI exceeds that of chance, the
    nights vary. A PSI divided by its expectation, chance and excess, has about the same
    distribution for all nights, whatever their sizes, and its cube root is nearly normal (E. Wilson
    and M. Hilferty, The distribution of chi-square, 1931). So Student's t gives the limit for one
    more night (G. Hahn and W. Meeker, Statistical Intervals, 1991). What chance alone exceeds as
    seldom is taken off it: the caller adds what fits that night's size.

    Args:
      nights: int64 ``[bins]`` each, no sum 0.
      level: the chance that one more night exceeds it.

    Returns:
      The limit, 0 if the nights differ by no more than chance; None for fewer than ENOUGH nights.
    """
    count = len(nights)
    if count < ENOUGH:
        return None
    others = [pool([*nights[:place], *nights[place + 1 :]]) for place in range(count)]
    pairs = list(zip(nights, others, strict=True))
    found = np.array([psi(*pair) for pair in pairs])
    simulated = np.array([simulate_chance(*pair, _ROUNDS) for pair in pairs])
    chance, variance = simulated.mean(axis=1), simulated.var(axis=1)
    mean, excess = float(chance.mean()), float((found - chance).mean())
    if excess <= 0:
        return 0.0
    from scipy import special  # as in `fit_limit`

    roots = np.cbrt(found / (chance + excess))
    spread = float(roots.std(ddof=1)) * math.sqrt(1 + 1 / count)
    most = float(roots.mean() + special.stdtrit(count - 1, 1 - level) * spread) ** 3
    by_chance = min(mean * most, fit_limit(mean, float(variance.mean()), level))
    return (mean + excess) * most - by_chance
