"""Confidence intervals for shares of rows."""

from __future__ import annotations

import math

# Standard errors on each side of a 95 % interval.
SIGMAS = 1.96


def wilson(
    share: float, rows: float, *, variance: float | None = None, sigmas: float = SIGMAS
) -> tuple[float, float]:
    """Wilson's interval for a share (E. Wilson, Probable inference, 1927).

    Args:
      share: of the rows, from 0 to 1.
      rows: above 0.
      variance: of a single row; None takes ``share * (1 - share)``, which is right if all rows have
        the same chance. It is less if their chances differ.
      sigmas: the half-width in standard errors.

    Returns:
      The ends of the interval, within 0 and 1.
    """
    square = sigmas**2 / rows
    spread = share * (1 - share) if variance is None else variance
    middle = share + square / 2
    reach = sigmas * math.sqrt(spread / rows + square / rows / 4)
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))
