"""Validation: which rows can be scored, and why the others can't.

Checking good rows takes two comparisons per column; everything else here runs only for rows that
fail.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model.arrow_text import as_text, is_bytes, is_text
from penguin_model.card import Category, Input
from penguin_model.formatting import listed

MISSING_VALUE = "missing_value"
NOT_A_NUMBER = "not_a_number"
OUT_OF_RANGE = "out_of_range"
WRONG_FIELD_COUNT = "wrong_field_count"
BAD_ENCODING = "bad_encoding"
MISSING_COLUMN = "missing_column"
UNREADABLE_FILE = "unreadable_file"
UNKNOWN_CATEGORY = "unknown_category"

# Texts that mean "no value" once trimmed: pyarrow's CSV defaults, so that a text column means the
# same in a Parquet file as in a CSV.
NULL_SPELLINGS: tuple[str, ...] = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
_WHITE_SPACE = " \t"
# The code of a text that isn't in a vocabulary, before it is looked at.
_UNKNOWN = -1.0
# What pyarrow reads as a float64, in a CSV and in a cast; NaN as IEEE 754 spells it.
_NUMBER = (
    r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
    r"|^[+-]?(?i:inf(inity)?|nan(\([a-z0-9_]*\))?)$"
)
# Integers of this many digits are exact in float64, even after a few roundings of a quotient.
_EXACT_DIGITS = 15


@dataclasses.dataclass(frozen=True)
class Column:
    """One feature's values as numbers.

    Attributes:
      values: float64 ``[n]`` in raw units; NaN where there is no number.
      text: the column as read, for messages.
      unparsed: bool ``[n]``, true where there is a value that isn't a number; None means nowhere.
      decimal_mark: of numbers in text.
    """

    values: npt.NDArray[np.float64]
    text: pa.Array
    unparsed: npt.NDArray[np.bool_] | None = None
    decimal_mark: str = "."


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a row can't be scored: a reason of the contract, the column, a message for people."""

    reason: str
    column: str | None
    message: str


def read_column(array: pa.Array, feature: Input, decimal_mark: str = ".") -> Column:
    """Reads a feature's column of any type: a number's values, or a category's codes."""
    if isinstance(feature, Category):
        return to_codes(array, feature, decimal_mark)
    return to_numbers(array, decimal_mark)


def to_codes(array: pa.Array, feature: Category, decimal_mark: str = ".") -> Column:
    """Reads an Arrow array of any type as codes of a vocabulary.

    A text means the first of these that the vocabulary has: the very text; the same without the
    white space around it; the same in another case, or with its accents encoded in another way; the
    same whole number, as ``2007.0`` and ``2007`` are. Each of them counts only if it means one text
    of the vocabulary. What isn't text is compared as `arrow_text.as_text` writes it. A null, and a
    text in `NULL_SPELLINGS` that isn't in the vocabulary, is missing.

    Args:
      array: the column.
      feature: the category.
      decimal_mark: of numbers in text.

    Returns:
      The codes as float64; `unparsed` where a text is neither missing nor in the vocabulary, and
      the feature has no code for that.
    """
    source = array
    if pa.types.is_dictionary(array.type):
        # A dictionary may have many more texts than the array has rows.
        if len(array.dictionary) > len(array):
            source = array.dictionary.take(array.indices)
        else:
            words = _find_codes(as_text(array.dictionary), feature, decimal_mark)
            return _as_column(words.take(array.indices), array)
    return _as_column(_find_codes(as_text(source), feature, decimal_mark), array)


def _as_column(codes: pa.Array, array: pa.Array) -> Column:
    values = _as_numpy(codes)
    unparsed = values == _UNKNOWN
    if not unparsed.any():
        return Column(values, array)
    return Column(np.where(unparsed, np.nan, values), array, unparsed)


def _find_codes(texts: pa.Array, feature: Category, decimal_mark: str) -> pa.Array:
    """The code of each text; null where it's missing, _UNKNOWN where the vocabulary lacks it.

    Whole columns are looked up at once, so that no column is slow for how many texts it has.
    """
    spelled = _spell(feature.categories)
    found = pc.index_in(texts, value_set=spelled.exact)
    if found.null_count == texts.null_count:
        return found.cast(pa.float64())
    odd = pc.and_(texts.is_valid(), found.is_null())
    others = texts.filter(odd)
    by_trimmed, by_folded, by_whole = spelled.loose
    trimmed = _trim(others)
    folded = _fold(trimmed)
    codes = pc.coalesce(by_trimmed.find(trimmed), by_folded.find(folded))
    if codes.null_count:
        whole = pc.replace_substring_regex(folded, _whole(decimal_mark), r"\1")
        is_null = pc.is_in(trimmed, value_set=pa.array(NULL_SPELLINGS, pa.string()))
        other = _UNKNOWN if feature.out_of_vocabulary is None else float(feature.out_of_vocabulary)
        unknown = pc.if_else(is_null, pa.scalar(None, pa.float64()), other)
        codes = pc.coalesce(codes, by_whole.find(whole), unknown)
    return pc.replace_with_mask(found.cast(pa.float64()), odd, codes)


class _Keys(NamedTuple):
    """What texts of a vocabulary have in common with other spellings of them."""

    keys: pa.Array
    codes: pa.Array

    @classmethod
    def of(cls, keys: pa.Array) -> _Keys:
        """Leaves out a key that two texts have."""
        counts = Counter(keys.to_pylist())
        clear = [place for place, key in enumerate(keys.to_pylist()) if counts[key] == 1]
        return cls(keys.take(pa.array(clear, pa.int64())), pa.array(clear, pa.float64()))

    def find(self, texts: pa.Array) -> pa.Array:
        """The code of each text, or null."""
        return self.codes.take(pc.index_in(texts, value_set=self.keys))


class _Spellings(NamedTuple):
    """A vocabulary as it is, and its keys: trimmed, folded, and without the zeros of an integer."""

    exact: pa.Array
    loose: tuple[_Keys, _Keys, _Keys]


@functools.lru_cache(maxsize=64)
def _spell(categories: tuple[str, ...]) -> _Spellings:
    exact = pa.array(categories, pa.string())
    trimmed = _trim(exact)
    folded = _fold(trimmed)
    whole = pc.replace_substring_regex(folded, _whole("."), r"\1")
    return _Spellings(exact, (_Keys.of(trimmed), _Keys.of(folded), _Keys.of(whole)))


def _trim(texts: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(texts)


def _fold(texts: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))


def _whole(decimal_mark: str) -> str:
    """Matches a whole number that is written with a decimal mark, such as ``2007.0``."""
    return rf"^([+-]?[0-9]+){re.escape(decimal_mark)}0*$"


def to_numbers(array: pa.Array, decimal_mark: str = ".") -> Column:
    """Reads an Arrow array of any type as float64.

    Floats, integers and decimals of any width become the nearest float64. Text is trimmed and
    parsed. Values of any other type (booleans, times, lists) aren't numbers.

    Args:
      array: the column.
      decimal_mark: of numbers in text.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return to_numbers(array.dictionary_decode(), decimal_mark)
    if pa.types.is_null(kind):
        return Column(np.full(len(array), np.nan), array)
    if pa.types.is_decimal(kind):
        return Column(_read_decimals(array), array)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return Column(_as_numpy(array.cast(pa.float64(), safe=False)), array)
    if is_text(kind):
        return _parse_text(array, decimal_mark)
    return Column(np.full(len(array), np.nan), array, _as_bool(array.is_valid()))


def may_hold_numbers(kind: pa.DataType) -> bool:
    """Whether `to_numbers` can find a number in a column of an Arrow type."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return may_hold_numbers(kind.value_type)
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
        or is_text(kind)
    )


def good_rows(columns: Sequence[Column], features: Sequence[Input]) -> npt.NDArray[np.bool_] | None:
    """Finds the rows whose features are all present, numeric and plausible.

    Args:
      columns: one per feature, in the features' order.
      features: the card's features.

    Returns:
      bool ``[n]``, or None if every row is good: the usual case, which then copies nothing.
    """
    good: npt.NDArray[np.bool_] | None = None
    for column, feature in zip(columns, features, strict=True):
        # Both comparisons are false for NaN.
        inside = (column.values >= feature.minimum) & (column.values <= feature.maximum)
        good = inside if good is None else np.logical_and(good, inside, out=good)
    return None if good is None or good.all() else good


def explain(row: int, columns: Sequence[Column], features: Sequence[Input]) -> Problem:
    """Explains why a row is bad: the first problem gives the reason, the message names them all.

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


def is_number(text: str) -> bool:
    """Whether a text would be read as a number."""
    return re.fullmatch(_NUMBER, text.strip(_WHITE_SPACE)) is not None


def _explain_value(row: int, column: Column, feature: Input) -> Problem | None:
    value = column.values[row]
    if feature.minimum <= value <= feature.maximum:
        return None
    if column.unparsed is not None and column.unparsed[row]:
        given = column.text.slice(row, 1)
        if pa.types.is_dictionary(given.type):
            # It may have many more texts.
            given = given.dictionary.take(given.indices)
        if isinstance(feature, Category):
            known = _shorten(listed(feature.categories), 80)
            message = f"{feature.name} is {_show(given)!r}, which isn't one of {known}"
            return Problem(UNKNOWN_CATEGORY, feature.name, message)
        # Bytes look like a number, but aren't read as one.
        shown = _shorten(str(given[0].as_py())) if is_bytes(given.type) else _show(given)
        example = "39.1".replace(".", column.decimal_mark)
        message = f"{feature.name} is {shown!r}, which is not a number such as {example}"
        return Problem(NOT_A_NUMBER, feature.name, message)
    if np.isnan(value) or isinstance(feature, Category):
        return Problem(MISSING_VALUE, feature.name, f"{feature.name} is missing")
    shown = f"{value:g}"
    if feature.minimum <= float(shown) <= feature.maximum:
        # Rounded, it would be inside.
        shown = repr(float(value))
    shown = f"{shown} {feature.unit}".rstrip()
    message = f"{feature.name} is {shown}, outside the plausible {feature.plausible}"
    return Problem(OUT_OF_RANGE, feature.name, message)


def _read_decimals(array: pa.Array) -> npt.NDArray[np.float64]:
    """Converts each decimal to the nearest float64: Arrow's own cast rounds more than once."""
    precision, scale = array.type.precision, array.type.scale
    if precision > _EXACT_DIGITS or not 0 <= scale <= _EXACT_DIGITS:
        return _as_numpy(array.cast(pa.large_string()).cast(pa.float64()))
    # The digits as an integer and the power of ten are both exact, so only their quotient is
    # rounded.
    power = 10.0**scale
    return np.asarray(np.rint(_as_numpy(array.cast(pa.float64())) * power) / power)


def _parse_text(array: pa.Array, decimal_mark: str) -> Column:
    decoded = array.cast(pa.large_string()) if not pa.types.is_large_string(array.type) else array
    trimmed = pc.utf8_trim(decoded, _WHITE_SPACE)
    missing = pc.is_in(trimmed, value_set=pa.array(NULL_SPELLINGS, trimmed.type))
    pattern = _NUMBER.replace(r"\.", re.escape(decimal_mark))
    numeric = pc.match_substring_regex(trimmed, pattern)
    numbers = pc.if_else(pc.fill_null(numeric, False), trimmed, pa.scalar(None, trimmed.type))
    if decimal_mark != ".":
        numbers = pc.replace_substring(numbers, decimal_mark, ".")
    unparsed = pc.and_not(pc.invert(missing), pc.fill_null(numeric, True))
    return Column(_as_numpy(numbers.cast(pa.float64())), array, _as_bool(unparsed), decimal_mark)


def _show(given: pa.Array) -> str:
    """The text of an array's only value, shortened."""
    return _shorten(str(as_text(given)[0].as_py()))


def _as_numpy(array: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _as_bool(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _shorten(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
