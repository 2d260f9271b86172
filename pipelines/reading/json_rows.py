"""Record batch rows as JSON, for the raw text of rejects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from penguin_model.arrow_text import as_json, number_repeats
from pipelines.reading.encoding import MAX_RAW_BYTES, show_bytes

_VALUE_BYTES = 4 << 10
_NOT_SHOWN = "…"
_to_json = json.JSONEncoder(allow_nan=False).encode
# The values of the columns of one name, of which a file may have several.
Shown = dict[str, list[list[Any]]]


def to_objects(names: Sequence[str], columns: Mapping[str, Sequence[Sequence[Any]]]) -> list[str]:
    """Writes each row as a JSON object of bounded length.

    Args:
      names: all of the file's columns, in order; those not shown are counted.
      columns: the values of the columns to show, from `columns_for_json`. If two columns share a
        name, the second is shown as ``name (2)``.
    """
    left = {name: list(reversed(each)) for name, each in columns.items()}
    shown = [
        (label, left[name].pop())
        for name, label in zip(names, number_repeats(names), strict=True)
        if left.get(name)
    ]
    labels = [label for label, _ in shown]
    left_out = len(names) - len(shown)
    return [
        _object(labels, values, left_out)
        for values in zip(*(values for _, values in shown), strict=True)
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


def columns_for_json(batch: pa.RecordBatch, rows: Sequence[int]) -> Shown:
    """Some rows of each column, as values that JSON can hold, each of bounded length."""
    shown: Shown = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        shown.setdefault(name, []).append(list(map(_bound, _values(column, rows))))
    return shown


def _values(column: pa.Array, rows: Sequence[int]) -> list[Any]:
    try:
        return as_json(column.take(pa.array(rows, pa.int64())))
    except pa.ArrowException:
        # Arrow can't take rows from views and unions, or from types that nest them.
        return [as_json(column.slice(row, 1))[0] for row in rows]


def _bound(value: Any) -> Any:
    if isinstance(value, str | list | dict):
        text = value if isinstance(value, str) else _to_json(value)
        if len(text) > _VALUE_BYTES:
            return show_bytes(text.encode("utf-8", "replace"), _VALUE_BYTES)
    return value
