"""Accuracy on labelled input: how the predictions compare with the labels.

The input may have the card's label column, with the name of a class (in any case), an alias or its
index. Labels never reach the model. The sums over a chunk are whole numbers, so the order in which
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
from penguin_model.arrow_text import is_bytes, is_text
from penguin_model.measures import BINS, bins, log_likelihoods, ratio, reliability
from penguin_model.names import fold
from penguin_model.winners import Winners
from pipelines.counts.figures import Counts, Figures

GROUP = "labels"
# The codes of a missing label, and of one that isn't a class of the model.
MISSING, UNKNOWN = -1, -2

# The smallest float32 in the last bin: the first x with x * BINS >= BINS - 1.
_LAST_BIN = np.float32((BINS - 1) / BINS)
if float(_LAST_BIN) * BINS < BINS - 1:
    _LAST_BIN = np.nextafter(_LAST_BIN, np.float32(1))
# Losses and probabilities are added up in billionths: integer sums don't depend on the order.
_UNIT = 1e-9

_NO_ALIASES: Mapping[str, Sequence[str]] = {}

Codes = npt.NDArray[np.int32]
Probabilities = npt.NDArray[np.float32]


def to_codes(
    array: pa.Array, classes: Sequence[str], aliases: Mapping[str, Sequence[str]] = _NO_ALIASES
) -> Codes:
    """Converts a label column of any type to class indices.

    Args:
      array: names or indices; case and spaces around text or bytes don't matter.
      classes: the card's classes.
      aliases: other spellings of a class, by class.

    Returns:
      int32 ``[n]``: the index of the class, MISSING or UNKNOWN.
    """
    spelled = {name: code for code, name in enumerate(classes)}
    spelled |= {alias: spelled[name] for name, others in aliases.items() for alias in others}
    if is_text(array.type) or is_bytes(array.type):
        return _text_to_codes(array, len(classes), spelled)
    return _numbers_to_codes(validate.to_numbers(array), len(classes), spelled)


def count_hits(
    codes: Codes,
    winners: Winners,
    best: npt.NDArray[np.float32],
    probabilities: Probabilities,
) -> dict[str, Counts]:
    """Compares a chunk's predictions with its labels.

    Args:
      codes: int32 ``[n]``, from `to_codes`.
      winners: ``[n]``, the predicted classes, see `find_winners`.
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


def _numbers_to_codes(column: validate.Column, classes: int, spelled: Mapping[str, int]) -> Codes:
    values = column.values
    with np.errstate(invalid="ignore"):  # casts of what isn't an int32 give other values
        codes = values.astype(np.int32)
    known = (codes == values) & (codes >= 0) & (codes < classes)
    if not known.all():
        missing = np.isnan(values)
        if column.unparsed is not None:
            missing &= ~column.unparsed
        codes = np.where(known, codes, np.where(missing, MISSING, UNKNOWN)).astype(np.int32)
    # If the name of a class is a number, the name wins over the index.
    numbers = validate.to_numbers(pa.array(list(spelled), pa.string())).values
    for code, number in zip(spelled.values(), numbers, strict=True):
        if not np.isnan(number):
            codes[values == number] = code
    return codes


def _text_to_codes(array: pa.Array, classes: int, spelled: Mapping[str, int]) -> Codes:
    # Each spelling is converted once, however many rows have it; as bytes, it may not be UTF-8.
    if not pa.types.is_dictionary(array.type):
        array = _encode(array.cast(pa.large_binary()), [*spelled, *map(str, range(classes))])
    spellings = array.dictionary.cast(pa.large_binary()).to_pylist()
    # Nulls point to an extra entry at the end.
    texts = [(each or b"").decode("utf-8", "replace").strip() for each in [*spellings, None]]
    numbers = validate.to_numbers(pa.array(texts, pa.large_string()))
    codes = _numbers_to_codes(numbers, classes, spelled)
    known = {fold(name): code for name, code in spelled.items()}
    for place, text in enumerate(texts):
        if codes[place] != MISSING:
            codes[place] = known.get(fold(text), codes[place])
    indices = array.indices.cast(pa.int64()).fill_null(len(spellings))
    places: npt.NDArray[np.int64] = indices.to_numpy(zero_copy_only=False)
    return codes[places]


def _encode(array: pa.Array, usual: Sequence[str]) -> pa.DictionaryArray:
    # If all spellings are usual, looking them up takes half as long as encoding the column.
    spellings = pa.array([*usual, "", None], pa.large_string()).cast(pa.large_binary())
    places = pc.index_in(array, value_set=spellings)
    if places.null_count:
        return array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(places, spellings, safe=False)


def _by_class(
    classes: Sequence[str], hits: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    return {name: ratio(hits[index], rows[index]) for index, name in enumerate(classes)}


def _tuple(sums: Any) -> Counts:
    return tuple(int(each) for each in sums)
