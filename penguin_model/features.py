"""Normalization of raw columns into the network's matrix, for both training and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from penguin_model.card import Feature


def normalize(
    columns: Sequence[npt.NDArray[np.float64]], features: Sequence[Feature]
) -> npt.NDArray[np.float32]:
    """Divides each raw column by its feature's scale.

    The quotient is computed in float64 and rounded once, so the network's input doesn't depend on
    how a file stores its numbers (text, float64, integers).

    Args:
      columns: one array ``[n]`` per feature, raw units, in the features' order.
      features: the card's features.

    Returns:
      The network's input, float32 ``[n, len(features)]``, C-contiguous.
    """
    if len(columns) != len(features):
        raise ValueError(f"{len(columns)} columns for {len(features)} features")
    matrix = np.empty((len(columns[0]), len(features)), dtype=np.float32)
    for position, (column, feature) in enumerate(zip(columns, features, strict=True)):
        values = np.asarray(column, dtype=np.float64)
        np.divide(values, feature.scale, out=matrix[:, position], casting="same_kind")
    return matrix
