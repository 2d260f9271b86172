"""Record batch rows as JSON, for the raw text of rejects."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penguin_model import validate
from penguin_model.validate import is_text
from pipelines.reading.encoding import MAX_RAW_BYTES, show_bytes

_VALUE_BYTES = 4 << 10
_NOT_SHOWN = "…"
_to_json = json.JSONEncoder(default=str).encode


def to_objects(names: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Writes each row as a JSON object of bounded length.

    Args:
      names: all of the file's columns, in order; those not shown are counted.
      columns: the values of the columns to show, from `columns_for_json`.
    """
    shown = [name for name in names if name in columns]
    left_out = len(names) - len(shown)
    return [
        _object(shown, values, left_out)
        for values in zip(*(columns[name] for name in shown), strict=True)
    ]


def _object(names: Sequence[str], values: Sequence[Any], left_out: int) -> str:
    """One row as JSON, with trailing columns dropped if it's too long."""
    text = _to_json(dict(zip(names, values, strict=True)))
    shown = len(names)
    while shown and len(text) > MAX_RAW_BYTES - 100:
        shown = shown // 2
        text = _to_json(dict(zip(names[:shown], values[:shown], strict=True)))
    left_out += len(names) - shown
    if not left_out:
        return text
    mark = json.dumps({_NOT_SHOWN: f"{left_out} more columns"})
    return f"{text[:-1]}, {mark[1:]}" if shown else mark


def columns_for_json(batch: pa.RecordBatch, rows: Sequence[int]) -> dict[str, list[Any]]:
    """Some rows of each column: text as is or escaped, other bytes in hexadecimal."""
    return {
        name: _values(_pick(column, rows))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _pick(column: pa.Array, rows: Sequence[int]) -> pa.Array:
    try:
        return column.take(pa.array(rows, pa.int64()))
    except pa.ArrowNotImplementedError:
        # Arrow can't take rows from views, or from types that nest them.
        return pa.concat_arrays([column.slice(row, 1) for row in rows])


def _values(column: pa.Array) -> list[Any]:
    if is_text(column.type):
        texts = column.cast(pa.large_binary()).to_pylist()
        return [None if text is None else show_bytes(text, _VALUE_BYTES) for text in texts]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError, LookupError):
        # Times that Python can't represent, or in a time zone it doesn't know.
        return list(validate.as_text(column).to_pylist())
    return [_strict(value) for value in values]


def _strict(value: Any) -> Any:
    """Converts a value to one JSON can hold: bytes to hexadecimal, NaN and infinities to text."""
    if isinstance(value, bytes):
        value = value.hex()
    elif isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str | list | dict):
        text = value if isinstance(value, str) else _to_json(value)
        if len(text) > _VALUE_BYTES:
            return show_bytes(text.encode("utf-8", "replace"), _VALUE_BYTES)
    return value
