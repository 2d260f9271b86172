"""Labelled nights: what the model got right, where the input says what was right.

The input may have the card's label column, with a class's name (in any case) or index in a row. A
label never reaches the model; the sums over a chunk are whole numbers, so that the order in which
they are added up makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model import validate
from penguin_model.validate import is_bytes, is_text
from pipelines.counts.figures import Counts, Figures

GROUP = "labels"
# What stands for a label where there is none, and where there is no such class.
MISSING, UNKNOWN = -1, -2

BINS = 10
# The loss of a row is cut off where Keras cuts it off: one row is 16.1 nats at most.
_LEAST_PROBABILITY = np.float32(1e-7)
# The last bin begins with this float32: the first whose tenfold is at least one less than BINS.
_LAST_BIN = np.float32((BINS - 1) / BINS)
if float(_LAST_BIN) * BINS < BINS - 1:
    _LAST_BIN = np.nextafter(_LAST_BIN, np.float32(1))
# Losses and probabilities are added up in billionths: whole numbers know no order of addition.
_UNIT = 1e-9

Codes = npt.NDArray[np.int32]
Probabilities = npt.NDArray[np.float32]


def read(array: pa.Array, classes: Sequence[str]) -> Codes:
    """Reads a label column of any type.

    Args:
      array: names or indices; text, which may be bytes, is trimmed, and its case does not matter.
      classes: the card's classes.

    Returns:
      int32 ``[n]``: the class's index, MISSING or UNKNOWN. No label is refused.
    """
    if is_text(array.type) or is_bytes(array.type):
        return _read_text(array, classes)
    return _read_numbers(validate.to_numbers(array), classes)


def count(
    codes: Codes,
    winners: npt.NDArray[np.int32],
    best: npt.NDArray[np.float32],
    probabilities: Probabilities,
) -> dict[str, Counts]:
    """Compares a chunk's answers with its labels.

    Args:
      codes: int32 ``[n]``, as `read` gives them.
      winners: int32 ``[n]``, the predicted classes.
      best: ``[n]``, their probabilities.
      probabilities: ``[n, classes]``.

    Returns:
      Figures by name, each a tuple of sums; none where no row has a label.
    """
    if not (codes != MISSING).any():
        return {}
    unknown = int(np.count_nonzero(codes == UNKNOWN))
    known = codes >= 0
    if not known.all():  # else nothing need be copied
        places = np.flatnonzero(known)
        codes, winners, best = codes[places], winners[places], best[places]
        probabilities = probabilities[places]
    # Winners are mostly right and in the last bin: what is not so is looked at on its own.
    wrong = np.flatnonzero(codes != winners)
    chosen = best.copy()
    chosen[wrong] = probabilities[wrong, codes[wrong]]
    # As float32 like the probabilities: each logarithm takes a sixth of the time.
    np.log(np.maximum(chosen, _LEAST_PROBABILITY, out=chosen), out=chosen)
    # By places: a mask of no pattern takes three times as long.
    low = best[np.flatnonzero(best < _LAST_BIN)].astype(np.float64)
    bins = _bins(low)
    rows = np.bincount(bins, minlength=BINS)
    rows[-1] += len(best) - len(low)
    sums = np.bincount(bins, low, BINS).astype(np.float64)  # of nothing it counts in int64
    sums[-1] += best.sum(dtype=np.float64) - low.sum()
    return {
        "confusion": _tuple(_confusion(codes, winners, wrong, probabilities.shape[1])),
        "loss": _tuple([np.rint(-chosen.sum(dtype=np.float64) / _UNIT)]),
        "unknown": (unknown,),
        "bin_rows": _tuple(rows),
        "bin_hits": _tuple(rows - np.bincount(_bins(best[wrong]), minlength=BINS)),
        "bin_probability": _tuple(np.rint(sums / _UNIT)),
    }


def report(figures: Figures, classes: Sequence[str], rows_scored: int) -> dict[str, Any] | None:
    """What a run's labels say of its predictions.

    Args:
      figures: the run's sums, by group and name.
      classes: the card's classes.
      rows_scored: all rows with a prediction.

    Returns:
      JSON values, None where no row has a label. Where a quotient has no rows it is None: the
      recall of a class that no label names, the precision of one that was never predicted.
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
        "accuracy": _quotient(hits.sum(), rows),
        "log_loss": _quotient(found["loss"][0] * _UNIT, rows),
        "recall": _by_class(classes, hits, confusion.sum(axis=1)),
        "precision": _by_class(classes, hits, confusion.sum(axis=0)),
        "confusion": confusion.tolist(),
        "calibration": _calibration(found),
    }


def _bins(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    # Ten times a float32 is exact in float64: no value changes its bin.
    return np.minimum((values.astype(np.float64) * BINS).astype(np.int64), BINS - 1)


def _confusion(
    codes: Codes, winners: Codes, wrong: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """The cells of the matrix, row by row: what is on its diagonal is counted by class."""
    codes_wrong = codes[wrong]
    cells = np.bincount(codes_wrong * classes + winners[wrong], minlength=classes**2)
    right = np.bincount(codes, minlength=classes) - np.bincount(codes_wrong, minlength=classes)
    cells[:: classes + 1] += right
    return cells


def _calibration(found: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Any]:
    """The curve of hits over winning probabilities, and its mean distance from the diagonal.

    The latter is the expected calibration error over bins of equal width (M. Naeini, G. Cooper and
    M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015).
    """
    rows, hits = found["bin_rows"], found["bin_hits"]
    sums = found["bin_probability"] * _UNIT
    return {
        "error": _quotient(np.abs(hits - sums).sum(), rows.sum()),
        "bins": [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "rows": int(rows[index]),
                "probability": _quotient(sums[index], rows[index]),
                "accuracy": _quotient(hits[index], rows[index]),
            }
            for index in range(BINS)
        ],
    }


def _read_numbers(column: validate.Column, classes: Sequence[str]) -> Codes:
    values = column.values
    with np.errstate(invalid="ignore"):  # of what is no int32, and then differs
        codes = values.astype(np.int32)
    known = (codes == values) & (codes >= 0) & (codes < len(classes))
    if not known.all():
        missing = np.isnan(values)
        if column.unparsed is not None:
            missing &= ~column.unparsed
        codes = np.where(known, codes, np.where(missing, MISSING, UNKNOWN)).astype(np.int32)
    # A class whose name is a number goes by its name.
    for code, number in enumerate(validate.to_numbers(pa.array(classes, pa.string())).values):
        codes[values == number] = code
    return codes


def _read_text(array: pa.Array, classes: Sequence[str]) -> Codes:
    # Each spelling is looked at once, however many rows have it. As bytes, which may be no UTF-8.
    if not pa.types.is_dictionary(array.type):
        array = _encode(array.cast(pa.large_binary()), classes)
    spellings = array.dictionary.cast(pa.large_binary()).to_pylist()
    # A null points at one entry more.
    texts = [(each or b"").decode("utf-8", "replace").strip() for each in [*spellings, None]]
    codes = _read_numbers(validate.to_numbers(pa.array(texts, pa.large_string())), classes)
    known = {name.strip().lower(): index for index, name in enumerate(classes)}
    for place, text in enumerate(texts):
        if codes[place] != MISSING:
            codes[place] = known.get(text.lower(), codes[place])
    places = array.indices.cast(pa.int64()).fill_null(len(spellings))
    return codes[places.to_numpy(zero_copy_only=False)]


def _encode(array: pa.Array, classes: Sequence[str]) -> pa.DictionaryArray:
    # Where nothing but the usual is spelt, it takes half the time to look for that.
    usual = [*classes, *map(str, range(len(classes))), "", None]
    spellings = pa.array(usual, pa.large_string()).cast(pa.large_binary())
    places = pc.index_in(array, value_set=spellings)
    if places.null_count:
        return array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(places, spellings, safe=False)


def _by_class(
    classes: Sequence[str], hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    return {name: _quotient(hits[index], rows[index]) for index, name in enumerate(classes)}


def _quotient(part: Any, whole: Any) -> float | None:
    return round(float(part / whole), 6) if whole else None


def _tuple(sums: Any) -> Counts:
    return tuple(int(each) for each in sums)
