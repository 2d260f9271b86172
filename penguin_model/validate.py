"""Validation: which rows may go to the network, and why the others may not.

The check of good rows is two comparisons a column; everything else here runs only for the rows
that fail it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model.card import Feature

MISSING_VALUE = "missing_value"
NOT_A_NUMBER = "not_a_number"
OUT_OF_RANGE = "out_of_range"
WRONG_FIELD_COUNT = "wrong_field_count"
BAD_ENCODING = "bad_encoding"
MISSING_COLUMN = "missing_column"
UNREADABLE_FILE = "unreadable_file"

# The spellings of "no value" in text, trimmed: pyarrow's CSV defaults, so that the columns of a
# CSV and text columns of a Parquet file mean the same.
NULL_SPELLINGS: tuple[str, ...] = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
_WHITE_SPACE = " \t"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^(?i:[+-]?inf(inity)?)$"


@dataclasses.dataclass(frozen=True)
class Column:
    """One feature's values as numbers.

    Attributes:
      values: float64 ``[n]`` in raw units; NaN where there is no number.
      text: the column as it was read, for messages.
      unparsed: bool ``[n]``, true where a value stood that is no number; None means nowhere.
    """

    values: npt.NDArray[np.float64]
    text: pa.Array
    unparsed: npt.NDArray[np.bool_] | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why one row cannot be scored: the contract's reason, the column, words for a person."""

    reason: str
    column: str | None
    message: str


def to_numbers(array: pa.Array) -> Column:
    """Reads an Arrow array of any type as float64.

    Numbers of every width and decimals are converted; text is trimmed and parsed; any other type
    (booleans, times, lists) holds no numbers at all.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return to_numbers(array.dictionary_decode())
    if pa.types.is_null(kind):
        return Column(np.full(len(array), np.nan), array)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return Column(_as_numpy(array.cast(pa.float64(), safe=False)), array)
    if _is_text(kind):
        return _parse_text(array)
    return Column(np.full(len(array), np.nan), array, _as_bool(array.is_valid()))


def good_rows(
    columns: Sequence[Column], features: Sequence[Feature]
) -> npt.NDArray[np.bool_] | None:
    """Finds the rows whose features are all present, numeric and plausible.

    Args:
      columns: one per feature, in the features' order.
      features: the card's features.

    Returns:
      bool ``[n]``, or None where every row is good (the usual case, which then copies nothing).
    """
    good: npt.NDArray[np.bool_] | None = None
    for column, feature in zip(columns, features, strict=True):
        # Both comparisons are false for NaN.
        inside = (column.values >= feature.minimum) & (column.values <= feature.maximum)
        good = inside if good is None else np.logical_and(good, inside, out=good)
    return None if good is None or good.all() else good


def explain(row: int, columns: Sequence[Column], features: Sequence[Feature]) -> Problem:
    """Says why one bad row was refused: the first problem decides, the message names them all.

    Args:
      row: position in the columns.
      columns: one per feature, in the features' order.
      features: the card's features.
    """
    found = [
        problem
        for column, feature in zip(columns, features, strict=True)
        if (problem := _explain_value(row, column, feature)) is not None
    ]
    if not found:
        raise ValueError(f"row {row} has no problem to explain")
    message = "; ".join(problem.message for problem in found)
    return Problem(found[0].reason, found[0].column, message)


def _explain_value(row: int, column: Column, feature: Feature) -> Problem | None:
    value = column.values[row]
    if feature.minimum <= value <= feature.maximum:
        return None
    if column.unparsed is not None and column.unparsed[row]:
        shown = _shorten(str(column.text[row].as_py()))
        message = f"{feature.name} is {shown!r}, which is not a number such as 39.1"
        return Problem(NOT_A_NUMBER, feature.name, message)
    if np.isnan(value):
        return Problem(MISSING_VALUE, feature.name, f"{feature.name} is missing")
    message = (
        f"{feature.name} is {value:g} {feature.unit}, outside the plausible "
        f"{feature.minimum:g} to {feature.maximum:g} {feature.unit}"
    )
    return Problem(OUT_OF_RANGE, feature.name, message)


def _parse_text(array: pa.Array) -> Column:
    decoded = array.cast(pa.large_string()) if not pa.types.is_large_string(array.type) else array
    trimmed = pc.utf8_trim(decoded, _WHITE_SPACE)
    missing = pc.is_in(trimmed, value_set=pa.array(NULL_SPELLINGS, trimmed.type))
    numeric = pc.match_substring_regex(trimmed, _NUMBER)
    numbers = pc.if_else(pc.fill_null(numeric, False), trimmed, pa.scalar(None, trimmed.type))
    unparsed = pc.and_not(pc.invert(missing), pc.fill_null(numeric, True))
    return Column(_as_numpy(numbers.cast(pa.float64())), array, _as_bool(unparsed))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _as_numpy(array: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _as_bool(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _shorten(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
