"""Calibration: how often predictions are right, by their probability, from rows not trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penguin_model.card import Calibration
from penguin_model.measures import LEAST_PROBABILITY
from penguin_model.training.cross_validation import OutOfFold

Floats = npt.NDArray[np.float64]

# Closer together where most probabilities are, so that straight lines follow the curve.
KNOTS = (
    0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 0.998,
    0.999, 0.9995, 0.9999, 1,
)  # fmt: skip
_STEPS = 100


def fit(found: OutOfFold) -> Calibration:
    """Fits the expected accuracy to predictions of a cross-validation; see `fit_curve`."""
    best = found.probabilities.max(axis=2).ravel()
    right = found.probabilities.argmax(axis=2) == found.labels
    return fit_curve(best, right.ravel(), rows=len(found.labels))


def fit_curve(best: npt.ArrayLike, right: npt.ArrayLike, *, rows: int) -> Calibration:
    """Fits the expected accuracy as a monotone function of the winning probability.

    The curve is ``sigmoid(slope * logit(p) + shift)``, fitted by maximum likelihood as J. Platt
    does (Probabilistic Outputs for Support Vector Machines, 1999), to the odds of the network's own
    answer as in C. Guo et al., On Calibration of Modern Neural Networks, 2017. Few rows, or rows
    without a mistake, don't determine it, so slope and shift have normal priors with deviation 1
    around 1 and 0: without any rows, a probability is taken at its word.

    Args:
      best: ``[n]``, the winning probabilities.
      right: ``[n]``, whether the winner is the true class.
      rows: how many rows there are; fewer than n if each was predicted several times, which then
        counts as one.
    """
    x, y = _logits(np.asarray(best, np.float64)), np.asarray(right, np.float64)
    weight = rows / max(len(x), 1)
    slope, shift = _fit_line(x, y, weight)
    if slope < 0:  # a surer answer is never expected to be right less often
        slope, shift = 0.0, _fit_line(np.zeros_like(x), y, weight)[1]
    expected = _sigmoid(slope * _logits(np.array(KNOTS)) + shift)
    return Calibration(
        probability=tuple(map(float, KNOTS)),
        accuracy=tuple(expected.round(6).tolist()),
        rows=rows,
    )


def _fit_line(x: Floats, y: Floats, weight: float) -> tuple[float, float]:
    """Maximizes the weighted likelihood times the priors, by Newton's method with halved steps."""
    inputs, prior = np.stack([x, np.ones_like(x)]), np.array([1.0, 0.0])

    def loss(line: Floats) -> float:
        scores = line @ inputs
        misfit = np.logaddexp(0, scores).sum() - (scores * y).sum()
        return float(weight * misfit + ((line - prior) ** 2).sum() / 2)

    line = prior
    for _ in range(_STEPS):
        expected = _sigmoid(line @ inputs)
        slope = weight * inputs @ (expected - y) + line - prior
        curvature = (weight * inputs * expected * (1 - expected)) @ inputs.T + np.eye(2)
        step = np.linalg.solve(curvature, slope)
        while loss(line - step) > loss(line) and np.abs(step).max() > 1e-12:
            step = step / 2
        line = line - step
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])


def _logits(probabilities: Floats) -> Floats:
    least = float(LEAST_PROBABILITY)
    clipped = np.clip(probabilities, least, 1 - least)
    found: Floats = np.log(clipped) - np.log1p(-clipped)
    return found


def _sigmoid(scores: Floats) -> Floats:
    found: Floats = np.exp(-np.logaddexp(0, -scores))
    return found
