"""Text that may not be UTF-8: finding the rows that hold it, and displaying it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from penguin_model.arrow_text import as_text, is_bytes, is_text

# How much of its row a reject shows; more wouldn't help a reader.
MAX_RAW_BYTES = 32 << 10
# Python objects are many times larger than the Arrow values they come from.
_AT_A_TIME = 1 << 12


def show_bytes(data: bytes, limit: int = MAX_RAW_BYTES) -> str:
    """Returns raw bytes as text, with bytes that aren't UTF-8 escaped.

    Args:
      data: the bytes.
      limit: how many to show; the rest are only counted.
    """
    if len(data) <= limit:
        return data.decode("utf-8", errors="backslashreplace")
    while limit and data[limit] & 0xC0 == 0x80:
        limit -= 1  # don't cut a character in two
    shown = data[:limit].decode("utf-8", errors="backslashreplace")
    return f"{shown}… ({len(data) - limit:,} bytes more)"


def from_latin_1(array: pa.Array) -> pa.Array:
    """Converts text whose characters each represent one byte back to those bytes."""
    parts = [
        pa.array([text.encode("latin-1") for text in part.to_pylist()], pa.binary())
        for part in (array.slice(at, _AT_A_TIME) for at in range(0, len(array), _AT_A_TIME))
    ]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


def filterable(array: pa.Array) -> pa.Array:
    """Converts an array so that Arrow can take rows from it, as it can't from (nested) views."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(array.indices, filterable(array.dictionary))
    if pa.types.is_string_view(kind):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return as_text(array)
    return array


def undecodable_rows(columns: Mapping[str, pa.Array]) -> dict[int, str]:
    """Finds the rows with bytes that aren't UTF-8.

    Args:
      columns: columns ``[n]`` of any type; only text and bytes, which count as text, are checked.
        Arrow checks neither when it reads Parquet.

    Returns:
      Positions, each with the first column that has such bytes there.
    """
    found: dict[int, str] = {}
    for name, array in columns.items():
        if not (is_text(array.type) or is_bytes(array.type)):
            continue
        is_short = pa.types.is_dictionary(array.type) and len(array.dictionary) < len(array)
        if _is_valid(array.dictionary if is_short else array):
            continue
        for start in range(0, len(array), _AT_A_TIME):
            part = array.slice(start, _AT_A_TIME)
            if _is_valid(part):
                continue
            for position, value in enumerate(part.cast(pa.large_binary()).to_pylist(), start):
                try:
                    (value or b"").decode("utf-8")
                except UnicodeDecodeError:
                    found.setdefault(position, name)
    return found


def _is_valid(array: pa.Array) -> bool:
    try:
        array.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True
