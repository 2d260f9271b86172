"""Counts of a whole run by group and name: how they are named, and how they add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Counts = tuple[int, ...]
Figures = Mapping[tuple[str, str], int | Counts]

# Counts that prove that a run is complete; they are compared but not shown.
COUNTED = "counted"
FOUND, MATCHED = "files_found", "files_matched"
NORMALIZED, PREDICTED = "rows_normalized", "rows_predicted"


def figures(group: str, counts: Mapping[str, int | Counts]) -> Figures:
    """The counts of one group by name, as part of all counts of a run."""
    return {(group, name): count for name, count in counts.items()}


def add_up(counts: Iterable[int | Counts]) -> int | Counts:
    """Adds up the values of one figure: numbers, or tuples of equal length element by element.

    It accepts its own results, in any order, so it can combine partial sums.
    """
    total: int | Counts = 0
    for each in counts:
        if total == 0:  # nothing yet
            total = each
        elif isinstance(total, int) and isinstance(each, int):
            total += each
        elif isinstance(total, tuple) and isinstance(each, tuple):
            total = tuple(a + b for a, b in zip(total, each, strict=True))
        elif each != 0:
            raise TypeError(f"a figure is both a number and a tuple: {total!r}, {each!r}")
    return total
