"""Measures of predictions whose truth is known: one definition for training and for every night."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

# Keras' loss clips probabilities here too: a row costs at most 16.1 nats, however surely wrong the
# answer. A float32 softmax rounds to 0 where it means 1e-40.
LEAST_PROBABILITY = np.float32(1e-7)
# Standard errors on each side of a 95 % interval.
SIGMAS = 1.96
# How many bins of equal width sort predictions by their probability.
BINS = 10


def log_likelihoods(
    chosen: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """The logarithms of the probabilities that the true classes got, in nats.

    The log-loss is their mean, with the sign changed. In float32, like the probabilities, a
    logarithm takes a sixth of the time that it takes in float64.

    Args:
      chosen: the probability of each row's true class; from 0, which counts as
        `LEAST_PROBABILITY`, to 1.
      out: where to write the result, such as `chosen` itself.
    """
    clipped = np.maximum(chosen, LEAST_PROBABILITY, out=out)
    found: npt.NDArray[np.float32] = np.log(clipped, out=clipped)
    return found


def bins(probabilities: npt.NDArray[np.floating]) -> Counts:
    """The bin of each probability: its upper edge isn't in it, apart from 1."""
    # Ten times a float32 is exact in float64, so no value changes its bin.
    places = (probabilities.astype(np.float64) * BINS).astype(np.int64)
    return np.minimum(places, BINS - 1)


def reliability(rows: Counts, hits: Counts, sums: npt.NDArray[np.floating]) -> dict[str, Any]:
    """Accuracy by predicted probability, and its mean distance from the diagonal.

    The distance is the expected calibration error over bins of equal width (M. Naeini, G. Cooper
    and M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015).

    Args:
      rows: predictions by bin.
      hits: right predictions by bin.
      sums: the sum of the winning probabilities by bin.

    Returns:
      JSON values; a ratio over no rows is None.
    """
    return {
        "error": ratio(np.abs(hits - sums).sum(), rows.sum()),
        "bins": [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "rows": int(rows[index]),
                "probability": ratio(sums[index], rows[index]),
                "accuracy": ratio(hits[index], rows[index]),
            }
            for index in range(BINS)
        ],
    }


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


def ratio(part: Any, whole: Any) -> float | None:
    """A quotient to six decimal places; None over nothing."""
    return round(float(part / whole), 6) if whole else None
