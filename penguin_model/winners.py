"""The most probable class of each row, found column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Indices of classes, in as few bytes as they fit.
Winners = npt.NDArray[np.signedinteger[Any]]


def find_winners(
    by_class: Sequence[npt.NDArray[np.float32]],
) -> tuple[Winners, npt.NDArray[np.float32]]:
    """Returns the winning class of each row and its probability; the first one wins a tie.

    Compares whole columns, since NumPy's ``max`` along rows of three takes many times as long.

    Args:
      by_class: one array ``[n]`` per class.

    Returns:
      Class indices ``[n]``, int8 if that holds them and else int32; probabilities ``[n]``.
    """
    best = by_class[0].copy()
    kind = np.int8 if len(by_class) <= np.iinfo(np.int8).max else np.int32
    winners: Winners = np.zeros(len(best), kind)
    for index, column in enumerate(by_class[1:], start=1):
        # A class that beats all before it has the largest index so far, so no mask is needed.
        np.maximum(winners, (column > best) * kind(index), out=winners)
        np.maximum(best, column, out=best)
    return winners, best
