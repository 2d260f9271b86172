"""Columns whose values are in the names of a file's folders, such as ``year=2007``."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from pipelines.reading.rows import InputColumns

# What Hive and Spark write for a missing value.
_NULL = "__HIVE_DEFAULT_PARTITION__"


class Partition(NamedTuple):
    """Where the columns of one file come from.

    Attributes:
      in_file: the columns to read from the file itself.
      values: the values of the others, by name; None is missing.
    """

    in_file: InputColumns
    values: dict[str, str | None]

    def columns(self, rows: int) -> dict[str, pa.Array]:
        """The columns that aren't in the file, for so many rows."""
        return {
            name: pa.repeat(pa.scalar(value, pa.string()), rows)
            for name, value in self.values.items()
        }


def find_partition(path: str, wanted: InputColumns) -> Partition:
    """Finds the passthrough columns that the names of a file's folders give.

    As in Hive, such a name wins over a column in the file. Features and labels are always read from
    the file.

    Args:
      path: the file's.
      wanted: the columns to read.
    """
    values: dict[str, str | None] = {}
    if wanted.passthrough and "=" in path:
        possible = {*wanted.passthrough} - wanted.feature_names - {wanted.label}
        for folder in path.split("/")[:-1]:
            name, is_partition, value = folder.partition("=")
            if is_partition and (name := unquote(name)) in possible:
                values[name] = None if value == _NULL else unquote(value)
    if not values:
        return Partition(wanted, {})
    left = tuple(name for name in wanted.passthrough if name not in values)
    return Partition(dataclasses.replace(wanted, passthrough=left), values)
