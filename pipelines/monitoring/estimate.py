"""Accuracy without labels, estimated from the run's own probabilities.

The card's `Calibration` says how often held-out predictions of a probability were right. Its mean
over the night's predictions is the night's expected accuracy: confidence-based performance
estimation (J. Białek, W. Kuberski, N. Perrakis and A. Bifet, Estimating Model Performance Under
Covariate Shift Without Labels, 2024; before them, D. Guillory and others, Predicting with
Confidence on Unseen Distributions, 2021).

It follows a night with more or fewer hard cases of the kind seen in training. It can't see that
the same features belong to other classes than before (concept drift), nor that the inputs are
unlike the training data: there, a network is often surely wrong. Drift and labels find those.

The calibration is piecewise linear, so the mean over any number of rows follows exactly from two
sums for each of its pieces: rows, and probabilities.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from penguin_model.card import Calibration, Histogram
from penguin_model.measures import SIGMAS, wilson
from pipelines.counts.figures import Counts, Figures

GROUP = "estimate"
_ROWS, _PROBABILITIES = "rows", "probabilities"

# Probabilities are added up in units that a float32 of 1/64 or more is a whole number of, so sums
# don't depend on how the rows were divided into chunks; smaller ones are rounded.
_UNIT = 2.0**-30


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyEstimate:
    """The accuracy that a run's own probabilities imply, without labels.

    Attributes:
      accuracy: the estimate.
      low, high: the ends of its 95 % interval.
      rows: rows scored.
    """

    accuracy: float
    low: float
    high: float
    rows: int


def count_probabilities(
    best: npt.NDArray[np.float32], calibration: Calibration
) -> dict[str, Counts]:
    """Counts a chunk's predictions by the pieces of the calibration.

    Args:
      best: float32 ``[n]``, the probabilities of the predicted classes.
      calibration: the card's.

    Returns:
      By name, a number for each piece: its rows, and the sum of their probabilities.
    """
    knots = np.array(calibration.probability[:-1], np.float32)
    # Most predictions are almost certain: only those below the last piece are looked at again. By
    # index, since an irregular mask takes three times as long.
    low = best.take(np.flatnonzero(best < knots[-1]))
    # A comparison per knot, each added in a byte, takes a fraction of the time of a search per
    # value. Values below the first knot belong to no piece.
    pieces = np.zeros(len(low), np.min_scalar_type(len(knots)))
    above = []
    for knot in knots[:-1]:
        reached = low >= knot
        above.append(int(np.count_nonzero(reached)))
        pieces += reached
    rows = -np.diff([*above, 0])
    sums = np.bincount(pieces, weights=low, minlength=len(knots)).tolist()
    almost_certain = float(best.sum(dtype=np.float64)) - sum(sums)
    units = (each / _UNIT for each in (*sums[1:], almost_certain))
    return {
        _ROWS: (*rows.tolist(), len(best) - len(low)),
        _PROBABILITIES: tuple(map(round, units)),
    }


def estimate(
    figures: Figures, calibration: Calibration, held_out: Histogram | None = None
) -> AccuracyEstimate | None:
    """Estimates a run's accuracy; None if it has no rows.

    Two things make it uncertain. The night's rows are right or wrong by chance, each with its own
    probability. And each piece of the calibration was measured on few held-out rows: it is known
    as well as a share of so many rows (Wilson's interval), and not at all without any. They are
    independent, so their distances from the estimate are combined as the sides of a right angle
    (G. Zou and A. Donner, Construction of Confidence Limits about Effect Measures, 2008).

    Args:
      figures: the run's sums, by group and name.
      calibration: the card's.
      held_out: the held-out rows' probabilities; None if only their number is known, and taken to
        be spread as the night's are.
    """
    counted, added = figures.get((GROUP, _ROWS)), figures.get((GROUP, _PROBABILITIES))
    if not isinstance(counted, tuple) or not isinstance(added, tuple) or not sum(counted):
        return None
    used = np.flatnonzero(counted)
    rows = np.array(counted, np.int64)[used]
    total = int(rows.sum())
    shares = rows / total
    # Interpolation is linear in each piece: its mean is the value at the mean probability.
    means = np.array(added, np.int64)[used] * _UNIT / rows
    chances = np.interp(means, calibration.probability, calibration.accuracy)
    accuracy = float(np.dot(shares, chances))
    known = shares if held_out is None else _spread(held_out, calibration)[used]
    ends = [
        wilson(chance, rows) if rows else (0.0, 1.0)
        for chance, rows in zip(chances.tolist(), (known * calibration.rows).tolist(), strict=True)
    ]
    low, high = np.array(ends).T
    night = SIGMAS * math.sqrt(float(np.dot(shares, chances * (1 - chances))) / total)
    below = math.hypot(night, *(shares * (chances - low)).tolist())
    above = math.hypot(night, *(shares * (high - chances)).tolist())
    # Half a row, since a night's accuracy has as many values as it has rows.
    return AccuracyEstimate(
        accuracy=round(accuracy, 6),
        low=round(max(0.0, accuracy - below - 0.5 / total), 6),
        high=round(min(1.0, accuracy + above + 0.5 / total), 6),
        rows=total,
    )


def _spread(held_out: Histogram, calibration: Calibration) -> npt.NDArray[np.float64]:
    """The share of the held-out rows in each piece, evenly spread within a bin of theirs."""
    edges = (0.0, *held_out.edges, 1.0)
    below = np.cumsum((0, *held_out.counts)) / max(sum(held_out.counts), 1)
    return np.diff(np.interp(calibration.probability, edges, below))


def _differences(values: Sequence[float]) -> list[float]:
    """What each value has more than the next, and the last one than 0."""
    return [more - less for more, less in itertools.pairwise([*values, 0])]
