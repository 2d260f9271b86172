"""Shares of rows, and whether two of them differ by more than chance explains."""

from __future__ import annotations

import math


def chance_of_fewer(hits: int, rows: int, reference_hits: int, reference_rows: int) -> float:
    """How likely chance alone gives so small a share of hits, compared with a reference.

    Fisher's exact test, one-sided (R. Fisher, The logic of inductive inference, 1935): if all rows
    of both were dealt at random, how often would the reference get at least its number of hits?

    Args:
      hits: the number of rows that count, out of `rows`.
      rows: at least 1.
      reference_hits: likewise.
      reference_rows: likewise.

    Returns:
      The probability; 1 if the share isn't smaller at all. It never rises as `hits` falls.
    """
    if hits * reference_rows >= reference_hits * rows:
        return 1.0
    both, total = hits + reference_hits, rows + reference_rows
    term = math.exp(
        _log_choices(both, reference_hits)
        + _log_choices(total - both, reference_rows - reference_hits)
        - _log_choices(total, reference_rows)
    )
    found, dealt = term, reference_hits
    # From here on the terms fall, and soon no longer matter.
    while dealt < min(both, reference_rows) and term > found * 1e-12:
        term *= (both - dealt) * (reference_rows - dealt)
        dealt += 1
        term /= dealt * (rows - both + dealt)
        found += term
    return min(found, 1.0)


def _log_choices(rows: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose some of the rows."""
    return math.lgamma(rows + 1) - math.lgamma(chosen + 1) - math.lgamma(rows - chosen + 1)
