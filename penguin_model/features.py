"""Normalization of raw columns into the network's matrix, for both training and scoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from penguin_model.card import Category, Input


def normalize(
    columns: Sequence[npt.NDArray[np.float64]], features: Sequence[Input]
) -> npt.NDArray[np.float32]:
    """Makes the network's input: a number less its offset, divided by its scale; codes as they are.

    The result is computed in float64 and rounded once, so the network's input doesn't depend on
    how a file stores its numbers (text, float64, integers).

    Args:
      columns: one array ``[n]`` per feature, raw units or codes, in the features' order.
      features: the card's features.

    Returns:
      float32 ``[n, width]``, column by column in memory (Fortran order): everything that works on
      whole columns reads and writes them many times as fast.
    """
    if len(columns) != len(features):
        raise ValueError(f"{len(columns)} columns for {len(features)} features")
    width = sum(feature.width for feature in features)
    by_column = np.empty((width, len(columns[0])), dtype=np.float32)
    start = 0
    for column, feature in zip(columns, features, strict=True):
        values = np.asarray(column, dtype=np.float64)
        out = by_column[start : start + feature.width]
        start += feature.width
        if isinstance(feature, Category) and feature.one_hot:
            np.equal(values, np.arange(feature.width)[:, np.newaxis], out=out, casting="unsafe")
            continue
        if feature.offset:
            values = values - feature.offset
        np.divide(values, feature.scale, out=out[0], casting="same_kind")
    return by_column.T


def least_variances(features: Sequence[Input]) -> npt.NDArray[np.float64]:
    """How much each number of the network varies at least, for a measure of what is usual.

    A text that few rows have would otherwise be many standard deviations from the others, though
    it's known: of a text's indicator, the inverse of its share. So a category varies as if all
    texts were equally likely: an indicator like a fair coin, a code like a fair die.

    Returns:
      float64 ``[width]``; 0 for a feature that is a number.
    """
    found: list[float] = []
    for feature in features:
        sides = 0
        if isinstance(feature, Category):
            sides = 2 if feature.one_hot else len(feature.categories)
        found += [(sides**2 - 1) / 12 if sides else 0.0] * feature.width
    return np.array(found)


def normalized_ranges(features: Sequence[Input]) -> npt.NDArray[np.float64]:
    """The least and the largest of each number that plausible rows give the network.

    Returns:
      float64 ``[width, 2]``; a negative scale swaps the two.
    """
    ranges: list[tuple[float, float]] = []
    for feature in features:
        if isinstance(feature, Category) and feature.one_hot:
            ranges += [(0.0, 1.0)] * feature.width
        else:
            low, high = feature.minimum - feature.offset, feature.maximum - feature.offset
            ranges.append((low / feature.scale, high / feature.scale))
    return np.array(ranges)
