"""Accuracy on labelled input: how the predictions compare with the labels.

The input may have the card's label column, read by `penguin_model.labels`. Labels never reach the
model. The sums over a chunk are whole numbers, so the order in which
they are added up makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model.labels import MISSING, UNKNOWN, Codes
from penguin_model.measures import BINS, bins, log_likelihoods, ratio, reliability
from pipelines.counts.figures import Counts, Figures

GROUP = "labels"

# The smallest float32 in the last bin: the first x with x * BINS >= BINS - 1.
_LAST_BIN = np.float32((BINS - 1) / BINS)
if float(_LAST_BIN) * BINS < BINS - 1:
    _LAST_BIN = np.nextafter(_LAST_BIN, np.float32(1))
# Losses and probabilities are added up in billionths: integer sums don't depend on the order.
_UNIT = 1e-9

Probabilities = npt.NDArray[np.float32]


def count_hits(
    codes: Codes,
    winners: npt.NDArray[np.int32],
    best: npt.NDArray[np.float32],
    probabilities: Probabilities,
) -> dict[str, Counts]:
    """Compares a chunk's predictions with its labels.

    Args:
      codes: int32 ``[n]``, from `to_codes`.
      winners: int32 ``[n]``, the predicted classes.
      best: ``[n]``, their probabilities.
      probabilities: ``[n, classes]``.

    Returns:
      Tuples of sums by name; empty if no row has a label.
    """
    if not (codes != MISSING).any():
        return {}
    unknown = int(np.count_nonzero(codes == UNKNOWN))
    known = codes >= 0
    if not known.all():  # otherwise nothing needs to be copied
        places = np.flatnonzero(known)
        codes, winners, best = codes[places], winners[places], best[places]
        probabilities = probabilities[places]
    # Most predictions are right and in the last bin: only the others are handled one by one.
    wrong = np.flatnonzero(codes != winners)
    chosen = best.copy()
    chosen[wrong] = probabilities[wrong, codes[wrong]]
    log_likelihoods(chosen, out=chosen)
    # By index: an irregular mask takes three times as long.
    low = best[np.flatnonzero(best < _LAST_BIN)].astype(np.float64)
    places = bins(low)
    rows = np.bincount(places, minlength=BINS)
    rows[-1] += len(best) - len(low)
    sums = np.bincount(places, low, BINS).astype(np.float64)  # bincount of nothing is int64
    sums[-1] += best.sum(dtype=np.float64) - low.sum()
    return {
        "confusion": _tuple(_confusion(codes, winners, wrong, probabilities.shape[1])),
        "loss": _tuple([np.rint(-chosen.sum(dtype=np.float64) / _UNIT)]),
        "unknown": (unknown,),
        "bin_rows": _tuple(rows),
        "bin_hits": _tuple(rows - np.bincount(bins(best[wrong]), minlength=BINS)),
        "bin_probability": _tuple(np.rint(sums / _UNIT)),
    }


def summarize(figures: Figures, classes: Sequence[str], rows_scored: int) -> dict[str, Any] | None:
    """Summarizes how a run's predictions compare with its labels.

    Args:
      figures: the run's sums, by group and name.
      classes: the card's classes.
      rows_scored: the number of rows with a prediction.

    Returns:
      The manifest's ``labels``, as JSON values; None if no row has a label. A ratio over no rows is
      None, such as the recall of a class that no label names, or the precision of a class that was
      never predicted.
    """
    sums = {name: n for (group, name), n in figures.items() if group == GROUP}
    if not sums:
        return None
    found = {name: np.array(n, np.int64) for name, n in sums.items()}
    confusion = found["confusion"].reshape(len(classes), len(classes))
    rows, hits = int(confusion.sum()), confusion.diagonal()
    return {
        "rows": rows,
        "unlabelled": rows_scored - rows,
        "unknown": int(found["unknown"][0]),
        "accuracy": ratio(hits.sum(), rows),
        "log_loss": ratio(found["loss"][0] * _UNIT, rows),
        "recall": _by_class(classes, hits, confusion.sum(axis=1)),
        "precision": _by_class(classes, hits, confusion.sum(axis=0)),
        "confusion": confusion.tolist(),
        "calibration": reliability(
            found["bin_rows"], found["bin_hits"], found["bin_probability"] * _UNIT
        ),
    }


def _confusion(
    codes: Codes, winners: Codes, wrong: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """The cells of the matrix, row by row; the diagonal is counted by class."""
    codes_wrong = codes[wrong]
    cells = np.bincount(codes_wrong * classes + winners[wrong], minlength=classes**2)
    right = np.bincount(codes, minlength=classes) - np.bincount(codes_wrong, minlength=classes)
    cells[:: classes + 1] += right
    return cells


def _by_class(
    classes: Sequence[str], hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    return {name: ratio(hits[index], rows[index]) for index, name in enumerate(classes)}


def _tuple(sums: Any) -> Counts:
    return tuple(int(each) for each in sums)
